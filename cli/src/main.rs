//! `weir`: one binary, one subcommand each. It reads the command line and hands over.

mod mock;
mod signals;

use std::process::ExitCode;

use clap::Parser;

/// Weir: an AI gateway inside Envoy. This is its host tool.
#[derive(Parser)]
#[command(name = "weir", version)]
enum Command {
    Mock(mock::Args),
}

fn main() -> ExitCode {
    match Command::parse() {
        Command::Mock(args) => mock::run(args),
    }
}
