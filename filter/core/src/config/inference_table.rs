//! `inference_table_config`: where an endpoint's requests and answers are logged, and how many of them.

use sha2::{Digest, Sha256};

use super::reader::Field;

/// Where an endpoint's requests and answers are logged: table `<catalog>.<schema>.<prefix>_payload`.
#[derive(Clone, Debug, PartialEq)]
pub struct InferenceTable {
    pub catalog: String,
    pub schema: String,
    pub prefix: String,
    /// The share of requests that is logged, 0 to 1.
    pub sampling_fraction: f64,
}

impl InferenceTable {
    /// Whether the request with this id is logged: by the first 64 bits of the id's SHA-256, so that whoever has the id comes to
    /// the same answer.
    pub fn takes(&self, id: &str) -> bool {
        if self.sampling_fraction >= 1.0 {
            return true;
        }
        let drawn = Sha256::digest(id).first_chunk().map_or(u64::MAX, |first| u64::from_be_bytes(*first));
        // 2^64: an f64 holds 53 bits of either, far more than a fraction says.
        (drawn as f64) < self.sampling_fraction * 18_446_744_073_709_551_616.0
    }
}

pub(super) fn read(field: &Field<'_>, endpoint: Option<&str>, is_logged: bool) -> Option<Option<InferenceTable>> {
    let mut table = field.object()?;
    if !table.read("enabled", "`true` or `false`", Field::flag)? {
        table.pass_over(&TABLE_KEYS);
        table.close();
        return Some(None);
    }
    if !is_logged {
        field.report("an inference table", "`logging` in the policy: without it there is nothing that payloads go to");
    }
    let [catalog, schema, prefix, fraction] = TABLE_KEYS;
    let catalog = table.read(catalog, "the catalog's name", |name| name.matching(NAME, is_name).map(str::to_owned));
    let schema = table.read(schema, "the schema's name", |name| name.matching(NAME, is_name).map(str::to_owned));
    let own = endpoint.unwrap_or_default().to_owned();
    let prefix = table.read_or(prefix, own, |prefix| prefix.matching(PREFIX, is_prefix).map(str::to_owned));
    let sampling_fraction = table.read_or(fraction, 1.0, |fraction| {
        let share = fraction.amount()?;
        if share > 1.0 {
            fraction.reject("a number from 0 to 1");
        } else if share == 0.0 {
            fraction.warn("`0`", "a share above 0, or `enabled: false`: nothing is logged");
        }
        Some(share)
    });
    table.close();
    let table =
        InferenceTable { catalog: catalog?, schema: schema?, prefix: prefix?, sampling_fraction: sampling_fraction? };
    Some(Some(table))
}

const TABLE_KEYS: [&str; 4] = ["catalog_name", "schema_name", "table_name_prefix", "sampling_fraction"];
const NAME: &str = "1 to 255 characters without `.`, `/`, spaces and control characters";
const PREFIX: &str = "1 to 128 letters, digits, `_` or `-`";

/// What Unity Catalog takes.
fn is_name(name: &str) -> bool {
    name.len() <= 255 && !name.contains(|c: char| matches!(c, '.' | '/') || c.is_whitespace() || c.is_control())
}

/// It becomes a folder's name at the collector.
fn is_prefix(prefix: &str) -> bool {
    prefix.len() <= 128 && prefix.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}
