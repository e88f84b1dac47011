//! Which Envoys a bootstrap can be made for. One mechanism serves them all: composite clusters chosen by a header. A
//! version that needs another one gets it here and in `clusters`, nowhere else.

use std::{fmt, str::FromStr};

/// Every version here is one whose binary accepted what is rendered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EnvoyVersion {
    V1_37,
    V1_38,
    V1_39,
    V1_40,
}

impl EnvoyVersion {
    pub const ALL: [Self; 4] = [Self::V1_37, Self::V1_38, Self::V1_39, Self::V1_40];

    const fn minor(self) -> &'static str {
        match self {
            Self::V1_37 => "1.37",
            Self::V1_38 => "1.38",
            Self::V1_39 => "1.39",
            Self::V1_40 => "1.40",
        }
    }
}

impl fmt::Display for EnvoyVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.minor())
    }
}

/// `1.40`, `1.40.2` or `v1.40.2`.
impl FromStr for EnvoyVersion {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.strip_prefix('v').unwrap_or(text).splitn(3, '.');
        let (major, minor, patch) = (parts.next(), parts.next(), parts.next());
        let known = Self::ALL.into_iter().find(|v| v.minor().split_once('.') == major.zip(minor));
        let is_number = patch.is_none_or(|p| !p.is_empty() && p.bytes().all(|b| b.is_ascii_digit()));
        known.filter(|_| is_number).ok_or_else(|| {
            let all: Vec<_> = Self::ALL.map(Self::minor).into();
            format!(
                "expected a supported Envoy version, one of {}, found `{text}` (1.36 is not built yet)",
                all.join(", ")
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        let cases = [
            ("1.37", Some(EnvoyVersion::V1_37)),
            ("1.38.2", Some(EnvoyVersion::V1_38)),
            ("v1.39.0", Some(EnvoyVersion::V1_39)),
            ("1.40", Some(EnvoyVersion::V1_40)),
            ("1.40.0", Some(EnvoyVersion::V1_40)),
            ("1.36", None),
            ("1.41.0", None),
            ("1.4", None),
            ("1.400", None),
            ("1.40.", None),
            ("1.40.x", None),
            ("1.40.0.1", None),
            ("2.40", None),
            ("1", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(text.parse::<EnvoyVersion>().ok(), expected, "{text}");
        }
        let message = "1.36.2".parse::<EnvoyVersion>().unwrap_err();
        assert!(message.contains("1.37, 1.38, 1.39, 1.40") && message.contains("1.36.2"), "{message}");
    }
}
