//! The last resort: what is dropped of usage stands in Envoy's log, a line a row, as many a second as a log can take. No payload: a
//! log is no place for prompts. No stranger's row: a flood of them is no loss.

use super::RowKind;
use crate::record::{otlp, payload};

/// Of one worker: some 100 KB a second.
const LINES_PER_SECOND: u32 = 100;

#[derive(Debug, Default)]
pub struct Lost {
    second: u64,
    lines: u32,
    waiting: Vec<String>,
    /// Rows that had no line.
    untold: u64,
}

impl Lost {
    /// How many rows of this kind may have a line now.
    pub fn room(&mut self, kind: Option<RowKind>, now: u64) -> usize {
        let second = now / 1_000_000_000;
        if self.second != second {
            (self.second, self.lines) = (second, 0);
        }
        match kind {
            Some(RowKind::Payload | RowKind::Stranger) => 0,
            _ => LINES_PER_SECOND.saturating_sub(self.lines) as usize,
        }
    }

    /// A row that is lost, for which there is room.
    pub fn tell(&mut self, line: &[u8]) {
        self.lines = self.lines.saturating_add(1);
        self.waiting.push(format!("record lost: {}", String::from_utf8_lossy(line)));
    }

    /// A line of another kind, where there is room.
    pub fn note(&mut self, line: String, now: u64) {
        if self.room(None, now) > 0 {
            self.lines = self.lines.saturating_add(1);
            self.waiting.push(line);
        }
    }

    /// Rows that are lost without a line.
    pub fn count(&mut self, rows: u64) {
        self.untold = self.untold.saturating_add(rows);
    }

    /// Lines for the log; how many rows had none since the last call is the last one.
    pub fn take(&mut self, with_count: bool) -> Vec<String> {
        let mut lines = std::mem::take(&mut self.waiting);
        if with_count && self.untold > 0 {
            lines.push(format!("{} records lost that are not in this log", std::mem::take(&mut self.untold)));
        }
        lines
    }
}

/// Whether a row of either format is no payload.
pub fn may_be_told(line: &[u8]) -> bool {
    ![payload::HEAD, otlp::PAYLOAD_HEAD].iter().any(|head| line.starts_with(head.as_bytes()))
}
