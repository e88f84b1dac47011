//! Which Istio manifests can be made for, and which Envoy it has.

use std::{fmt, str::FromStr};

use super::super::version::known;

/// In order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IstioVersion {
    V1_29,
    V1_30,
    V1_31,
}

impl IstioVersion {
    const ALL: [Self; 3] = [Self::V1_29, Self::V1_30, Self::V1_31];

    const fn minor(self) -> &'static str {
        match self {
            Self::V1_29 => "1.29",
            Self::V1_30 => "1.30",
            Self::V1_31 => "1.31",
        }
    }
}

impl fmt::Display for IstioVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.minor())
    }
}

/// `1.31`, `1.31.2` or `v1.31.2`.
impl FromStr for IstioVersion {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        known(text, Self::ALL, Self::minor).ok_or_else(|| {
            format!(
                "expected a supported Istio version, one of {}, found `{text}`",
                Self::ALL.map(Self::minor).join(", ")
            )
        })
    }
}
