//! Physical quantities of hardware files and of the cost model (real numbers; time in a run is integer).

use std::fmt;
use std::ops::{Div, Mul};

/// A number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Default)]
pub struct Bytes(pub f64);

/// A bandwidth in bytes per second.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Default)]
pub struct BytesPerSecond(pub f64);

/// A compute rate in floating-point operations per second (one multiply-add is two).
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Default)]
pub struct FlopsPerSecond(pub f64);

/// Real seconds, inside the cost model only.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Default)]
pub struct Seconds(pub f64);

/// Electric power in watts.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Default)]
pub struct Watts(pub f64);

impl Bytes {
    /// Gibibytes (2^30 bytes).
    pub fn from_gib(gib: f64) -> Self {
        Bytes(gib * 1_073_741_824.0)
    }

    /// Mebibytes (2^20 bytes), the unit of `nvidia-smi`.
    pub fn from_mib(mib: f64) -> Self {
        Bytes(mib * 1_048_576.0)
    }
}

impl Div<BytesPerSecond> for Bytes {
    type Output = Seconds;
    fn div(self, rate: BytesPerSecond) -> Seconds {
        Seconds(self.0 / rate.0)
    }
}

impl Mul<f64> for BytesPerSecond {
    type Output = BytesPerSecond;
    fn mul(self, factor: f64) -> BytesPerSecond {
        BytesPerSecond(self.0 * factor)
    }
}

impl Mul<f64> for FlopsPerSecond {
    type Output = FlopsPerSecond;
    fn mul(self, factor: f64) -> FlopsPerSecond {
        FlopsPerSecond(self.0 * factor)
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let b = self.0;
        if b >= 1_073_741_824.0 {
            write!(f, "{:.2} GiB", b / 1_073_741_824.0)
        } else {
            write!(f, "{:.2} MiB", b / 1_048_576.0)
        }
    }
}
