//! Keeping a table small: many files of a day become one, days past their retention go, and files that no version needs are removed.
//! It never changes a row. Two collectors may do this to one table: each such commit is a transaction of one name, so that one wins.

use std::collections::BTreeMap;
use std::time::Duration;

use deltalake::arrow::array::{RecordBatch, new_null_array};
use deltalake::arrow::datatypes::FieldRef;
use deltalake::arrow::error::ArrowError;
use deltalake::kernel::{Action, LogicalFileView, Transaction};
use deltalake::operations::vacuum::VacuumMode;
use deltalake::protocol::DeltaOperation;

use super::LakeFailure;
use super::batch::stored;
use super::file::{self, Building};
use super::table::{Table, day_of};
use crate::collect::rows::now;

/// The transaction of everything that removes files.
pub const REWRITE: &str = "weir-rewrite";

/// Files of this size stay as they are; smaller ones are put together up to it. In memory is one such file and its parts, one by one.
const FULL: i64 = 64 * 1024 * 1024;
/// A day's files are put together when there are so many.
const MANY: usize = 16;
/// Files younger than this stay, so that other collectors' pages see them before they are put together: a minute.
const YOUNG: Duration = Duration::from_secs(60);

impl Table {
    /// Puts a day's small files together, of each day that has many; `every` is how often it is called. Returns how many files went.
    pub async fn compact(&mut self, every: Duration) -> Result<usize, LakeFailure> {
        let mut went = 0usize;
        let young = i64::try_from(every.min(YOUNG).as_millis()).unwrap_or(i64::MAX);
        for bin in bins(self.files(), now().div_euclid(1000).saturating_sub(young)) {
            went = went.saturating_add(bin.len());
            if let Err(failure) = self.rewrite(&bin).await {
                // Another collector came first, most likely: what is there now is looked at the next time.
                self.refresh().await?;
                return Err(failure);
            }
        }
        Ok(went)
    }

    async fn rewrite(&mut self, bin: &[LogicalFileView]) -> Result<(), LakeFailure> {
        let failed = LakeFailure::at(&self.name);
        let mut building = Building::new(stored(&self.schema), self.time, true).map_err(&failed)?;
        let mut date = String::new();
        for view in bin {
            let path = view.path();
            day_of(&path).clone_into(&mut date);
            // Payloads are up to 2 MiB a row, so few rows at a time.
            for batch in file::read(file::get(&self.store(), &path).await?, &[], 256).map_err(&failed)? {
                let rows = batch.and_then(|rows| self.complete(&rows)).map_err(LakeFailure::at(&self.name))?;
                building.add(&rows).map_err(&failed)?;
            }
        }
        let time = now();
        let name = format!("compacted-{time}-{}.parquet", std::process::id());
        let mut add = self.put(&date, &name, building.finish().map_err(failed)?).await?;
        add.data_change = false;
        let removes = bin.iter().map(|view| Action::Remove(view.remove_action(false)));
        let actions = removes.chain([Action::Add(add)]).collect();
        let operation = DeltaOperation::Optimize { predicate: None, target_size: FULL };
        self.commit(actions, operation, Transaction::new(REWRITE, time)).await
    }

    /// A batch of an older file, with nulls for columns that it lacks.
    fn complete(&self, rows: &RecordBatch) -> Result<RecordBatch, ArrowError> {
        let schema = stored(&self.schema);
        let column = |field: &FieldRef| {
            let missing = || new_null_array(field.data_type(), rows.num_rows());
            rows.column_by_name(field.name()).cloned().unwrap_or_else(missing)
        };
        let columns = schema.fields().iter().map(column).collect();
        RecordBatch::try_new(schema, columns)
    }

    /// Removes the days before `date` (as in `2026-01-31`). Returns how many files went.
    pub async fn expire(&mut self, date: &str) -> Result<usize, LakeFailure> {
        let old = |view: &LogicalFileView| day_of(&view.path()) < date;
        let actions: Vec<Action> =
            self.files().iter().filter(|view| old(view)).map(|view| Action::Remove(view.remove_action(true))).collect();
        if actions.is_empty() {
            return Ok(0);
        }
        let went = actions.len();
        let operation = DeltaOperation::Delete { predicate: Some(format!("{} < '{date}'", self.time)) };
        let committed = self.commit(actions, operation, Transaction::new(REWRITE, now())).await;
        if committed.is_err() {
            self.refresh().await?;
        }
        committed.map(|()| went)
    }

    /// Removes files that nothing has needed for as long as the table's properties say, with those that a kill left without a commit.
    pub async fn vacuum(&mut self) -> Result<(), LakeFailure> {
        // What another collector has committed since the last look would be taken for files that were never committed.
        self.refresh().await?;
        let vacuum = self.delta.clone().vacuum().with_mode(VacuumMode::Full);
        let (delta, _) = vacuum.await.map_err(LakeFailure::at(&self.name))?;
        self.delta = delta;
        Ok(())
    }
}

/// What to put together: per day, the small files in the order of their age, where they are many enough.
fn bins(files: Vec<LogicalFileView>, before_ms: i64) -> Vec<Vec<LogicalFileView>> {
    let mut days: BTreeMap<String, Vec<LogicalFileView>> = BTreeMap::new();
    for view in files {
        if view.size() < FULL && view.modification_time() < before_ms {
            let day = day_of(&view.path()).to_owned();
            days.entry(day).or_default().push(view);
        }
    }
    days.into_values()
        .filter_map(|mut files| {
            files.sort_by_key(LogicalFileView::size);
            let sizes: Vec<i64> = files.iter().map(LogicalFileView::size).collect();
            files.truncate(worthwhile(&sizes));
            files.sort_by_key(LogicalFileView::modification_time);
            (files.len() >= MANY).then_some(files)
        })
        .collect()
}

/// How many of the files, the smallest first, are put together: up to a full one, and none that is much larger than all before it
/// together, or a day's first row would be written again every time.
fn worthwhile(sizes: &[i64]) -> usize {
    let mut sum = 0i64;
    for (at, size) in sizes.iter().enumerate() {
        let larger = at > 0 && *size > sum.saturating_mul(4);
        sum = sum.saturating_add(*size);
        if larger || sum > FULL {
            return at;
        }
    }
    sizes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn much_larger_files_and_more_than_a_full_one_are_left() {
        let mib = 1024 * 1024;
        for (sizes, want) in [
            (vec![1; 20], 20),
            (vec![1, 1, 1, 100], 3),
            (vec![10, 41, 100], 1),
            (vec![30 * mib, 30 * mib, 30 * mib], 2),
            (vec![], 0),
        ] {
            assert_eq!(worthwhile(&sizes), want, "{sizes:?}");
        }
    }
}
