//! `weir usage`: the tables that `weir collect` wrote in, totals out, as a table or as JSON. It reads files of the days that are asked for,
//! row by row, so that its memory is that of the totals; and it changes nothing.

mod print;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::str::FromStr;

use clap::ValueEnum;
use deltalake::arrow::array::{AsArray, RecordBatch};

use crate::collect::lake::batch::date;
use crate::collect::lake::table::{Table, day_of};
use crate::collect::lake::{Lake, LakeFailure, file};
use crate::collect::rollup::Sums;
use crate::collect::rollup::ingest::{COLUMNS, Columns, number, text};
use crate::collect::rollup::load::DETAIL;

/// Totals of requests, tokens and cost from the tables.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where the tables are, as `weir collect --out` has it.
    #[arg(long)]
    out: String,
    /// What to split by: endpoint, entity, user, day, or context.KEY for a key of `usage_context`; several with commas.
    #[arg(long, value_delimiter = ',', default_value = "endpoint")]
    by: Vec<By>,
    /// The first day (UTC), as in 2026-01-31.
    #[arg(long, value_parser = day)]
    since: Option<String>,
    /// The last day (UTC).
    #[arg(long, value_parser = day)]
    until: Option<String>,
    /// That endpoint alone.
    #[arg(long)]
    endpoint: Option<String>,
    /// That user or service principal alone.
    #[arg(long)]
    user: Option<String>,
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    Json,
    Table,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum By {
    Context(String),
    Day,
    Endpoint,
    Entity,
    User,
}

impl FromStr for By {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(match text {
            "day" => Self::Day,
            "endpoint" => Self::Endpoint,
            "entity" => Self::Entity,
            "user" => Self::User,
            text => match text.strip_prefix("context.").filter(|key| !key.is_empty()) {
                Some(key) => Self::Context(key.to_owned()),
                None => return Err(format!("found `{text}`, expected endpoint, entity, user, day or context.KEY")),
            },
        })
    }
}

impl By {
    fn name(&self) -> String {
        match self {
            Self::Context(key) => format!("context.{key}"),
            Self::Day => "day".to_owned(),
            Self::Endpoint => "endpoint".to_owned(),
            Self::Entity => "entity".to_owned(),
            Self::User => "user".to_owned(),
        }
    }
}

/// Totals by what they are split by; a value that a row lacks is none.
type Totals = BTreeMap<Vec<Option<String>>, Sums>;

/// Prints the totals: 0. Tables that are not there or cannot be read: 1.
pub fn run(args: Args) -> ExitCode {
    match totals(&args) {
        Ok(totals) => {
            let names: Vec<String> = args.by.iter().map(By::name).collect();
            match args.format {
                Format::Json => print::json(&names, &totals),
                Format::Table => print::table(&names, &totals),
            }
            ExitCode::SUCCESS
        }
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn totals(args: &Args) -> Result<Totals, LakeFailure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(LakeFailure::at(&args.out))?;
    runtime.block_on(async {
        let lake = Lake::at(&args.out)?;
        let table = Table::existing(&lake, DETAIL).await?;
        let table = table.ok_or_else(|| {
            LakeFailure::new(&args.out, &format!("no table {DETAIL} here; is it the --out of weir collect?"))
        })?;
        let mut totals = Totals::new();
        let columns: Vec<&str> = COLUMNS.into_iter().chain(["usage_context"]).collect();
        for view in table.snapshot().map_err(LakeFailure::at(DETAIL))?.log_data().iter() {
            let path = view.path();
            let day = day_of(&path);
            let outside = args.since.as_deref().is_some_and(|since| day < since)
                || args.until.as_deref().is_some_and(|until| day > until);
            if outside {
                continue;
            }
            let bytes = file::get(&table.object_store(), &path).await?;
            for rows in file::read(bytes, &columns, 8192).map_err(LakeFailure::at(&path))? {
                add(&mut totals, args, &rows.map_err(LakeFailure::at(&path))?);
            }
        }
        Ok(totals)
    })
}

fn add(totals: &mut Totals, args: &Args, rows: &RecordBatch) {
    let columns = Columns::of(rows);
    for at in 0..rows.num_rows() {
        let (endpoint, user) = (text(columns.endpoints, at), text(columns.requesters, at));
        let is_other = |wanted: &Option<String>, found: Option<&str>| wanted.is_some() && wanted.as_deref() != found;
        if is_other(&args.endpoint, endpoint) || is_other(&args.user, user) {
            continue;
        }
        let key = args.by.iter().map(|by| match by {
            By::Context(key) => context(rows, at, key),
            By::Day => number(columns.times, at).map(date),
            By::Endpoint => endpoint.map(str::to_owned),
            By::Entity => text(columns.entities, at).map(str::to_owned),
            By::User => user.map(str::to_owned),
        });
        totals.entry(key.collect()).or_default().add(&columns.sums(at, columns.counted(at)));
    }
}

/// A key's value in a row's `usage_context`.
fn context(rows: &RecordBatch, at: usize, key: &str) -> Option<String> {
    let map = rows.column_by_name("usage_context")?.as_map_opt()?;
    if map.value_length(at) == 0 {
        return None;
    }
    let entries = map.value(at);
    let keys = entries.column(0).as_string_opt::<i32>()?;
    let place = keys.iter().position(|found| found == Some(key))?;
    text(entries.columns().get(1)?.as_string_opt::<i32>(), place).map(str::to_owned)
}

fn day(text: &str) -> Result<String, String> {
    match humantime::parse_rfc3339(&format!("{text}T00:00:00Z")) {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => Err("expected a day as in 2026-01-31".to_owned()),
    }
}
