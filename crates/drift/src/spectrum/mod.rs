//! The spectrum of a product of Jacobians, of any depth: Lyapunov exponents and singular values.
//!
//! The Jacobian of a network is `J = M_d ··· M_1` with `M_t = diag(f'(Z_t)) W_t`. Its singular values drift apart by a factor in each layer, so that
//! after some tens of layers no matrix of f64 numbers holds both the largest and the smallest of them, and a product that is multiplied out has rounded the
//! small ones away. Two recursions keep them, both of them by QR factorisations of one layer at a time:
//!
//! - [`LyapunovFrame`]: `M_t Q_(t-1) = Q_t R_t` from Q_0 = I, without any exchange of columns. The first k columns of Q span the image of the first k unit
//!   vectors, and `ln |r_kk|` is the growth of the k-th dimension in that layer; its mean over the layers is the Lyapunov exponent λ_k (Benettin, Galgani,
//!   Giorgilli and Strelcyn 1980, Meccanica 15; Eckmann and Ruelle 1985, Rev. Mod. Phys. 57, section V).
//! - [`GradedProduct`]: `J = Q · diag(2^e_i) · T`, where each row of T has a largest magnitude in [1/2, 1) and an exponent of its own, and columns are
//!   exchanged so that the largest come first (Stewart 1997, "On graded QR decompositions of products of matrices", ETNA 5; in physics the UDT
//!   factorisation of Loh and Gubernatis 1992). Its singular values are those of `diag(2^e_i) T`, by one-sided Jacobi rotations, which find
//!   each singular value of a matrix with scaled rows as exactly as T alone allows (Demmel and Veselić 1992, SIAM J. Matrix Anal. Appl. 13), here with the
//!   exponents apart.
//!
//! The rows of a layer are sorted by size before its QR factorisation, and with columns exchanged that is stable row by row (Powell and Reid 1969; Cox and Higham
//! 1998): slopes that differ by many powers of ten cost no digits. Rows of zeros, which closed gates leave, are left out, so that the rank is exact.
//!
//! **Error.** Measured against products of exact fractions, four wide: relative errors of singular values of a few d u after d layers, though they lie
//! 2^1700 apart (`tests/spectrum.rs`). Off the bound are singular values that a single layer makes smaller than n u times its norm: they are noise of that size.
//!
//! Why no library: its SVD would take a matrix of f64 numbers, which J is not; and what linear algebra packages do depends on the vectors of the CPU, while these loops
//! have one order and the same bits everywhere. `faer` is an oracle of tests instead (`benches/peers/tests`).

mod householder;
mod jacobi;
mod loops;

use crate::reference::ReferenceTrace;
use crate::scaled::{Scaled, ldexp, pow2};
use crate::scaled_vector::common_exponent;
use gradchain_arith::{Isa, Simd, WithSimd};
use gradchain_chain::Layer;
use householder::{Exchange, Factors, factorise};
use jacobi::{GradedRows, jacobi};

/// The Jacobian of one layer, `rows x columns`: entry (i, j) is `values[i · columns + j] · 2^exponent`.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerJacobian {
    /// Outputs of the layer.
    pub rows: usize,
    /// Inputs of the layer.
    pub columns: usize,
    /// Row-major; the largest magnitude lies in [1/2, 1), unless all are 0 or some are not finite. Numbers 2^-1022 below it lose bits, and some below that are 0.
    pub values: Vec<f64>,
    /// The power of two on all of them.
    pub exponent: i64,
}

impl LayerJacobian {
    /// The matrix of these numbers, row-major.
    ///
    /// # Panics
    /// If there are not `rows · columns` of them.
    pub fn new(rows: usize, columns: usize, values: Vec<f64>) -> LayerJacobian {
        assert_eq!(values.len(), rows * columns, "numbers of a matrix of {rows} x {columns}");
        LayerJacobian { rows, columns, values, exponent: 0 }.normalised()
    }

    /// `diag(f'(Z_t)) W_t` for layer number `t` of a plain network, counted from 0 at the input, at the first sample of `trace`; without a trace, the weights of a
    /// linear layer. Each product is rounded to f64 once. Slopes 2^-900 below the largest one of the layer lose bits, and from 2^-1022 on they count as 0.
    ///
    /// # Panics
    /// If shapes do not fit, or the trace has no layer `t`.
    pub fn of_layer(layer: &Layer, trace: Option<&ReferenceTrace>, t: usize) -> LayerJacobian {
        let mut jacobian = LayerJacobian::new(layer.outputs, layer.inputs, layer.weights.clone());
        let Some(slopes) = trace.and_then(|trace| trace.slopes(t)) else { return jacobian };
        assert!(slopes.len() >= layer.outputs, "{} slopes of {} units", slopes.len(), layer.outputs);
        let slopes = &slopes[..layer.outputs];
        let present = slopes.iter().filter(|s| s.mantissa() != 0.0);
        let largest = present.map(|s| s.exponent()).max().unwrap_or(0);
        if jacobian.columns > 0 {
            for (row, slope) in jacobian.values.chunks_exact_mut(jacobian.columns).zip(slopes) {
                let slope = ldexp(slope.mantissa(), slope.exponent().saturating_sub(largest));
                // A closed gate stops what is not finite too.
                row.iter_mut().for_each(|w| *w = if slope == 0.0 { 0.0 } else { *w * slope });
            }
        }
        jacobian.exponent = jacobian.exponent.saturating_add(largest);
        jacobian.normalised()
    }

    fn normalised(mut self) -> LayerJacobian {
        if let Some(shift) = common_exponent(&self.values) {
            // In two steps: a power of two that takes subnormals to 1 is beyond f64's range.
            let (first, second) = (pow2(-(shift / 2)), pow2(-(shift - shift / 2)));
            self.values.iter_mut().for_each(|x| *x = *x * first * second);
            self.exponent = self.exponent.saturating_add(shift);
        }
        self
    }

    fn is_finite(&self) -> bool {
        self.values.iter().all(|x| x.is_finite())
    }
}

/// The recursion for Lyapunov exponents: orthonormal columns that the layers pass.
#[derive(Clone, Debug)]
pub struct LyapunovFrame {
    /// Column-major.
    q: Vec<f64>,
    rows: usize,
    rank: usize,
    dimensions: usize,
}

impl LyapunovFrame {
    /// The n unit vectors of the input.
    pub fn identity(n: usize) -> LyapunovFrame {
        LyapunovFrame { q: identity(n), rows: n, rank: n, dimensions: n }
    }

    /// Takes the next layer, from the input on, and gives `ln |r_kk|` for k = 1 to n, the width of the input: -∞ from the rank of the product on, NaN where the layer is not finite.
    ///
    /// # Panics
    /// If the layer has not as many inputs as the one before has outputs.
    pub fn pass(&mut self, isa: Isa, layer: &LayerJacobian) -> Vec<f64> {
        assert_eq!(layer.columns, self.rows, "inputs of a layer");
        if !layer.is_finite() {
            self.rows = layer.rows;
            self.rank = 0;
            self.q.clear();
            return vec![f64::NAN; self.dimensions];
        }
        let step = QrStep { layer, q: &self.q, rank: self.rank, exchange: Exchange::None };
        let Factors { steps, r, q, .. } = isa.run(step);
        let layer_ln = layer.exponent as f64 * std::f64::consts::LN_2;
        let columns = self.rank;
        let mut logarithms: Vec<f64> =
            (0..steps).map(|k| libm::log(r[k * columns + k].abs()) + layer_ln).collect();
        // A dimension that is lost takes those after it along: their volumes are zero.
        let rank = logarithms.iter().position(|x| *x == f64::NEG_INFINITY).unwrap_or(steps);
        logarithms.truncate(rank);
        logarithms.resize(self.dimensions, f64::NEG_INFINITY);
        self.q = q;
        self.q.truncate(rank * layer.rows);
        (self.rows, self.rank) = (layer.rows, rank);
        logarithms
    }
}

/// `J = Q · diag(2^e_i) · T` for the layers passed so far; Q has orthonormal columns, and the rows of T have exponents of their own.
#[derive(Clone, Debug)]
pub struct GradedProduct {
    /// Column-major, `rows x rank`.
    q: Vec<f64>,
    rows: usize,
    /// diag(2^e_i) T.
    graded: GradedRows,
    finite: bool,
}

impl GradedProduct {
    /// The product of no layers: the identity of n dimensions.
    pub fn identity(n: usize) -> GradedProduct {
        let mut graded = GradedRows::new(n);
        for i in 0..n {
            graded.push((0..n).map(|j| if i == j { 1.0 } else { 0.0 }).collect(), 0);
        }
        GradedProduct { q: identity(n), rows: n, graded, finite: true }
    }

    /// Multiplies by the next layer, from the input on: `J <- M J`.
    ///
    /// # Panics
    /// If the layer has not as many inputs as the one before has outputs.
    pub fn multiply(&mut self, isa: Isa, layer: &LayerJacobian) {
        assert_eq!(layer.columns, self.rows, "inputs of a layer");
        self.finite &= layer.is_finite();
        self.rows = layer.rows;
        if !self.finite {
            return;
        }
        let rank = self.graded.len();
        let exchange = Exchange::Largest(self.graded.exponents());
        let factors = isa.run(QrStep { layer, q: &self.q, rank, exchange });
        self.q.clear();
        let graded = isa.run(NextRows { factors: &factors, graded: &self.graded, layer: layer.exponent });
        // A row of zeros is a dimension that the layers have lost.
        self.graded = GradedRows::new(self.graded.columns());
        for (k, (row, exponent)) in graded.into_iter().enumerate() {
            if row.iter().any(|&x| x != 0.0) {
                self.graded.push(row, exponent);
                self.q.extend(&factors.q[k * layer.rows..][..layer.rows]);
            }
        }
    }

    /// Dimensions that are left: the rank of J, as far as layers lost it by zeros.
    pub fn rank(&self) -> usize {
        self.graded.len()
    }

    /// The singular values of J, the largest first: as many as its smaller dimension, those beyond the rank 0; NaN all of them where a layer was not finite.
    pub fn singular_values(&self, isa: Isa) -> Vec<Scaled> {
        let count = self.rows.min(self.graded.columns());
        if !self.finite {
            return vec![Scaled::from(f64::NAN); count];
        }
        let mut values = isa.run(Jacobi(self.graded.clone()));
        values.resize(count, Scaled::ZERO);
        values
    }
}

/// The singular values of one matrix, `rows x columns` numbers row-major, the largest first, right to a few `n u` of the largest; of a matrix with scaled rows
/// or columns each to its own digits.
///
/// # Panics
/// If there are not `rows · columns` numbers.
pub fn singular_values(isa: Isa, rows: usize, columns: usize, values: &[f64]) -> Vec<Scaled> {
    let mut product = GradedProduct::identity(columns);
    product.multiply(isa, &LayerJacobian::new(rows, columns, values.to_vec()));
    product.singular_values(isa)
}

fn identity(n: usize) -> Vec<f64> {
    (0..n * n).map(|i| if i.is_multiple_of(n + 1) { 1.0 } else { 0.0 }).collect()
}

/// The QR factorisation of `M Q`.
struct QrStep<'a> {
    layer: &'a LayerJacobian,
    q: &'a [f64],
    rank: usize,
    exchange: Exchange<'a>,
}

impl WithSimd for QrStep<'_> {
    type Output = Factors;

    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> Factors {
        let QrStep { layer, q, rank, exchange } = self;
        let (rows, inner) = (layer.rows, layer.columns);
        let mut a = vec![0.0; rows * rank];
        if inner > 0 {
            for (column, q) in a.chunks_exact_mut(rows.max(1)).zip(q.chunks_exact(inner)) {
                for (a, m) in column.iter_mut().zip(layer.values.chunks_exact(inner)) {
                    *a = loops::dot(m, q);
                }
            }
        }
        factorise(a, rows, rank, exchange)
    }
}

/// Row k of `R diag(2^e_i) T` with the exchanged order of columns, each normalised to an exponent of its own.
struct NextRows<'a> {
    factors: &'a Factors,
    graded: &'a GradedRows,
    layer: i64,
}

impl WithSimd for NextRows<'_> {
    type Output = Vec<(Vec<f64>, i64)>;

    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> Vec<(Vec<f64>, i64)> {
        let NextRows { factors: Factors { steps, r, order, .. }, graded, layer } = self;
        let columns = order.len();
        let mut rows = Vec::with_capacity(*steps);
        for k in 0..*steps {
            let entries: Vec<Scaled> =
                (k..columns).map(|j| Scaled::new(r[k * columns + j], graded.exponents()[order[j]])).collect();
            let top = entries.iter().filter(|x| x.mantissa() != 0.0).map(|x| x.exponent()).max();
            let mut row = vec![0.0; graded.columns()];
            if let Some(top) = top {
                // The smallest terms first.
                for (entry, &j) in entries.iter().zip(&order[k..]).rev() {
                    let factor = ldexp(entry.mantissa(), entry.exponent().saturating_sub(top));
                    if factor != 0.0 {
                        loops::add_multiple(&mut row, factor, graded.row(j));
                    }
                }
            }
            rows.push((row, top.unwrap_or(0).saturating_add(layer)));
        }
        rows
    }
}

struct Jacobi(GradedRows);

impl WithSimd for Jacobi {
    type Output = Vec<Scaled>;

    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> Vec<Scaled> {
        jacobi(self.0)
    }
}
