//! `served_entities`, the one table that is not only appended to: each entity has one row, whose version, change and deletion this
//! assigns as configurations come and go. So the join of usage and entities by `served_entity_id` counts nothing twice.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use deltalake::arrow::json::LineDelimitedWriter;
use deltalake::kernel::{Action, Transaction};
use deltalake::protocol::{DeltaOperation, SaveMode};
use serde::{Deserialize, Serialize};

use super::LakeFailure;
use super::batch::{date, encode};
use super::compact::REWRITE;
use super::file::{self, Building};
use super::table::Table;
use crate::collect::rows::{EntityRow, Micros, now};

/// How often a merge is made again that another collector's came before.
const TRIES: usize = 5;

pub struct Entities {
    table: Table,
    sets: Sets,
    /// Where `sets` outlives this process.
    path: PathBuf,
}

/// What was last told of each account and workspace.
type Sets = BTreeMap<String, Set>;

/// A configuration's entities, as far as they have arrived: they may come in several posts.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
struct Set {
    config_hash: String,
    since: Micros,
    ids: BTreeSet<String>,
    /// The version that this configuration gave to an endpoint.
    versions: BTreeMap<String, i32>,
}

impl Entities {
    pub fn new(table: Table, folder: &Path) -> Self {
        let path = folder.join("entities.json");
        let sets = fs::read(&path).ok().and_then(|json| serde_json::from_slice(&json).ok()).unwrap_or_default();
        Self { table, sets, path }
    }

    /// Merges rows, each with its configuration's hash; a set may be told any number of times.
    pub async fn merge(&mut self, told: &[(String, EntityRow)]) -> Result<(), LakeFailure> {
        for attempt in 1.. {
            let known = self.rows().await?;
            let mut sets = self.sets.clone();
            let rows = merged(&mut sets, known.clone(), told, now());
            self.remember(sets)?;
            if rows == known {
                return Ok(());
            }
            match self.replace(&rows).await {
                Ok(()) => return Ok(()),
                Err(_) if attempt < TRIES => self.table.refresh().await?,
                Err(failure) => return Err(failure),
            }
        }
        Ok(())
    }

    async fn rows(&mut self) -> Result<Vec<EntityRow>, LakeFailure> {
        self.table.refresh().await?;
        let failed = LakeFailure::at("served_entities");
        let mut json = LineDelimitedWriter::new(Vec::new());
        for view in self.table.files() {
            let bytes = file::get(&self.table.store(), &view.path()).await?;
            for batch in file::read(bytes, &[], 8192).map_err(LakeFailure::at("served_entities"))? {
                json.write(&batch.map_err(&failed)?).map_err(&failed)?;
            }
        }
        json.finish().map_err(failed)?;
        let json = json.into_inner();
        let lines = json.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        lines
            .map(|line| serde_json::from_slice(line).map_err(|error| LakeFailure::new("served_entities", &error)))
            .collect()
    }

    /// Puts one file in the place of all.
    async fn replace(&mut self, rows: &[EntityRow]) -> Result<(), LakeFailure> {
        let failed = LakeFailure::at("served_entities");
        let batch = encode(&self.table.schema, rows).map_err(LakeFailure::at("served_entities"))?;
        let mut building = Building::new(self.table.schema.clone(), "change_time", false).map_err(&failed)?;
        building.add(&batch).map_err(&failed)?;
        let time = now();
        let name = format!("entities-{time}-{}.parquet", std::process::id());
        let add = self.table.put(&date(time), &name, building.finish().map_err(failed)?).await?;
        let removes = self.table.files().into_iter().map(|view| Action::Remove(view.remove_action(true)));
        let actions = removes.chain([Action::Add(add)]).collect();
        let operation = DeltaOperation::Write { mode: SaveMode::Overwrite, partition_by: None, predicate: None };
        self.table.commit(actions, operation, Transaction::new(REWRITE, time)).await
    }

    /// Removes the files of earlier sets.
    pub async fn vacuum(&mut self) -> Result<(), LakeFailure> {
        self.table.vacuum().await
    }

    fn remember(&mut self, sets: Sets) -> Result<(), LakeFailure> {
        if sets == self.sets {
            return Ok(());
        }
        let write = || {
            let next = self.path.with_extension("new");
            let mut file = fs::File::create(&next)?;
            file.write_all(&serde_json::to_vec(&sets)?)?;
            file.sync_all()?;
            fs::rename(next, &self.path)
        };
        write().map_err(LakeFailure::at("served_entities"))?;
        self.sets = sets;
        Ok(())
    }
}

/// The table's rows after `told`.
fn merged(sets: &mut Sets, known: Vec<EntityRow>, told: &[(String, EntityRow)], now: Micros) -> Vec<EntityRow> {
    let mut rows = known;
    let mut at: HashMap<String, usize> =
        rows.iter().enumerate().map(|(at, row)| (row.served_entity_id.clone(), at)).collect();
    let mut touched = BTreeSet::new();
    for (config_hash, row) in told {
        let set = sets.entry(workspace(row)).or_default();
        if set.config_hash != *config_hash {
            *set = Set { config_hash: config_hash.clone(), since: now, ..Set::default() };
        }
        set.ids.insert(row.served_entity_id.clone());
        touched.insert(workspace(row));
        let newest =
            rows.iter().filter(|other| other.endpoint_name == row.endpoint_name && workspace(other) == workspace(row));
        let newest = newest.filter_map(|other| other.endpoint_config_version).max().unwrap_or(0);
        let existing = at.get(&row.served_entity_id).and_then(|at| rows.get_mut(*at));
        match existing {
            Some(existing) if existing.endpoint_delete_time.is_none() && same(existing, row) => {}
            // Taken for gone while only a part of its configuration had arrived.
            Some(existing) if existing.endpoint_delete_time >= Some(set.since) && same(existing, row) => {
                existing.endpoint_delete_time = None;
            }
            existing => {
                let version = *set.versions.entry(row.endpoint_name.clone()).or_insert(newest.saturating_add(1));
                let row = EntityRow { endpoint_config_version: Some(version), change_time: Some(now), ..blank(row) };
                match existing {
                    Some(existing) => *existing = row,
                    None => {
                        at.insert(row.served_entity_id.clone(), rows.len());
                        rows.push(row);
                    }
                }
            }
        }
    }
    for row in rows.iter_mut().filter(|row| row.endpoint_delete_time.is_none()) {
        let gone = |set: &Set| !set.ids.contains(&row.served_entity_id);
        if touched.contains(&workspace(row)) && sets.get(&workspace(row)).is_some_and(gone) {
            row.endpoint_delete_time = Some(now);
        }
    }
    rows
}

fn workspace(row: &EntityRow) -> String {
    format!("{}\u{0}{}", row.account_id.as_deref().unwrap_or_default(), row.workspace_id.as_deref().unwrap_or_default())
}

/// A row without what the collector assigns.
fn blank(row: &EntityRow) -> EntityRow {
    EntityRow { endpoint_config_version: None, change_time: None, endpoint_delete_time: None, ..row.clone() }
}

fn same(a: &EntityRow, b: &EntityRow) -> bool {
    blank(a) == blank(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(hash: &str, ids: &[(&str, &str)]) -> Vec<(String, EntityRow)> {
        let row = |(endpoint, id): &(&str, &str)| EntityRow {
            served_entity_id: (*id).to_owned(),
            endpoint_name: (*endpoint).to_owned(),
            workspace_id: Some("prod".to_owned()),
            ..EntityRow::default()
        };
        ids.iter().map(|id| (hash.to_owned(), row(id))).collect()
    }

    /// `(id, version, changed at, deleted at)`.
    fn seen(rows: &[EntityRow]) -> Vec<(&str, i32, Micros, Option<Micros>)> {
        let see = |row: &EntityRow| (row.endpoint_config_version.unwrap(), row.change_time.unwrap());
        rows.iter()
            .map(|row| (row.served_entity_id.as_str(), see(row).0, see(row).1, row.endpoint_delete_time))
            .collect()
    }

    #[test]
    fn versions_rise_and_what_goes_is_marked() {
        let mut sets = Sets::new();
        let first = told("c1", &[("chat", "a"), ("chat", "b"), ("code", "x")]);
        let rows = merged(&mut sets, Vec::new(), &first, 1);
        assert_eq!(seen(&rows), [("a", 1, 1, None), ("b", 1, 1, None), ("x", 1, 1, None)]);
        assert_eq!(merged(&mut sets, rows.clone(), &first, 2), rows, "told again");
        let rows = merged(&mut sets, rows, &told("c2", &[("chat", "a"), ("chat", "c")]), 3);
        assert_eq!(seen(&rows), [("a", 1, 1, None), ("b", 1, 1, Some(3)), ("x", 1, 1, Some(3)), ("c", 2, 3, None)]);
        let rows = merged(&mut sets, rows, &first, 4);
        assert_eq!(
            seen(&rows),
            [("a", 1, 1, None), ("b", 3, 4, None), ("x", 2, 4, None), ("c", 2, 3, Some(4))],
            "rolled back"
        );
    }

    #[test]
    fn a_set_may_come_in_parts_and_workspaces_are_apart() {
        let mut sets = Sets::new();
        let rows = merged(&mut sets, Vec::new(), &told("c1", &[("chat", "a"), ("chat", "b")]), 1);
        let rows = merged(&mut sets, rows, &told("c2", &[("chat", "a")]), 2);
        assert_eq!(seen(&rows), [("a", 1, 1, None), ("b", 1, 1, Some(2))]);
        let rows = merged(&mut sets, rows, &told("c2", &[("chat", "b"), ("chat", "c")]), 3);
        assert_eq!(seen(&rows), [("a", 1, 1, None), ("b", 1, 1, None), ("c", 2, 3, None)]);
        let mut other = told("d1", &[("chat", "z")]);
        other[0].1.workspace_id = Some("test".to_owned());
        let rows = merged(&mut sets, rows, &other, 4);
        assert_eq!(seen(&rows)[3], ("z", 1, 4, None));
        assert!(rows.iter().all(|row| row.endpoint_delete_time.is_none()));
    }
}
