//! How the collector is doing: counts since its start and its lag, as JSON and as Prometheus' text.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Map, Value, json};

use super::answer::Answer;
use super::commit::Stats;
use super::page::View;

pub fn json(stats: &Stats, view: Option<&View>) -> Value {
    let rows: Map<String, Value> = stats.rows().map(|(table, rows)| (table.to_owned(), json!(rows))).collect();
    let mut status = json!({
        "rows": rows,
        "duplicates": count(&stats.duplicates),
        "quarantined": count(&stats.quarantined),
        "commits": count(&stats.commits),
        "failed_commits": count(&stats.failed_commits),
    });
    if let (Some(view), Some(status)) = (view, status.as_object_mut()) {
        let trouble = view.flush.trouble();
        let tables = json!({
            "lag_ms": view.lag_ms(),
            "journal_bytes": view.journal.backlog().bytes,
            "rows": count(&view.flush.rows),
            "segments": count(&view.flush.segments),
            "failures": count(&view.flush.failures),
            "compacted_files": count(&view.flush.compacted_files),
            "trouble": if trouble.is_empty() { Value::Null } else { json!(trouble) },
        });
        status.insert("tables".to_owned(), tables);
        status.insert("page_loaded".to_owned(), json!(view.shared.is_loaded()));
    }
    status
}

pub fn prometheus(stats: &Stats, view: Option<&View>) -> Answer {
    let mut text = String::new();
    let name = "weir_collect_rows_total";
    let _ = writeln!(text, "# HELP {name} Rows made durable.\n# TYPE {name} counter");
    for (table, rows) in stats.rows() {
        let _ = writeln!(text, "{name}{{table=\"{table}\"}} {rows}");
    }
    let mut metric = |name: &str, kind: &str, help: &str, value: f64| {
        let _ = writeln!(
            text,
            "# HELP weir_collect_{name} {help}\n# TYPE weir_collect_{name} {kind}\nweir_collect_{name} {value}"
        );
    };
    let number = |n: &AtomicU64| to_f64(count(n));
    metric("duplicates_total", "counter", "Rows that had come before.", number(&stats.duplicates));
    metric("quarantined_total", "counter", "Lines that belong into no table.", number(&stats.quarantined));
    metric("syncs_total", "counter", "Groups of posts made durable by one sync.", number(&stats.commits));
    metric("refused_syncs_total", "counter", "Groups of posts answered 503.", number(&stats.failed_commits));
    if let Some(view) = view {
        let backlog = view.journal.backlog();
        metric(
            "lag_seconds",
            "gauge",
            "How long the oldest row has waited for its table.",
            to_f64(view.lag_ms()) / 1000.0,
        );
        metric("journal_bytes", "gauge", "Rows that wait for their tables, in bytes.", to_f64(backlog.bytes));
        metric("table_rows_total", "counter", "Rows that came into their tables.", number(&view.flush.rows));
        metric("table_failures_total", "counter", "Tries to write tables that failed.", number(&view.flush.failures));
        metric("compacted_files_total", "counter", "Small files put together.", number(&view.flush.compacted_files));
    }
    Answer::Text("text/plain; version=0.0.4; charset=utf-8", text.into())
}

fn count(n: &AtomicU64) -> u64 {
    n.load(Ordering::Relaxed)
}

#[expect(clippy::cast_precision_loss, reason = "counts this side of 2^53")]
fn to_f64(n: u64) -> f64 {
    n as f64
}
