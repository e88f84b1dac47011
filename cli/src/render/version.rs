//! Which Envoys a configuration can be made for, and what sets them apart: how a plan's clusters become the one that a
//! route can name. Whatever else a version needs otherwise is asked for here too, nowhere else.

use std::{fmt, str::FromStr};

/// Every version here is one whose binary accepted what is rendered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EnvoyVersion {
    V1_36,
    V1_37,
    V1_38,
    V1_39,
    V1_40,
}

impl EnvoyVersion {
    pub const ALL: [Self; 5] = [Self::V1_36, Self::V1_37, Self::V1_38, Self::V1_39, Self::V1_40];

    /// What makes one cluster of a plan's.
    pub const fn chain(self) -> Chain {
        match self {
            Self::V1_36 => Chain::Aggregate,
            Self::V1_37 | Self::V1_38 | Self::V1_39 | Self::V1_40 => Chain::Composite,
        }
    }

    /// Whether `request_body_buffer_limit` counts for nothing, so that the listener's own limit must hold a request.
    pub fn limits_by_listener(self) -> bool {
        self == Self::V1_36
    }

    const fn minor(self) -> &'static str {
        match self {
            Self::V1_36 => "1.36",
            Self::V1_37 => "1.37",
            Self::V1_38 => "1.38",
            Self::V1_39 => "1.39",
            Self::V1_40 => "1.40",
        }
    }
}

/// The kind of cluster that holds a plan's clusters in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chain {
    /// Attempt n goes to cluster n, whether a host of it lives or not.
    Composite,
    /// Each cluster is a priority; a retry leaves out those that were tried, and a cluster without a host is passed over:
    /// so the attempt role asks where it goes (docs/decisions/0020-versions-of-envoy.md).
    Aggregate,
}

impl fmt::Display for EnvoyVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.minor())
    }
}

/// The one of `all` whose `minor` this is, with or without a `v` before and a patch number behind it.
pub fn known<V: Copy>(text: &str, all: impl IntoIterator<Item = V>, minor: impl Fn(V) -> &'static str) -> Option<V> {
    let mut parts = text.strip_prefix('v').unwrap_or(text).splitn(3, '.');
    let (first, second, patch) = (parts.next(), parts.next(), parts.next());
    let is_number = patch.is_none_or(|p| !p.is_empty() && p.bytes().all(|b| b.is_ascii_digit()));
    all.into_iter().find(|version| is_number && minor(*version).split_once('.') == first.zip(second))
}

/// `1.40`, `1.40.2` or `v1.40.2`.
impl FromStr for EnvoyVersion {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        known(text, Self::ALL, Self::minor).ok_or_else(|| {
            let all: Vec<_> = Self::ALL.map(Self::minor).into();
            format!("found `{text}`, expected a supported Envoy, one of {}{}", all.join(", "), why_not(text))
        })
    }
}

/// What there is to say of a version that is none of ours.
fn why_not(text: &str) -> &'static str {
    let mut numbers = text.strip_prefix('v').unwrap_or(text).split('.').map(|part| part.parse::<u32>().ok());
    let (Some(Some(major)), Some(Some(minor))) = (numbers.next(), numbers.next()) else { return "" };
    if numbers.any(|number| number.is_none()) {
        ""
    } else if (major, minor) < (1, 36) {
        ": it is too old"
    } else if (major, minor) > (1, 40) {
        ": it is newer than any that Weir was tested with; render for 1.40 and run `envoy --mode validate` on what comes out"
    } else {
        ""
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
            ("1.36.2", Some(EnvoyVersion::V1_36)),
            ("1.35", None),
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
        for (text, reason) in
            [("1.35.9", "too old"), ("1.9", "too old"), ("1.41.0", "newer"), ("2.0", "newer"), ("new", "one of")]
        {
            let message = text.parse::<EnvoyVersion>().unwrap_err();
            let is_whole = message.contains("1.36, 1.37, 1.38, 1.39, 1.40") && message.contains(text);
            assert!(is_whole && message.contains(reason), "{message}");
        }
    }
}
