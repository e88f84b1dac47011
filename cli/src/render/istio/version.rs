//! Which Istio manifests can be made for, and which Envoy it has.

use std::{fmt, str::FromStr};

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
        let mut parts = text.strip_prefix('v').unwrap_or(text).splitn(3, '.');
        let (major, minor, patch) = (parts.next(), parts.next(), parts.next());
        let known = Self::ALL.into_iter().find(|v| v.minor().split_once('.') == major.zip(minor));
        let is_number = patch.is_none_or(|p| !p.is_empty() && p.bytes().all(|b| b.is_ascii_digit()));
        known.filter(|_| is_number).ok_or_else(|| {
            format!(
                "expected a supported Istio version, one of {}, found `{text}`",
                Self::ALL.map(Self::minor).join(", ")
            )
        })
    }
}
