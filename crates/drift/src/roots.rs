//! Derivatives with a root, beside it.
//!
//! The derivatives of GELU and SiLU are a difference whose terms cancel at one negative point. Their terms are right to about 2^-104, and an f64 number may
//! lie 2^-55 beside the root: what is left would not judge an f64 result. So beside the root the derivative is its Taylor polynomial there,
//! whose factor `x - root` is formed with a root of three parts.

use crate::double_double::DoubleDouble;

/// A root and the Taylor coefficients of the function there.
pub(crate) struct Root {
    /// Three parts of the root.
    at: [f64; 3],
    /// The coefficients of the powers 1 to 10.
    leading: [DoubleDouble; 10],
    /// Those of the powers 11 to 19: within [`NEAR`] these terms lie 2^-58 below the first, so f64 is enough for them.
    rest: [f64; 9],
}

/// Up to this distance the polynomial is used. There the terms that it leaves out are 2^-119 of the first, and from there on the
/// difference loses six bits at most.
const NEAR: f64 = 1.0 / 32.0;

impl Root {
    /// The function at x where that is near the root, and none elsewhere. Relative error at most 2^-98, or 2^-155 over the distance where that is more.
    #[inline(always)]
    pub(crate) fn nearby(&self, x: DoubleDouble) -> Option<DoubleDouble> {
        let [head, middle, last] = self.at;
        // Not for NaN.
        if (x.hi - head).abs() <= NEAR {
            let distance = x.minus(DoubleDouble { hi: head, lo: middle }).plus_f64(-last);
            let rest = self.rest.iter().rev().fold(0.0, |sum, &c| f64::mul_add(sum, distance.hi, c));
            let sum = DoubleDouble::from(rest);
            Some(self.leading.iter().rev().fold(sum, |sum, &c| sum.times(distance).plus(c)).times(distance))
        } else {
            None
        }
    }
}

/// Of gelu'.
pub(crate) const GELU: Root = Root {
    at: [-0.7517915246935645, 1.4956759177009883e-17, 5.384040947833005e-34],
    leading: [
        DoubleDouble { hi: 0.4314939923140469, lo: 2.7308688141129613e-17 },
        DoubleDouble { hi: 0.388284982990552, lo: 2.3344842362524718e-17 },
        DoubleDouble { hi: -0.018199676398671087, lo: 6.243663267436504e-20 },
        DoubleDouble { hi: -0.1140082332972217, lo: -2.4817360568307065e-18 },
        DoubleDouble { hi: -0.014771522148244337, lo: -3.0159291774267917e-19 },
        DoubleDouble { hi: 0.019421679838189067, lo: -1.5961314670842394e-18 },
        DoubleDouble { hi: 0.004539228379125415, lo: 2.9752687850469732e-19 },
        DoubleDouble { hi: -0.002239538068073497, lo: -1.0619935987268272e-19 },
        DoubleDouble { hi: -0.0007448268386746817, lo: 2.6305766195124874e-20 },
        DoubleDouble { hi: 0.00018633974623233514, lo: -7.585398505239956e-21 },
    ],
    rest: [
        8.615947861116571e-05,
        -1.121438018842664e-05,
        -7.74846130700372e-06,
        4.3284506257392273e-07,
        5.702764979242107e-07,
        -1.6044265494246427e-09,
        -3.5459866461783865e-08,
        -1.396942086426202e-09,
        1.90319840501314e-09,
    ],
};

/// Of gelu-tanh'.
pub(crate) const GELU_TANH: Root = Root {
    at: [-0.7524614220710163, 3.635560509207687e-17, -2.5415595389660457e-33],
    leading: [
        DoubleDouble { hi: 0.4304000910248585, lo: 2.028254970529195e-17 },
        DoubleDouble { hi: 0.38751844613578895, lo: -2.562359819429644e-17 },
        DoubleDouble { hi: -0.01578285352184803, lo: 1.190220487294302e-18 },
        DoubleDouble { hi: -0.11394448308095899, lo: 1.5859868624132521e-18 },
        DoubleDouble { hi: -0.01661932834305256, lo: -1.4557501957762596e-18 },
        DoubleDouble { hi: 0.019682309459833118, lo: -5.390313190618038e-19 },
        DoubleDouble { hi: 0.005261059254921912, lo: -4.689306162932461e-20 },
        DoubleDouble { hi: -0.0024227318458750974, lo: 1.1387249704735174e-19 },
        DoubleDouble { hi: -0.0009274420230205449, lo: -5.889912558456153e-21 },
        DoubleDouble { hi: 0.00026392764052681053, lo: -2.92821893355466e-21 },
    ],
    rest: [
        0.00012425227802639782,
        -3.4956171694436116e-05,
        -1.5950896871645105e-05,
        5.918611710894005e-06,
        2.4335516344299543e-06,
        -9.898647747433667e-07,
        -4.3102482988029016e-07,
        1.4157556987729473e-07,
        7.520740909289922e-08,
    ],
};

/// Of silu'.
pub(crate) const SILU: Root = Root {
    at: [-1.2784645427610737, -1.0946994183093437e-16, -3.907766676128665e-33],
    leading: [
        DoubleDouble { hi: 0.2178117057198001, lo: -3.974332795880862e-18 },
        DoubleDouble { hi: 0.1466487969969469, lo: -1.1662011480926915e-17 },
        DoubleDouble { hi: 0.018874814223782312, lo: 1.106970621401302e-18 },
        DoubleDouble { hi: -0.015222655223188032, lo: 4.69839224577196e-19 },
        DoubleDouble { hi: -0.006606589138356696, lo: -1.596795560382834e-19 },
        DoubleDouble { hi: 0.000126627410081122, lo: -8.900566155019302e-21 },
        DoubleDouble { hi: 0.0007985218818397998, lo: -3.53797515088597e-20 },
        DoubleDouble { hi: 0.00018570724361186496, lo: -6.82469883640094e-21 },
        DoubleDouble { hi: -4.090534237428612e-05, lo: 2.3506964917593713e-23 },
        DoubleDouble { hi: -2.9733542213263917e-05, lo: 7.09581877822066e-22 },
    ],
    rest: [
        -2.942631888842464e-06,
        2.346029682463866e-06,
        8.599695028268575e-07,
        -3.051244750055421e-08,
        -9.266646309267441e-08,
        -1.8877622907727957e-08,
        4.619379769031606e-09,
        2.9177603026903803e-09,
        2.3648315053103244e-10,
    ],
};
