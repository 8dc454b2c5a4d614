//! The judge's singular values and Lyapunov exponents against faer: here, because faer takes longer to compile than the judge with all its tests.

use faer::Mat;
use gradchain_arith::Isa;
use gradchain_drift::{GradedProduct, LayerJacobian, LyapunovFrame, singular_values};

fn isa() -> Isa {
    Isa::choose().expect("an instruction set")
}

/// Numbers of splitmix64 (Steele, Lea and Flood 2014), summed to something like a normal distribution.
struct Draws(u64);

impl Draws {
    fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ z >> 31) >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn matrix(&mut self, rows: usize, columns: usize) -> Vec<f64> {
        (0..rows * columns).map(|_| (0..12).map(|_| self.unit()).sum::<f64>() - 6.0).collect()
    }
}

/// A single dense matrix of any shape, against faer: to 20 n u of the largest singular value.
#[test]
fn dense_matrices_against_faer() {
    let mut draws = Draws(3);
    for (rows, columns) in
        [(1, 1), (1, 7), (7, 1), (2, 2), (5, 3), (3, 5), (16, 16), (17, 33), (64, 31), (90, 90)]
    {
        let values = draws.matrix(rows, columns);
        let got = singular_values(isa(), rows, columns, &values);
        let matrix = Mat::from_fn(rows, columns, |i, j| values[i * columns + j]);
        let expected = matrix.singular_values().expect("faer converges");
        let largest = expected[0];
        let error =
            got.iter().zip(&expected).map(|(a, b)| (a.to_f64() - b).abs() / largest).fold(0.0, f64::max);
        println!("{rows} x {columns}: {:.2} u", error / (f64::EPSILON / 2.0));
        assert_eq!(got.len(), rows.min(columns));
        assert!(error <= 20.0 * rows.max(columns) as f64 * f64::EPSILON / 2.0, "{rows} x {columns}: {error}");
        assert!(got.windows(2).all(|pair| pair[0].log2() >= pair[1].log2()), "{rows} x {columns}");
    }
}

/// `Σ_k ln |r_kk|` of a layer is `ln |det|`, and the sum over all layers that of the singular values.
#[test]
fn exponents_add_up_to_determinants() {
    let mut draws = Draws(5);
    let n = 12;
    let layers: Vec<LayerJacobian> = (0..50).map(|_| LayerJacobian::new(n, n, draws.matrix(n, n))).collect();
    let mut frame = LyapunovFrame::identity(n);
    let mut product = GradedProduct::identity(n);
    let mut total = 0.0;
    for layer in &layers {
        let sum: f64 = frame.pass(isa(), layer).iter().sum();
        let matrix = Mat::from_fn(n, n, |i, j| layer.values[i * n + j]);
        let determinant = libm::log(matrix.determinant().abs())
            + (n as i64 * layer.exponent) as f64 * std::f64::consts::LN_2;
        assert!((sum - determinant).abs() <= 1e-11, "{sum} for {determinant}");
        product.multiply(isa(), layer);
        total += sum;
    }
    let of_values: f64 = product.singular_values(isa()).iter().map(|s| s.log2()).sum();
    assert!((total - of_values * std::f64::consts::LN_2).abs() <= 1e-9, "{total} for {of_values} in log2");
}
