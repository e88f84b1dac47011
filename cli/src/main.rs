//! `weir`: one binary for everything around the filter.

#[allow(dead_code, reason = "its arguments come with the policy's reader")]
mod render;

fn main() {}
