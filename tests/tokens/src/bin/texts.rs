//! Prints texts, each as a JSON string on a line, for a reference to count.
//!
//! Usage: texts corpus|fuzz|characters

use std::{io::Write, path::Path};

fn main() {
    let kind = std::env::args().nth(1).expect("usage: texts corpus|fuzz|characters");
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    for text in weir_tokens::texts::of_kind(&kind, Path::new(env!("CARGO_MANIFEST_DIR"))) {
        serde_json::to_writer(&mut out, &text).expect("a text is JSON");
        out.write_all(b"\n").expect("the output takes it");
    }
}
