#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;

const MS: u64 = 1_000_000;

fn outbox(max_batch_bytes: usize, max_buffered_bytes: usize) -> Outbox {
    Outbox::new(Bounds { flush_interval_ms: 1_000, max_batch_bytes, max_buffered_bytes })
}

fn row(kind: RowKind, text: &str) -> Row {
    Row { kind, status: 401, line: text.into() }
}

fn batch(outbox: &mut Outbox, now: u64) -> Option<String> {
    outbox.next_batch(now, false).map(|body| String::from_utf8(body.to_vec()).unwrap())
}

#[test]
fn batches_go_by_time_or_size() {
    let mut outbox = outbox(8, 1_000);
    assert_eq!(batch(&mut outbox, 0), None);
    outbox.push(row(RowKind::Usage, "aa"), 0);
    assert_eq!(batch(&mut outbox, 999 * MS), None);
    assert_eq!(batch(&mut outbox, 1_000 * MS).as_deref(), Some("aa\n"));
    assert_eq!(batch(&mut outbox, 9_000 * MS), None, "one is on its way");
    for text in ["bb", "cc", "dd"] {
        outbox.push(row(RowKind::Usage, text), 9_000 * MS);
    }
    outbox.answered(true, 9_000 * MS, 0);
    assert_eq!(batch(&mut outbox, 9_000 * MS).as_deref(), Some("bb\ncc\n"), "by size, at once");
    outbox.answered(true, 9_000 * MS, 0);
    assert_eq!(batch(&mut outbox, 9_001 * MS), None);
    assert_eq!(outbox.next_batch(9_001 * MS, true), Some(&b"dd\n"[..]), "closing");
    outbox.answered(true, 9_001 * MS, 0);
    assert!(outbox.is_empty());
    assert_eq!(outbox.take_tally(), Tally { queued: 4, sent: 4, resent: 0, dropped: 0 });
}

#[test]
fn a_batch_is_sent_until_it_is_accepted() {
    let mut outbox = outbox(100, 1_000);
    outbox.push(row(RowKind::Usage, "a"), 0);
    let mut now = 1_000 * MS;
    let mut waits = Vec::new();
    assert_eq!(batch(&mut outbox, now).as_deref(), Some("a\n"));
    for _ in 0..7 {
        outbox.answered(false, now, 0);
        let failed_at = now;
        while batch(&mut outbox, now).is_none() {
            now += MS;
        }
        waits.push((now - failed_at) / MS);
    }
    assert_eq!(waits, [200, 400, 800, 1_600, 3_200, 5_000, 5_000]);
    outbox.push(row(RowKind::Usage, "b"), now);
    outbox.answered(true, now, 0);
    assert_eq!((outbox.rows(), outbox.take_tally().resent), (1, 7));
    outbox.answered(false, now, u64::MAX);
    assert!(outbox.not_before >= now + 100 * MS, "at most half of the wait is taken off");
}

#[test]
fn the_least_worthy_rows_go_first() {
    let kinds = [RowKind::Usage, RowKind::Stranger, RowKind::Entities, RowKind::Refusal, RowKind::Payload];
    let mut outbox = outbox(1_000, 50);
    for kind in kinds {
        outbox.push(row(kind, "123456789"), 0);
    }
    let left = |outbox: &mut Outbox| {
        outbox.push(row(RowKind::Usage, "123456789"), 0);
        outbox.queues.iter().map(VecDeque::len).collect::<Vec<_>>()
    };
    assert_eq!(left(&mut outbox), [0, 1, 1, 2, 1]);
    assert_eq!(left(&mut outbox), [0, 0, 1, 3, 1]);
    assert_eq!(left(&mut outbox), [0, 0, 0, 4, 1]);
    assert_eq!(left(&mut outbox), [0, 0, 0, 4, 1]);
    outbox.push(row(RowKind::Stranger, "123456789"), 0);
    assert_eq!(outbox.queues[0].len(), 0, "a stranger pushes nothing out");
    assert_eq!(outbox.take_tally().dropped, 5);
    assert_eq!((outbox.rows(), outbox.queued_bytes), (5, 50));
}

#[test]
fn what_is_on_its_way_counts_and_stays() {
    let mut outbox = outbox(20, 40);
    for text in ["1", "2", "3", "4"] {
        outbox.push(row(RowKind::Usage, &text.repeat(9)), 0);
    }
    assert_eq!(outbox.next_batch(0, false).map(<[u8]>::len), Some(20));
    for _ in 0..10 {
        outbox.push(row(RowKind::Usage, "555555555"), 0);
    }
    assert_eq!((outbox.rows(), outbox.queued_bytes), (4, 20));
}

#[test]
fn strangers_are_counted_beyond_a_hundred_a_second() {
    let mut outbox = outbox(100, 1_000);
    for i in 0..250 {
        let status = if i % 2 == 0 { 401 } else { 404 };
        outbox.push(Row { kind: RowKind::Stranger, status, line: b"x".to_vec() }, 7);
    }
    assert_eq!(outbox.rows(), 100);
    outbox.push(row(RowKind::Stranger, "the next second"), 1_000 * MS);
    assert_eq!(outbox.rows(), 101);
    outbox.queues[0].clear();
    (outbox.queued_rows, outbox.queued_bytes) = (0, 0);
    assert!(!outbox.is_empty());
    assert_eq!(outbox.take_uncounted(), BTreeMap::from([(401, 75), (404, 75)]));
    assert!(outbox.is_empty());
}

#[test]
fn what_is_abandoned_is_dropped_and_counted() {
    let mut outbox = outbox(3, 1_000);
    for text in ["aa", "bb", "cc"] {
        outbox.push(row(RowKind::Usage, text), 0);
    }
    assert_eq!(batch(&mut outbox, 0).as_deref(), Some("aa\n"));
    outbox.abandon();
    assert!(outbox.is_empty());
    assert_eq!(outbox.take_tally(), Tally { queued: 3, sent: 0, resent: 0, dropped: 3 });
    outbox.answered(true, 1, 0);
    assert_eq!(outbox.take_tally(), Tally::default(), "an answer that comes too late counts nothing");
}
