#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;

const MS: u64 = 1_000_000;

fn outbox(max_batch_bytes: usize, max_buffered_bytes: usize) -> Outbox {
    Outbox::new(Bounds {
        flush_interval_ms: 1_000,
        max_batch_bytes,
        max_buffered_bytes,
        frame: Frame::NDJSON,
        packs_all: true,
    })
}

fn row(kind: RowKind, text: &str) -> Row {
    Row { kind, status: 401, line: text.into() }
}

fn text(batch: &Batch) -> String {
    String::from_utf8(batch.clone().unpacked().body).unwrap()
}

const ACCEPTED: Outcome = Outcome::Accepted { rejected: 0 };
const AGAIN: Outcome = Outcome::Again { after_ms: None };

fn batch(outbox: &mut Outbox, now: u64) -> Option<String> {
    outbox.next_batch(now, false).map(text)
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
    outbox.answered(ACCEPTED, 9_000 * MS, 0);
    assert_eq!(batch(&mut outbox, 9_000 * MS).as_deref(), Some("bb\ncc\n"), "by size, at once");
    outbox.answered(ACCEPTED, 9_000 * MS, 0);
    assert_eq!(batch(&mut outbox, 9_001 * MS), None);
    assert_eq!(outbox.next_batch(9_001 * MS, true).map(text).as_deref(), Some("dd\n"), "closing");
    outbox.answered(ACCEPTED, 9_001 * MS, 0);
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
        outbox.answered(AGAIN, now, 0);
        let failed_at = now;
        while batch(&mut outbox, now).is_none() {
            now += MS;
        }
        waits.push((now - failed_at) / MS);
    }
    assert_eq!(waits, [200, 400, 800, 1_600, 3_200, 5_000, 5_000]);
    outbox.push(row(RowKind::Usage, "b"), now);
    outbox.answered(ACCEPTED, now, 0);
    assert_eq!((outbox.rows(), outbox.take_tally().resent), (1, 7));
    outbox.answered(AGAIN, now, u64::MAX);
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
        outbox.queues.iter().map(|queue| queue.rows.len()).collect::<Vec<_>>()
    };
    assert_eq!(left(&mut outbox), [0, 1, 1, 2, 1]);
    assert_eq!(left(&mut outbox), [0, 0, 1, 3, 1]);
    assert_eq!(left(&mut outbox), [0, 0, 0, 4, 1]);
    assert_eq!(left(&mut outbox), [0, 0, 0, 4, 1]);
    outbox.push(row(RowKind::Stranger, "123456789"), 0);
    assert_eq!(outbox.queues[0].rows.len(), 0, "a stranger pushes nothing out");
    assert_eq!(outbox.take_tally().dropped, 5);
    assert_eq!((outbox.rows(), outbox.queued_bytes), (5, 50));
}

#[test]
fn what_is_on_its_way_counts_and_stays() {
    let mut outbox = outbox(20, 40);
    for text in ["1", "2", "3", "4"] {
        outbox.push(row(RowKind::Usage, &text.repeat(9)), 0);
    }
    assert_eq!(outbox.next_batch(0, false).map(|batch| batch.body.len()), Some(20));
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
    outbox.queues[0].rows.clear();
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
    outbox.abandon(0);
    assert!(outbox.is_empty());
    assert_eq!(outbox.take_tally(), Tally { queued: 3, sent: 0, resent: 0, dropped: 3 });
    outbox.answered(ACCEPTED, 1, 0);
    assert_eq!(outbox.take_tally(), Tally::default(), "an answer that comes too late counts nothing");
}

/// Rows like those of requests.
fn request(number: usize) -> String {
    let id = crate::id::uuid(number as u64 * 7_919, number as u64);
    format!(
        "{{\"table\":\"endpoint_usage\",\"row\":{{\"databricks_request_id\":\"{id}\",\"pad\":\"{}\"}}}}",
        "same ".repeat(180)
    )
}

/// What waits is packed, batch by batch, so that an outage's rows fit; and all of it is sent, each row once.
#[test]
fn a_backlog_is_packed() {
    let mut outbox = outbox(64 << 10, 1 << 20);
    outbox.push(row(RowKind::Usage, "first"), 0);
    assert_eq!(batch(&mut outbox, 1_000 * MS).as_deref(), Some("first\n"));
    let rows = 10_000;
    for number in 0..rows {
        outbox.push(row(RowKind::Usage, &request(number)), 1_000 * MS);
        if number % 50 == 0 {
            assert!(outbox.next_batch(1_000 * MS, false).is_none(), "one is on its way");
        }
        assert!(outbox.queued_bytes <= 1 << 20);
    }
    assert_eq!(
        (outbox.rows(), outbox.take_tally().dropped),
        (rows as u64 + 1, 0),
        "ten times what the bound holds unpacked"
    );
    let mut seen = Vec::new();
    outbox.answered(ACCEPTED, 1_000 * MS, 0);
    while let Some(batch) = outbox.next_batch(3_000 * MS, false) {
        assert!(batch.is_gzip && batch.body.len() < 64 << 10);
        seen.extend(text(batch).lines().map(str::to_owned));
        outbox.answered(ACCEPTED, 3_000 * MS, 0);
    }
    assert_eq!(seen, (0..rows).map(request).collect::<Vec<_>>(), "in order");
    assert_eq!((outbox.rows(), outbox.queued_bytes, outbox.queued_rows), (0, 0, 0));
}

/// Batches of an outage go whole, the least worthy first.
#[test]
fn packed_batches_go_first_too() {
    let mut outbox = outbox(16 << 10, 32 << 10);
    outbox.push(row(RowKind::Entities, "first"), 0);
    outbox.next_batch(1_000 * MS, false).unwrap();
    for number in 0..2_000 {
        for kind in [RowKind::Payload, RowKind::Usage] {
            outbox.push(row(kind, &format!("{}{number}", request(number))), 1_000 * MS);
        }
        outbox.next_batch(1_000 * MS, false);
    }
    let queue = |kind: RowKind| &outbox.queues[kind as usize];
    assert!(queue(RowKind::Payload).batches.is_empty() && !queue(RowKind::Usage).batches.is_empty());
    assert!(outbox.queued_bytes <= 32 << 10);
    let tally = outbox.take_tally();
    assert_eq!(tally.queued, outbox.rows() + tally.dropped);
    let lost = outbox.take_lost(true);
    assert!(
        lost.len() <= 101 && lost.last().unwrap().ends_with("records lost that are not in this log"),
        "{}",
        lost.len()
    );
}

#[test]
fn a_refused_batch_is_taken_apart() {
    let mut outbox = outbox(1_000, 10_000);
    let words = ["a", "b", "bad", "d", "e"];
    words.iter().for_each(|word| outbox.push(row(RowKind::Usage, word), 0));
    let (mut taken, mut posts) = (Vec::new(), 0);
    while let Some(text) = batch(&mut outbox, 1_000 * MS) {
        posts += 1;
        let is_refused = text.contains("bad");
        if !is_refused {
            taken.extend(text.lines().map(str::to_owned));
        }
        outbox.answered(if is_refused { Outcome::TakeApart } else { ACCEPTED }, 1_000 * MS, 0);
    }
    assert_eq!(taken, ["a", "b", "d", "e"]);
    assert_eq!(outbox.take_tally(), Tally { queued: 5, sent: 4, resent: posts - 1, dropped: 1 });
    assert_eq!(outbox.take_lost(true), ["record lost: bad"]);
    assert!(outbox.is_empty());
}

#[test]
fn a_collector_without_gzip_gets_none() {
    let mut outbox = outbox(64 << 10, 1 << 20);
    (0..20).for_each(|number| outbox.push(row(RowKind::Usage, &request(number)), 0));
    assert!(outbox.next_batch(1_000 * MS, false).unwrap().is_gzip);
    outbox.answered(Outcome::Unpack, 1_000 * MS, 0);
    let again = outbox.next_batch(1_000 * MS, false).unwrap();
    assert_eq!((again.is_gzip, again.rows), (false, 20));
    outbox.answered(ACCEPTED, 1_000 * MS, 0);
    (0..20).for_each(|number| outbox.push(row(RowKind::Usage, &request(number)), 1_000 * MS));
    assert!(!outbox.next_batch(2_000 * MS, false).unwrap().is_gzip);
    outbox.answered(Outcome::Unpack, 2_000 * MS, 0);
    assert_eq!(outbox.next_batch(2_000 * MS, false).unwrap().rows, 10, "what is refused without gzip is taken apart");
}

#[test]
fn partly_accepted_dropped_and_asked_to_wait() {
    let mut outbox = outbox(1_000, 10_000);
    for word in ["a", "b", "c"] {
        outbox.push(row(RowKind::Usage, word), 0);
    }
    batch(&mut outbox, 1_000 * MS).unwrap();
    outbox.answered(Outcome::Again { after_ms: Some(7_000) }, 1_000 * MS, 0);
    assert_eq!(batch(&mut outbox, 7_999 * MS), None);
    assert!(batch(&mut outbox, 8_000 * MS).is_some());
    outbox.answered(Outcome::Accepted { rejected: 1 }, 8_000 * MS, 0);
    assert_eq!(outbox.take_tally(), Tally { queued: 3, sent: 2, resent: 1, dropped: 1 });
    outbox.push(row(RowKind::Payload, "{\"table\":\"payload\",secret"), 0);
    outbox.push(row(RowKind::Usage, "d"), 0);
    batch(&mut outbox, 9_000 * MS).unwrap();
    outbox.answered(Outcome::Drop, 9_000 * MS, 0);
    assert_eq!(outbox.take_tally(), Tally { queued: 2, sent: 0, resent: 0, dropped: 2 });
    assert_eq!(
        outbox.take_lost(true),
        ["record lost: d", "2 records lost that are not in this log"],
        "no payload in a log"
    );
}
