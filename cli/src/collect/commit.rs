//! Group commit: posts come in from many connections, one thread takes all that wait, removes duplicates, has the sink store
//! them with one sync, and only then tells each post. A post whose group fails is told so, and none of its rows counts as seen.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

use bytes::Bytes;
use serde::Serialize;
use tokio::sync::{mpsc, oneshot};

use super::line::{Rejected, Row, RowId, Table};
use super::live::Live;
use super::seen::Seen;
use super::sink::{Batch, Sink};

/// Posts that wait for the writer; further ones wait for a place.
const QUEUE: usize = 1024;
/// A group takes no further post once it has this many bytes.
const GROUP_BYTES: usize = 32 * 1024 * 1024;

/// What became of one post's lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Receipt {
    /// Stored by this post.
    pub rows: u64,
    /// Stored before.
    pub duplicates: u64,
    pub quarantined: u64,
}

/// Counts since the start.
#[derive(Default)]
pub struct Stats {
    rows: [AtomicU64; Table::ALL.len()],
    pub duplicates: AtomicU64,
    pub quarantined: AtomicU64,
    /// Groups of posts that one sync made durable.
    pub commits: AtomicU64,
    pub failed_commits: AtomicU64,
}

impl Stats {
    /// Rows stored, by table.
    pub fn rows(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        Table::ALL.iter().zip(&self.rows).map(|(table, rows)| (table.name(), rows.load(Ordering::Relaxed)))
    }

    fn stored(&self, rows: &[Row]) {
        for (table, count) in Table::ALL.iter().zip(&self.rows) {
            let n = rows.iter().filter(|row| row.table == *table).count();
            count.fetch_add(n as u64, Ordering::Relaxed);
        }
    }
}

/// The writer's door, for any number of connections.
#[derive(Clone)]
pub struct Committer {
    queue: mpsc::Sender<Post>,
    pub stats: Arc<Stats>,
}

struct Post {
    lines: Vec<Result<Row, Rejected>>,
    bytes: usize,
    done: oneshot::Sender<Result<Receipt, String>>,
}

impl Committer {
    /// Starts the writer; it ends when the last clone of the door is dropped and all that waited is stored.
    pub fn start(sink: Box<dyn Sink>, seen: Seen, live: Option<Live>) -> std::io::Result<(Self, JoinHandle<()>)> {
        let (queue, posts) = mpsc::channel(QUEUE);
        let stats = Arc::new(Stats::default());
        let writer = Writer { sink, seen, live, stats: Arc::clone(&stats) };
        let thread = std::thread::Builder::new().name("writer".to_owned()).spawn(move || writer.run(posts))?;
        Ok((Self { queue, stats }, thread))
    }

    /// Stores a post's lines; done when they are durable. The error says what failed, and that nothing was stored.
    pub async fn commit(&self, lines: Vec<Result<Row, Rejected>>) -> Result<Receipt, String> {
        let stopped = || "the writer has stopped".to_owned();
        let (done, receipt) = oneshot::channel();
        let bytes = lines.iter().map(|line| bytes_of(line).len()).sum();
        self.queue.send(Post { lines, bytes, done }).await.map_err(|_| stopped())?;
        receipt.await.map_err(|_| stopped())?
    }
}

fn bytes_of(line: &Result<Row, Rejected>) -> &Bytes {
    match line {
        Ok(row) => &row.line,
        Err(rejected) => &rejected.line,
    }
}

struct Writer {
    sink: Box<dyn Sink>,
    seen: Seen,
    live: Option<Live>,
    stats: Arc<Stats>,
}

impl Writer {
    fn run(mut self, mut posts: mpsc::Receiver<Post>) {
        while let Some(first) = posts.blocking_recv() {
            let mut bytes = first.bytes;
            let mut group = vec![first];
            while bytes < GROUP_BYTES
                && let Ok(post) = posts.try_recv()
            {
                bytes = bytes.saturating_add(post.bytes);
                group.push(post);
            }
            self.commit(group);
        }
    }

    fn commit(&mut self, group: Vec<Post>) {
        let mut batch = Batch::default();
        let mut fresh: HashSet<RowId> = HashSet::new();
        let mut answers = Vec::with_capacity(group.len());
        for post in group {
            let mut receipt = Receipt::default();
            for line in post.lines {
                match line {
                    Ok(row) if self.seen.contains(row.id) || !fresh.insert(row.id) => receipt.duplicates += 1,
                    Ok(row) => {
                        receipt.rows += 1;
                        batch.rows.push(row);
                    }
                    Err(rejected) => {
                        receipt.quarantined += 1;
                        batch.rejected.push(rejected);
                    }
                }
            }
            answers.push((post.done, receipt));
        }
        let outcome = self.store(batch);
        for (done, receipt) in answers {
            if outcome.is_ok() {
                self.stats.duplicates.fetch_add(receipt.duplicates, Ordering::Relaxed);
                self.stats.quarantined.fetch_add(receipt.quarantined, Ordering::Relaxed);
            }
            // Whoever went away in the meantime will ask again, and find duplicates.
            let _ = done.send(outcome.clone().map(|()| receipt));
        }
    }

    fn store(&mut self, batch: Batch) -> Result<(), String> {
        if batch.rows.is_empty() && batch.rejected.is_empty() {
            return Ok(());
        }
        if let Err(failure) = self.sink.append(&batch) {
            self.stats.failed_commits.fetch_add(1, Ordering::Relaxed);
            super::log(&format!("{failure}; {} rows refused, to be sent again", batch.rows.len()));
            return Err(failure.to_string());
        }
        self.stats.commits.fetch_add(1, Ordering::Relaxed);
        self.stats.stored(&batch.rows);
        for row in batch.rows {
            if !self.sink.merges(row.table) {
                self.seen.insert(row.id);
            }
            if let Some(live) = &self.live {
                live.show(row.line);
            }
        }
        if let Some(live) = &self.live {
            batch.rejected.iter().for_each(|rejected| live.say(format!("quarantined: {}", rejected.reason)));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::path::Path;
    use std::sync::Mutex;

    use super::super::line;
    use super::super::sink::SinkFailure;
    use super::*;

    /// Holds batches, and fails while it is told to.
    #[derive(Clone, Default)]
    struct FakeSink(Arc<Mutex<(Vec<usize>, bool)>>);

    impl Sink for FakeSink {
        fn append(&mut self, batch: &Batch) -> Result<(), SinkFailure> {
            let mut state = self.0.lock().unwrap();
            if state.1 {
                return Err(SinkFailure::at("append to", Path::new("x"))(io::Error::other("full")));
            }
            state.0.push(batch.rows.len() + batch.rejected.len());
            Ok(())
        }

        fn recall(&self, _: usize, _: &mut dyn FnMut(RowId)) -> Result<(), SinkFailure> {
            Ok(())
        }
    }

    fn post(ids: &[&str]) -> (Post, oneshot::Receiver<Result<Receipt, String>>) {
        let line = |id: &&str| {
            line::read(format!(r#"{{"table":"payload","prefix":"x","row":{{"databricks_request_id":"{id}","request_time":"2026-01-01T00:00:00Z"}}}}"#).into())
        };
        let (done, receipt) = oneshot::channel();
        (Post { lines: ids.iter().map(line).collect(), bytes: 0, done }, receipt)
    }

    #[test]
    fn a_group_shares_one_append_and_its_duplicates() {
        let sink = FakeSink::default();
        let mut writer =
            Writer { sink: Box::new(sink.clone()), seen: Seen::new(100), live: None, stats: Arc::default() };
        let (one, mut first) = post(&["a", "b", "a", ""]);
        let (two, mut second) = post(&["b", "c"]);
        writer.commit(vec![one, two]);
        let receipt = |rows, duplicates, quarantined| Ok(Receipt { rows, duplicates, quarantined });
        assert_eq!(first.try_recv().unwrap(), receipt(2, 1, 1));
        assert_eq!(second.try_recv().unwrap(), receipt(1, 1, 0));
        let (again, mut third) = post(&["a", "b", "c"]);
        writer.commit(vec![again]);
        assert_eq!(third.try_recv().unwrap(), receipt(0, 3, 0));
        assert_eq!(sink.0.lock().unwrap().0, [4], "one append, and none for duplicates alone");
        assert_eq!(
            writer.stats.rows().collect::<Vec<_>>(),
            [("endpoint_usage", 0), ("payload", 3), ("payload_access", 0), ("served_entities", 0)]
        );
    }

    #[test]
    fn what_fails_is_not_seen() {
        let sink = FakeSink::default();
        let mut writer =
            Writer { sink: Box::new(sink.clone()), seen: Seen::new(100), live: None, stats: Arc::default() };
        sink.0.lock().unwrap().1 = true;
        let (one, mut first) = post(&["a"]);
        writer.commit(vec![one]);
        assert_eq!(first.try_recv().unwrap(), Err("cannot append to x: full".to_owned()));
        sink.0.lock().unwrap().1 = false;
        let (again, mut second) = post(&["a"]);
        writer.commit(vec![again]);
        assert_eq!(second.try_recv().unwrap().unwrap().rows, 1);
    }
}
