use super::*;
use crate::collect::line;

fn batch(ids: &[&str]) -> Batch {
    let row = |id: &&str| {
        let row = format!(r#"{{"databricks_request_id":"{id}","request_time":"2026-01-01T00:00:00Z"}}"#);
        line::read(format!(r#"{{"table":"endpoint_usage","row":{row}}}"#).into()).unwrap()
    };
    Batch { rows: ids.iter().map(row).collect(), rejected: Vec::new() }
}

fn known(journal: &Journal) -> usize {
    let mut known = 0;
    journal.recall(usize::MAX, &mut |_| known += 1).unwrap();
    known
}

#[test]
fn segments_come_out_in_order_and_are_forgotten_when_done() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = Journal::open(dir.path(), u64::MAX).unwrap();
    assert!(journal.oldest().is_none());
    journal.append(&batch(&["a"])).unwrap();
    let first = journal.oldest().unwrap();
    journal.append(&batch(&["b", "c"])).unwrap();
    assert_eq!(journal.oldest().unwrap().number, first.number, "until it is done");
    assert_eq!(line::split(&journal.lines(&first).unwrap()).count(), 1);
    journal.done(&first).unwrap();
    let second = journal.oldest().unwrap();
    assert!(second.number > first.number);
    assert_eq!(journal.backlog().bytes, second.bytes);
    journal.done(&second).unwrap();
    assert!(journal.oldest().is_none() && journal.backlog().since.is_none());
}

#[test]
fn numbers_rise_over_restarts_and_torn_lines_are_cut() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = Journal::open(dir.path(), u64::MAX).unwrap();
    let id = journal.id().to_owned();
    for _ in 0..3 {
        journal.append(&batch(&["a"])).unwrap();
        journal.done(&journal.oldest().unwrap()).unwrap();
    }
    let last = journal.state().next;
    drop(journal);
    let mut journal = Journal::open(dir.path(), u64::MAX).unwrap();
    assert_eq!((journal.id(), journal.oldest().is_none()), (id.as_str(), true));
    journal.append(&batch(&["b", "c"])).unwrap();
    let waiting = journal.oldest().unwrap();
    assert!(waiting.number >= last, "{} {last}", waiting.number);
    drop(journal);
    let torn = fs::OpenOptions::new().append(true).open(&waiting.path);
    io::Write::write_all(&mut torn.unwrap(), b"{\"table\":\"endpoint_us").unwrap();
    let journal = Journal::open(dir.path(), u64::MAX).unwrap();
    assert_eq!((journal.oldest().unwrap().bytes, known(&journal)), (waiting.bytes, 2));
}

#[test]
fn a_full_journal_takes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = Journal::open(dir.path(), 200).unwrap();
    journal.append(&batch(&["a"])).unwrap();
    let failure = journal.append(&batch(&["b", "c"])).unwrap_err().to_string();
    assert!(failure.contains("it is full"), "{failure}");
    journal.done(&journal.oldest().unwrap()).unwrap();
    journal.append(&batch(&["b"])).unwrap();
}

#[test]
fn a_folder_has_one_collector() {
    let dir = tempfile::tempdir().unwrap();
    let held = Journal::open(dir.path(), 1).unwrap();
    let failure = Journal::open(dir.path(), 1).err().unwrap().to_string();
    assert!(failure.contains("another collector"), "{failure}");
    drop(held);
    Journal::open(dir.path(), 1).unwrap();
}
