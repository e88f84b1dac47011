//! `weir`: one binary, one subcommand each. It reads the command line and hands over.

mod apply;
mod check;
mod collect;
mod explain;
mod mock;
mod policy;
mod ready;
mod render;
mod signals;
mod usage;

use std::process::ExitCode;

use clap::Parser;

/// Weir: an AI gateway inside Envoy. This is its host tool.
#[derive(Parser)]
#[command(name = "weir", version)]
enum Command {
    Apply(apply::Args),
    Check(check::Args),
    Collect(collect::Args),
    Explain(explain::Args),
    Mock(mock::Args),
    Ready(ready::Args),
    Render(render::Args),
    Usage(usage::Args),
}

fn main() -> ExitCode {
    match Command::parse() {
        Command::Apply(args) => apply::run(&args),
        Command::Check(args) => check::run(args),
        Command::Collect(args) => collect::run(args),
        Command::Explain(args) => explain::run(args),
        Command::Mock(args) => mock::run(args),
        Command::Ready(args) => ready::run(args),
        Command::Render(args) => render::run(args),
        Command::Usage(args) => usage::run(args),
    }
}
