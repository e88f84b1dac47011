//! `weir`: one binary, one subcommand each. It reads the command line and hands over.

mod collect;
mod mock;
mod signals;

use std::process::ExitCode;

use clap::Parser;

/// Weir: an AI gateway inside Envoy. This is its host tool.
#[derive(Parser)]
#[command(name = "weir", version)]
enum Command {
    Collect(collect::Args),
    Mock(mock::Args),
}

fn main() -> ExitCode {
    match Command::parse() {
        Command::Collect(args) => collect::run(args),
        Command::Mock(args) => mock::run(args),
    }
}
