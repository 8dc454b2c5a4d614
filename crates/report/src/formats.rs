//! What a chart draws of the number formats: their limits, and a colour for each.

/// Exponents of 2 that bound a format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Precision in bits.
    pub(crate) precision: i32,
    /// The least subnormal number is 2 to this.
    pub(crate) subnormal: i32,
    /// The least normal number is 2 to this.
    pub(crate) normal: i32,
    /// The largest number rounds to 2 to this, or lies just below.
    pub(crate) overflow: i32,
}

/// The limits of a format by its name: `custom:p,emin,emax` too. None for names that are no format.
pub(crate) fn limits(name: &str) -> Option<Limits> {
    let (precision, emin, emax) = match name {
        "f16" => (11, -14, 15),
        "bf16" => (8, -126, 127),
        "f32" => (24, -126, 127),
        "f64" => (53, -1022, 1023),
        "tf32" => (11, -126, 127),
        "e4m3" => (4, -6, 8),
        "e5m2" => (3, -14, 15),
        _ => {
            let mut parts = name.strip_prefix("custom:")?.split(',').map(|part| part.parse::<i32>());
            let mut next = || parts.next()?.ok().filter(|x| x.abs() < 1 << 20);
            (next()?, next()?, next()?)
        }
    };
    Some(Limits { precision, subnormal: emin - precision + 1, normal: emin, overflow: emax + 1 })
}

/// The colour (an index into the palette of the style sheet) of the value `name` of an axis, the `index`-th in its list. Formats have the same colour
/// on all pages; other names take the palette in order.
pub(crate) fn colour(name: &str, index: usize) -> usize {
    const ORDER: [usize; 8] = [2, 1, 3, 5, 4, 6, 0, 7];
    match name {
        "f64" => 0,
        "f16" => 1,
        "bf16" => 2,
        "f32" => 3,
        "e4m3" => 4,
        "e5m2" => 5,
        "tf32" => 6,
        _ if name.starts_with("custom:") => 7,
        _ => ORDER[index % ORDER.len()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_those_of_the_standards() {
        let of = |name| limits(name).map(|l| (l.subnormal, l.normal, l.overflow));
        assert_eq!(of("f16"), Some((-24, -14, 16)));
        assert_eq!(of("bf16"), Some((-133, -126, 128)));
        assert_eq!(of("f32"), Some((-149, -126, 128)));
        assert_eq!(of("f64"), Some((-1074, -1022, 1024)));
        assert_eq!(of("e5m2"), Some((-16, -14, 16)));
        assert_eq!(of("e4m3"), Some((-9, -6, 9)));
        assert_eq!(of("custom:11,-14,15"), of("f16"));
        assert_eq!((of("wide"), of("custom:1,2"), of("custom:a,b,c")), (None, None, None));
    }
}
