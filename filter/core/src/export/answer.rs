//! What a collector's answer means for the batch: status, `retry-after` and body in; what becomes of the rows out.

use serde::Deserialize;

use crate::config::Format;

/// Of a body no more is read: a receipt is short.
pub const MAX_ANSWER: usize = 4 << 10;

/// An answer to a POST.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// `None`: there was none.
    pub status: Option<u16>,
    /// In seconds.
    pub retry_after: Option<u64>,
    /// At most [`MAX_ANSWER`] of it.
    pub body: Vec<u8>,
}

/// What becomes of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// `rejected`: rows that the collector took and threw away.
    Accepted { rejected: u64 },
    /// Sent again, after so long at least.
    Again { after_ms: Option<u64> },
    /// Too large, or something of it is no record there: halves are sent, and a single row that is refused is dropped.
    TakeApart,
    /// The collector does not take gzip.
    Unpack,
    /// It will never take the batch.
    Drop,
}

impl Answer {
    pub fn outcome(&self, format: Format) -> Outcome {
        let again = Outcome::Again { after_ms: self.retry_after.map(|seconds| seconds.saturating_mul(1_000)) };
        match (format, self.status) {
            (Format::Otlp, Some(200..=299)) => {
                Outcome::Accepted { rejected: self.partial().map_or(0, |part| part.rejected) }
            }
            (Format::Ndjson, Some(200..=299)) => Outcome::Accepted { rejected: 0 },
            (_, Some(400 | 413 | 422)) => Outcome::TakeApart,
            (_, Some(415)) => Outcome::Unpack,
            // A token that is wrong is put right, and the rows are worth more than the letter of OTLP, which wants them dropped.
            (Format::Otlp, None | Some(401 | 403 | 429 | 502 | 503 | 504)) => again,
            (Format::Otlp, Some(_)) => Outcome::Drop,
            (Format::Ndjson, _) => again,
        }
    }

    /// What an OTLP collector says that it threw away, or warns of.
    pub fn partial(&self) -> Option<Partial> {
        let receipt: Receipt = serde_json::from_slice(&self.body).ok()?;
        let partial = receipt.partial_success?;
        let rejected = match partial.rejected_log_records {
            // Protobuf's JSON writes 64 bits as a text.
            serde_json::Value::String(text) => text.parse().unwrap_or(0),
            number => number.as_u64().unwrap_or(0),
        };
        let message = partial.error_message.chars().take(MAX_MESSAGE).collect();
        (rejected > 0 || !partial.error_message.is_empty()).then_some(Partial { rejected, message })
    }
}

const MAX_MESSAGE: usize = 200;

#[derive(Debug, PartialEq, Eq)]
pub struct Partial {
    pub rejected: u64,
    pub message: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Receipt {
    partial_success: Option<PartialSuccess>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
struct PartialSuccess {
    rejected_log_records: serde_json::Value,
    error_message: String,
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn an_answer_decides() {
        let again = |after_ms| Outcome::Again { after_ms };
        let accepted = |rejected| Outcome::Accepted { rejected };
        for (status, ndjson, otlp) in [
            (None, again(None), again(None)),
            (Some(200), accepted(0), accepted(0)),
            (Some(301), again(None), Outcome::Drop),
            (Some(400), Outcome::TakeApart, Outcome::TakeApart),
            (Some(401), again(None), again(None)),
            (Some(404), again(None), Outcome::Drop),
            (Some(413), Outcome::TakeApart, Outcome::TakeApart),
            (Some(415), Outcome::Unpack, Outcome::Unpack),
            (Some(429), again(None), again(None)),
            (Some(500), again(None), Outcome::Drop),
            (Some(503), again(None), again(None)),
        ] {
            let answer = Answer { status, ..Answer::default() };
            assert_eq!((answer.outcome(Format::Ndjson), answer.outcome(Format::Otlp)), (ndjson, otlp), "{status:?}");
        }
        let later = Answer { status: Some(429), retry_after: Some(7), ..Answer::default() };
        assert_eq!(later.outcome(Format::Otlp), again(Some(7_000)));
    }

    #[test]
    fn a_partial_success_is_read() {
        let read = |body: &str| {
            let answer = Answer { status: Some(200), body: body.into(), ..Answer::default() };
            let Outcome::Accepted { rejected } = answer.outcome(Format::Otlp) else { panic!("{body}") };
            (rejected, answer.partial().map(|partial| partial.message).unwrap_or_default())
        };
        for (body, rejected, message) in [
            ("", 0, ""),
            ("{}", 0, ""),
            (r#"{"partialSuccess":{}}"#, 0, ""),
            (r#"{"partialSuccess":{"rejectedLogRecords":"3","errorMessage":"too old"}}"#, 3, "too old"),
            (r#"{"partialSuccess":{"rejectedLogRecords":2}}"#, 2, ""),
            (r#"{"partialSuccess":{"errorMessage":"a warning"}}"#, 0, "a warning"),
            (r#"{"partialSuccess":{"rejectedLogRecords":-1}}"#, 0, ""),
        ] {
            assert_eq!(read(body), (rejected, message.to_owned()), "{body}");
        }
    }
}
