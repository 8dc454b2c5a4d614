//! Ways to compute a derivative.

use std::fmt;
use std::str::FromStr;

/// How a derivative is computed; [`derivative`](crate::derivative) has the formulas.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Path {
    /// From the stored output, every operation rounded in the format.
    Output,
    /// From the stored input, recomputing the output in the wide format, one rounding at the end.
    Input,
    /// From the values at x and -x, each rounded in the format.
    Symmetric,
    /// The true derivative, from `e^-|x|` or `e^-2|x|`, rounded once.
    Fused,
}

impl Path {
    /// All paths, in the order in which they are listed to users.
    pub const ALL: [Path; 4] = [Path::Output, Path::Input, Path::Symmetric, Path::Fused];

    /// The name used in studies, rows and bench ids.
    pub const fn name(self) -> &'static str {
        match self {
            Path::Output => "output",
            Path::Input => "input",
            Path::Symmetric => "symmetric",
            Path::Fused => "fused",
        }
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Path {
    type Err = String;

    fn from_str(text: &str) -> Result<Path, String> {
        Path::ALL.into_iter().find(|path| path.name() == text).ok_or_else(|| {
            let known = Path::ALL.map(Path::name).join(", ");
            format!("unknown derivative path `{text}`; known: {known}")
        })
    }
}
