//! One request's payload: its id and day in, the row as JSON out. It reads that day's files of every payload table, the ids first.

use deltalake::arrow::array::{AsArray, BooleanArray, RecordBatch};
use deltalake::arrow::compute::filter_record_batch;
use deltalake::arrow::json::LineDelimitedWriter;
use serde_json::Value;

use super::lake::table::{Table, day_of};
use super::lake::{Lake, LakeFailure, file};

/// Must be called outside of an async runtime.
pub fn find(lake: &Lake, id: &str, date: &str) -> Result<Option<Value>, LakeFailure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(LakeFailure::at("payload"))?;
    runtime.block_on(async {
        for name in lake.names().await? {
            if name.ends_with("_payload")
                && let Some(found) = in_table(lake, &name, id, date).await?
            {
                return Ok(Some(found));
            }
        }
        Ok(None)
    })
}

async fn in_table(lake: &Lake, name: &str, id: &str, date: &str) -> Result<Option<Value>, LakeFailure> {
    let failed = LakeFailure::at(name);
    let Some(table) = Table::existing(lake, name).await? else { return Ok(None) };
    let files: Vec<String> = table
        .snapshot()
        .map_err(failed)?
        .log_data()
        .iter()
        .map(|view| view.path().into_owned())
        .filter(|path| day_of(path) == date)
        .collect();
    for path in files {
        let failed = LakeFailure::at(&path);
        let bytes = file::get(&table.object_store(), &path).await?;
        let ids = file::read(bytes.clone(), &["databricks_request_id"], 8192).map_err(LakeFailure::at(&path))?;
        if !ids.map_while(Result::ok).any(|rows| mask(&rows, id).true_count() > 0) {
            continue;
        }
        for rows in file::read(bytes, &[], 64).map_err(LakeFailure::at(&path))? {
            let rows = rows.map_err(LakeFailure::at(&path))?;
            let found = filter_record_batch(&rows, &mask(&rows, id)).map_err(&failed)?;
            if found.num_rows() > 0 {
                return Ok(json(&found));
            }
        }
    }
    Ok(None)
}

fn mask(rows: &RecordBatch, id: &str) -> BooleanArray {
    let ids = rows.column_by_name("databricks_request_id").and_then(|column| column.as_string_opt::<i32>());
    ids.map(|ids| ids.iter().map(|found| Some(found == Some(id))).collect())
        .unwrap_or_else(|| vec![false; rows.num_rows()].into())
}

fn json(rows: &RecordBatch) -> Option<Value> {
    let mut writer = LineDelimitedWriter::new(Vec::new());
    writer.write(rows).ok()?;
    writer.finish().ok()?;
    serde_json::from_slice(&writer.into_inner()).ok()
}
