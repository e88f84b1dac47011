//! One Delta table: opened or made, appended to with the journal's segment number as the transaction, so that a segment's rows come into
//! it once however often they are tried. Others may write the same table: a commit that loses the race is made again on theirs.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use deltalake::arrow::array::RecordBatch;
use deltalake::arrow::datatypes::SchemaRef;
use deltalake::kernel::engine::arrow_conversion::TryIntoKernel as _;
use deltalake::kernel::transaction::{CommitBuilder, CommitProperties};
use deltalake::kernel::{Action, Add, LogicalFileView, StructField, StructType, Transaction};
use deltalake::logstore::ObjectStoreRef;
use deltalake::protocol::{DeltaOperation, SaveMode};
use deltalake::{DeltaTable, DeltaTableBuilder, DeltaTableError, TableProperty};

use super::batch::{Day, stored};
use super::file::{self, Building};
use super::schema::DATE;
use super::{Lake, LakeFailure};

/// A checkpoint of the log every so many commits, and then old commits are cleared away.
const CHECKPOINT: u64 = 100;

pub struct Table {
    pub name: String,
    pub delta: DeltaTable,
    pub schema: SchemaRef,
    /// The column of times by which a row belongs to a day.
    pub time: &'static str,
    pub local: Option<PathBuf>,
}

impl Table {
    /// Opens a table, or makes it. A column that a table of an older version lacks is added.
    pub async fn open(lake: &Lake, name: &str, schema: SchemaRef, time: &'static str) -> Result<Self, LakeFailure> {
        let failed = LakeFailure::at(name);
        let (url, local) = lake.place(name)?;
        if let Some(folder) = &local {
            std::fs::create_dir_all(folder).map_err(LakeFailure::at(name))?;
            mend(folder).map_err(LakeFailure::at(name))?;
        }
        let mut delta = DeltaTableBuilder::from_url(url).and_then(DeltaTableBuilder::build).map_err(&failed)?;
        match delta.load().await {
            Ok(()) => {}
            Err(DeltaTableError::NotATable(_)) => delta = create(delta, name, &schema, &kept(lake)).await?,
            Err(error) => return Err(failed(error)),
        }
        let mut table = Self { name: name.to_owned(), delta, schema, time, local };
        table.add_columns().await?;
        table.set_properties(kept(lake)).await?;
        Ok(table)
    }

    /// Opens a table if it is there.
    pub async fn existing(lake: &Lake, name: &str) -> Result<Option<DeltaTable>, LakeFailure> {
        let failed = LakeFailure::at(name);
        let (url, local) = lake.place(name)?;
        if local.is_some_and(|folder| !folder.join("_delta_log").is_dir()) {
            return Ok(None);
        }
        let mut delta = DeltaTableBuilder::from_url(url).and_then(DeltaTableBuilder::build).map_err(&failed)?;
        match delta.load().await {
            Ok(()) => Ok(Some(delta)),
            Err(DeltaTableError::NotATable(_)) => Ok(None),
            Err(error) => Err(failed(error)),
        }
    }

    async fn add_columns(&mut self) -> Result<(), LakeFailure> {
        let failed = LakeFailure::at(&self.name);
        let wanted: Vec<StructField> = fields(&self.schema).map_err(&failed)?;
        let known = self.delta.snapshot().map_err(&failed)?.schema();
        let missing: Vec<StructField> =
            wanted.into_iter().filter(|field| known.field(field.name()).is_none()).collect();
        if !missing.is_empty() {
            self.delta = self.delta.clone().add_columns().with_fields(missing).await.map_err(failed)?;
        }
        Ok(())
    }

    /// Where they are not so already: a table of an older start has its properties.
    async fn set_properties(&mut self, wanted: Properties) -> Result<(), LakeFailure> {
        let failed = LakeFailure::at(&self.name);
        let known = self.delta.snapshot().map_err(&failed)?.metadata().configuration().clone();
        if wanted.iter().any(|(name, value)| known.get(name) != Some(value)) {
            self.delta = self.delta.clone().set_tbl_properties().with_properties(wanted).await.map_err(failed)?;
        }
        Ok(())
    }

    pub fn store(&self) -> ObjectStoreRef {
        self.delta.object_store()
    }

    /// The last segment of a journal whose rows are in this table.
    pub async fn last_segment(&self, journal: &str) -> Result<Option<i64>, LakeFailure> {
        let failed = LakeFailure::at(&self.name);
        let log = self.delta.log_store();
        let state = self.delta.snapshot().map_err(&failed)?;
        state.transaction_version(log.as_ref(), journal).await.map_err(failed)
    }

    /// Adds a segment's rows. Durable when it returns.
    pub async fn append(&mut self, journal: &str, segment: i64, days: Vec<Day>) -> Result<(), LakeFailure> {
        let mut actions = Vec::with_capacity(days.len());
        let name = format!("{journal}-{segment}.parquet");
        for day in days {
            actions.push(Action::Add(self.write(&day.date, &name, &[day.rows]).await?));
        }
        let partition_by = self.is_partitioned().then(|| vec![DATE.to_owned()]);
        let operation = DeltaOperation::Write { mode: SaveMode::Append, partition_by, predicate: None };
        self.commit(actions, operation, Transaction::new(journal, segment)).await
    }

    /// Writes a file of one day's rows and makes its entry.
    async fn write(&self, date: &str, name: &str, rows: &[RecordBatch]) -> Result<Add, LakeFailure> {
        let failed = LakeFailure::at(&self.name);
        let mut building = Building::new(stored(&self.schema), self.time, false).map_err(&failed)?;
        for batch in rows {
            building.add(batch).map_err(&failed)?;
        }
        self.put(date, name, building.finish().map_err(failed)?).await
    }

    /// Puts a file into a day's folder.
    pub async fn put(&self, date: &str, name: &str, built: file::Built) -> Result<Add, LakeFailure> {
        let partition = self.is_partitioned().then_some((DATE, date));
        let folder = if partition.is_some() { format!("{DATE}={date}") } else { date.to_owned() };
        file::put(&self.store(), self.local.as_deref(), &format!("{folder}/{name}"), partition, built).await
    }

    /// Commits, again on top of what others committed meanwhile. A transaction that somebody else has made is a conflict.
    pub async fn commit(
        &mut self,
        actions: Vec<Action>,
        operation: DeltaOperation,
        transaction: Transaction,
    ) -> Result<(), LakeFailure> {
        let failed = LakeFailure::at(&self.name);
        let state = self.delta.snapshot().map_err(&failed)?;
        let tidy = state.version().saturating_add(2).is_multiple_of(CHECKPOINT);
        let properties =
            CommitProperties::default().with_application_transaction(transaction).with_cleanup_expired_logs(Some(tidy));
        let build =
            CommitBuilder::from(properties).with_actions(actions).build(Some(state), self.delta.log_store(), operation);
        let committed = build.await.map_err(&failed)?;
        if let Some(root) = &self.local {
            let path = format!("_delta_log/{:020}.json", committed.version());
            file::sync(root, &path).map_err(LakeFailure::at(&self.name))?;
        }
        self.delta.state = Some(committed.snapshot());
        Ok(())
    }

    /// Reads what others committed.
    pub async fn refresh(&mut self) -> Result<(), LakeFailure> {
        self.delta.update_state().await.map_err(LakeFailure::at(&self.name))
    }

    pub fn is_partitioned(&self) -> bool {
        self.schema.field_with_name(DATE).is_ok()
    }

    pub fn files(&self) -> Vec<LogicalFileView> {
        self.delta.snapshot().map(|state| state.log_data().iter().collect()).unwrap_or_default()
    }
}

/// Removes a last commit that a power cut left without its content: it was never synced, so its rows are still in the journal. A commit
/// gets its name when all of it is written, so none that another collector makes at this moment looks like that.
fn mend(folder: &Path) -> std::io::Result<()> {
    let Ok(log) = std::fs::read_dir(folder.join("_delta_log")) else { return Ok(()) };
    let commits = log.filter_map(|entry| Some(entry.ok()?.path()));
    let last = commits.filter(|path| path.extension().is_some_and(|extension| extension == "json")).max();
    if let Some(last) = last
        && !std::fs::read(&last)?.ends_with(b"}")
        && !std::fs::read(&last)?.ends_with(b"}\n")
    {
        crate::collect::log(&format!("{}: removed, a power cut left it torn", last.display()));
        std::fs::remove_file(&last)?;
    }
    Ok(())
}

/// The day of a file: its folder's name, with or without the partition's column.
pub fn day_of(path: &str) -> &str {
    let folder = path.split_once('/').map(|(folder, _)| folder).unwrap_or_default();
    folder.rsplit_once('=').map_or(folder, |(_, date)| date)
}

fn fields(schema: &SchemaRef) -> Result<Vec<StructField>, DeltaTableError> {
    let structure: StructType = schema.as_ref().try_into_kernel()?;
    Ok(structure.fields().cloned().collect())
}

type Properties = HashMap<String, String>;

/// How long old versions and their files are kept: as long as a query may last. Nobody travels in time here, the rows have theirs.
fn kept(lake: &Lake) -> Properties {
    let interval = format!("interval {} seconds", lake.keep.as_secs());
    let both = [TableProperty::LogRetentionDuration, TableProperty::DeletedFileRetentionDuration];
    both.map(|property| (property.as_ref().to_owned(), interval.clone())).into()
}

async fn create(
    delta: DeltaTable,
    name: &str,
    schema: &SchemaRef,
    kept: &Properties,
) -> Result<DeltaTable, LakeFailure> {
    let failed = LakeFailure::at(name);
    let date = schema.field_with_name(DATE).ok().map(|field| field.name().clone());
    let made = delta
        .create()
        .with_table_name(name)
        .with_save_mode(SaveMode::Ignore)
        .with_columns(fields(schema).map_err(&failed)?)
        .with_partition_columns(date)
        .with_configuration_property(TableProperty::CheckpointInterval, Some(CHECKPOINT.to_string()))
        .with_configuration_property(TableProperty::EnableExpiredLogCleanup, Some("true"))
        .with_configuration(kept.iter().map(|(name, value)| (name.clone(), Some(value.clone()))));
    match made.await {
        Ok(made) => Ok(made),
        // Another collector was faster.
        Err(_) => {
            let mut delta = delta;
            delta.load().await.map_err(failed)?;
            Ok(delta)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_last_commit_goes() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("_delta_log");
        std::fs::create_dir(&log).unwrap();
        for (last, stays) in
            [("", false), ("{\"add\":{", false), ("\0\0\0", false), ("{\"add\":{}}", true), ("{}\n", true)]
        {
            std::fs::write(log.join("00000000000000000000.json"), "").unwrap();
            std::fs::write(log.join("00000000000000000001.json"), last).unwrap();
            mend(dir.path()).unwrap();
            assert_eq!(log.join("00000000000000000001.json").exists(), stays, "{last:?}");
            assert!(log.join("00000000000000000000.json").exists(), "only the last one can be torn");
        }
        mend(&dir.path().join("none")).unwrap();
    }
}
