//! Orders of multiplication: a product of matrices may be taken in any order, and the order is a choice.
//!
//! The gradient at the input of a linear chain is the product of m = d + 1 factors
//!
//! ```text
//! G_0 = G_d · W_d · W_(d-1) ··· W_1        F_0 = G_d,  F_1 = W_d, ..  F_d = W_1        factor i is p_i x p_(i+1)
//! ```
//!
//! with p_0 the batch and p_k the width n_(d+1-k). Every way to set the brackets has the same d products, and each inner dimension p_1 .. p_d is
//! summed over exactly once; what differs is the rows and columns around it. So the worst-case bound of rounding errors is the same for all
//! orders, `Π (1 + γ_(p_k)) - 1` times the product of magnitudes (after Higham 2002, lemma 3.8); cost, storage, overflow and measured drift are not.
//!
//! A [`Plan`] is such an order, from the dimensions alone; [`evaluate`] carries it out in any arithmetic.

use crate::{Kernels, Shape};
use gradchain_arith::Summation;
use std::fmt;
use std::str::FromStr;

/// A rule that sets the brackets in a product of matrices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Association {
    /// From the left: `((F_0 F_1) F_2) ···`. Reverse mode, the backward pass: the gradient meets one matrix after the other.
    VectorFirst,
    /// From the right: `··· (F_(m-3) (F_(m-2) F_(m-1)))`. Forward mode: the Jacobian grows from the input end, and the gradient comes last.
    MatrixFirst,
    /// A balanced binary tree over all factors; of an odd number the left half gets one more.
    Balanced,
    /// The fewest multiply-adds, by dynamic programming (Godbole 1973; Cormen, Leiserson, Rivest and Stein 2009, section 15.2). Of equally cheap
    /// splits the one with the longest left part: where the order does not matter, the plan is vector-first.
    Optimal,
}

impl Association {
    /// All associations, in the order in which they are listed to users.
    pub const ALL: [Association; 4] =
        [Association::VectorFirst, Association::MatrixFirst, Association::Balanced, Association::Optimal];

    /// The name used in studies and rows.
    pub const fn name(self) -> &'static str {
        match self {
            Association::VectorFirst => "vector-first",
            Association::MatrixFirst => "matrix-first",
            Association::Balanced => "balanced",
            Association::Optimal => "optimal",
        }
    }
}

impl fmt::Display for Association {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Association {
    type Err = String;

    fn from_str(text: &str) -> Result<Association, String> {
        Association::ALL.into_iter().find(|a| a.name() == text).ok_or_else(|| {
            let known = Association::ALL.map(Association::name).join(", ");
            format!("unknown association `{text}`; known: {known}")
        })
    }
}

/// What a product multiplies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operand {
    /// A factor of the chain, by its index.
    Factor(usize),
    /// The result of an earlier product, by its index; each is used once.
    Product(usize),
}

/// One multiplication of two neighbours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Product {
    /// The left matrix.
    pub left: Operand,
    /// The right matrix.
    pub right: Operand,
    /// The k whose dimension p_k it sums over, 1 to m - 1.
    pub joint: usize,
    /// Rows, p_k and columns.
    pub shape: Shape,
}

/// The products of a chain in the order in which they are made, the last of which is the result: left parts before right parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    dimensions: Vec<usize>,
    products: Vec<Product>,
}

/// Why there is no plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlanError {
    /// The dynamic programme takes time with the cube and memory with the square of the number of matrices.
    TooLong {
        /// Matrices after the first factor.
        layers: usize,
    },
    /// A matrix with that many rows or columns, whose costs could exceed 128 bits.
    TooLarge {
        /// The dimension.
        dimension: usize,
    },
}

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PlanError::TooLong { layers } => {
                write!(
                    f,
                    "the optimal order of {layers} layers is not searched for; allowed: at most {MAX_OPTIMAL_LAYERS} layers"
                )
            }
            PlanError::TooLarge { dimension } => {
                write!(f, "a dimension of {dimension} is not allowed; allowed: at most {}", u32::MAX)
            }
        }
    }
}

impl std::error::Error for PlanError {}

/// Most layers of a chain whose optimal order is searched for: less than a second of time.
pub const MAX_OPTIMAL_LAYERS: usize = 1024;

impl Plan {
    /// The plan of `association` for factors of `dimensions` p_0 x p_1, p_1 x p_2, .. A single factor needs no product.
    ///
    /// # Errors
    /// If a dimension is above `u32::MAX`, or the optimal order of more than [`MAX_OPTIMAL_LAYERS`] layers is asked for.
    ///
    /// # Panics
    /// If there are fewer than two dimensions.
    pub fn new(association: Association, dimensions: &[usize]) -> Result<Plan, PlanError> {
        assert!(dimensions.len() >= 2, "dimensions {dimensions:?} are those of no matrix");
        if let Some(&dimension) = dimensions.iter().find(|p| u32::try_from(**p).is_err()) {
            return Err(PlanError::TooLarge { dimension });
        }
        let factors = dimensions.len() - 1;
        let mut plan = Plan { dimensions: dimensions.to_vec(), products: Vec::with_capacity(factors - 1) };
        match association {
            Association::VectorFirst => {
                let mut left = Operand::Factor(0);
                for k in 1..factors {
                    left = plan.join(0, k, k + 1, left, Operand::Factor(k));
                }
            }
            Association::MatrixFirst => {
                let mut right = Operand::Factor(factors - 1);
                for k in (1..factors).rev() {
                    right = plan.join(k - 1, k, factors, Operand::Factor(k - 1), right);
                }
            }
            Association::Balanced => {
                plan.join_all(0, factors, &|first, end| first + (end - first).div_ceil(2));
            }
            Association::Optimal if factors > MAX_OPTIMAL_LAYERS + 1 => {
                return Err(PlanError::TooLong { layers: factors - 1 });
            }
            Association::Optimal => {
                let splits = optimal_splits(dimensions);
                plan.join_all(0, factors, &|first, end| splits[first * factors + end - 1]);
            }
        }
        Ok(plan)
    }

    /// p_0 .. p_m.
    pub fn dimensions(&self) -> &[usize] {
        &self.dimensions
    }

    /// The products in the order in which they are made.
    pub fn products(&self) -> &[Product] {
        &self.products
    }

    /// `Σ rows · inner · columns` over the products: the multiplications, each with an addition. Exact.
    pub fn multiply_adds(&self) -> u128 {
        self.products.iter().map(|p| cost(p.shape.rows, p.shape.inner, p.shape.columns)).sum()
    }

    /// The most numbers that intermediate results take at once: those still to be used, operands of the product under way, and its result.
    /// Factors are not counted, they are there in any order. Exact.
    pub fn peak_numbers(&self) -> u128 {
        let size = |product: &Product| product.shape.rows as u128 * product.shape.columns as u128;
        let (mut live, mut peak) = (0, 0);
        for product in &self.products {
            live += size(product);
            peak = peak.max(live);
            for operand in [product.left, product.right] {
                if let Operand::Product(index) = operand {
                    live -= size(&self.products[index]);
                }
            }
        }
        peak
    }

    /// Joins factors `first..end`, split before the factor that `split(first, end)` names.
    fn join_all(&mut self, first: usize, end: usize, split: &impl Fn(usize, usize) -> usize) -> Operand {
        if end - first == 1 {
            return Operand::Factor(first);
        }
        let joint = split(first, end);
        let left = self.join_all(first, joint, split);
        let right = self.join_all(joint, end, split);
        self.join(first, joint, end, left, right)
    }

    /// Adds the product of factors `first..joint`, which are `left`, and `joint..end`, which are `right`.
    fn join(&mut self, first: usize, joint: usize, end: usize, left: Operand, right: Operand) -> Operand {
        let p = &self.dimensions;
        let shape = Shape { rows: p[first], inner: p[joint], columns: p[end] };
        self.products.push(Product { left, right, joint, shape });
        Operand::Product(self.products.len() - 1)
    }
}

/// Below 2^96, since no dimension exceeds 32 bits.
fn cost(rows: usize, inner: usize, columns: usize) -> u128 {
    u128::from(rows as u64 * inner as u64) * u128::from(columns as u64)
}

/// The cheapest place to split factors i to j, for all `i < j`, at `i · m + j`:
///
/// ```text
/// c(i, i) = 0      c(i, j) = min over i < k <= j of c(i, k-1) + c(k, j) + p_i p_k p_(j+1)      split(i, j) = the last such k
/// ```
///
/// The table is kept on both sides of its diagonal, so that both costs are read along rows.
fn optimal_splits(p: &[usize]) -> Vec<usize> {
    let m = p.len() - 1;
    let mut costs = vec![0; m * m];
    let mut splits = vec![0; m * m];
    for length in 2..=m {
        for i in 0..=m - length {
            let j = i + length - 1;
            let around = p[i] as u64 * p[j + 1] as u64;
            let left = &costs[i * m + i..i * m + j];
            let right = &costs[j * m + i + 1..j * m + j + 1];
            let mut least = u128::MAX;
            for (k, ((left, right), inner)) in (i + 1..).zip(left.iter().zip(right).zip(&p[i + 1..])) {
                let cost = left + right + u128::from(around) * u128::from(*inner as u64);
                if cost <= least {
                    least = cost;
                    splits[i * m + j] = k;
                }
            }
            costs[i * m + j] = least;
            costs[j * m + i] = least;
        }
    }
    splits
}

/// The product of `factors` by `plan`, row-major: each product of two matrices is [`Kernels::times`] with `summation`. Calls `visit` after each with
/// its result. What no later product needs is freed at once, so that intermediate results take [`Plan::peak_numbers`] numbers.
///
/// The product at joint k of m factors draws its random bits from stream `2 (m - 1) - k`, whatever the order; for vector-first that is the
/// numbering of the backward pass, whose bits the result then has.
///
/// # Panics
/// If the factors have not the dimensions of the plan.
pub fn evaluate<K: Kernels>(
    arith: &K,
    summation: Summation,
    plan: &Plan,
    factors: &[&[K::Number]],
    mut visit: impl FnMut(&[K::Number]),
) -> Vec<K::Number> {
    let layers = plan.products.len();
    assert_eq!(factors.len(), layers + 1, "factors, and the products that join them");
    let mut results: Vec<Vec<K::Number>> = Vec::with_capacity(layers);
    for product in &plan.products {
        let mut out = vec![arith.round(0.0); product.shape.rows * product.shape.columns];
        let numbers = |operand| match operand {
            Operand::Factor(index) => factors[index],
            Operand::Product(index) => results[index].as_slice(),
        };
        arith.stream((2 * layers - product.joint) as u64).times(
            summation,
            numbers(product.left),
            numbers(product.right),
            &mut out,
            product.shape,
        );
        visit(&out);
        for operand in [product.left, product.right] {
            if let Operand::Product(index) = operand {
                results[index] = Vec::new();
            }
        }
        results.push(out);
    }
    results.pop().unwrap_or_else(|| factors[0].to_vec())
}
