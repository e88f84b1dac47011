//! The estimator's weights: fitted to one half of the corpus, and held against the other.
//!
//! Usage: estimator fit > filter/core/src/tokens/weights.rs
//!        estimator errors        relative errors in %, mean / 95th percentile, by file of the corpus

use std::path::Path;

use weir_core::tokens::{
    count,
    estimate::{Estimator, STATES, State},
};
use weir_tokens::texts;

/// So many texts of the corpus in a row are one: some 250 tokens.
const IN_A_ROW: usize = 4;

/// Against weights that a few texts would make large. In squared relative errors.
const RIDGE: f64 = 2e-5;

struct Sample {
    text: String,
    tokens: f64,
}

fn main() {
    let samples: Vec<(String, Vec<Sample>)> = texts::corpus(&Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus"))
        .into_iter()
        .map(|(name, texts)| (name, texts.chunks(IN_A_ROW).map(|texts| sample(&texts.join("\n\n"))).collect()))
        .collect();
    match std::env::args().nth(1).as_deref() {
        Some("fit") => print_weights(&fit(&samples)),
        Some("errors") => print_errors(&samples),
        _ => panic!("usage: estimator fit|errors"),
    }
}

fn sample(text: &str) -> Sample {
    let count = count(text.as_bytes());
    assert!(count.is_exact, "a text of the corpus is too long to be counted");
    Sample { text: text.to_owned(), tokens: count.tokens as f64 }
}

fn visits(text: &str) -> [f64; STATES] {
    let mut estimator = Estimator::default();
    estimator.push(text.as_bytes());
    estimator.visits().map(|visits| visits as f64)
}

/// Least squares of relative errors, over every second sample; each file weighs the same.
fn fit(samples: &[(String, Vec<Sample>)]) -> [f64; STATES] {
    let mut matrix = [[0.0; STATES]; STATES];
    let mut right = [0.0; STATES];
    for (_, samples) in samples {
        let share = 1.0 / samples.len() as f64;
        for sample in samples.iter().step_by(2) {
            let row = visits(&sample.text).map(|visits| visits / sample.tokens);
            for (i, left) in row.iter().enumerate() {
                right[i] += left * share;
                row.iter().enumerate().for_each(|(j, value)| matrix[i][j] += left * value * share);
            }
        }
    }
    for state in 0..STATES {
        matrix[state][state] += RIDGE;
        right[state] += RIDGE * prior(state);
    }
    solve(matrix, right)
}

/// What the ridge draws a weight to: what the corpus says little or nothing of is worth this.
fn prior(state: usize) -> f64 {
    const FOUR: usize = State::Four as usize;
    const STRAY: usize = State::Stray as usize;
    match state {
        FOUR => 2.0,
        STRAY => 1.0,
        _ if state >= State::InAccented as usize => 0.0,
        _ => 0.3,
    }
}

/// Gaussian elimination; the matrix is positive definite.
fn solve(mut matrix: [[f64; STATES]; STATES], mut right: [f64; STATES]) -> [f64; STATES] {
    for pivot in 0..STATES {
        for row in pivot + 1..STATES {
            let factor = matrix[row][pivot] / matrix[pivot][pivot];
            for column in pivot..STATES {
                matrix[row][column] -= factor * matrix[pivot][column];
            }
            right[row] -= factor * right[pivot];
        }
    }
    for row in (0..STATES).rev() {
        let known: f64 = (row + 1..STATES).map(|column| matrix[row][column] * right[column]).sum();
        right[row] = (right[row] - known) / matrix[row][row];
    }
    right
}

fn print_weights(weights: &[f64; STATES]) {
    println!(
        "//! What a visit of each of the estimator's states is worth, in tokens. Made by `tests/tokens/src/bin/estimator.rs`:"
    );
    println!("//! fitted to the corpus beside it, not to be edited.");
    println!("\npub const WEIGHTS: [f32; {STATES}] = [");
    weights.iter().for_each(|weight| println!("    {weight:.4},"));
    println!("];");
}

/// Over the samples that nothing was fitted to.
fn print_errors(samples: &[(String, Vec<Sample>)]) {
    let ways: [(&str, fn(&str) -> f64); 3] = [
        ("bytes / 4", |text| text.len() as f64 / 4.0),
        ("characters / 4", |text| text.chars().count() as f64 / 4.0),
        ("Weir", |text| {
            let mut estimator = Estimator::default();
            estimator.push(text.as_bytes());
            estimator.tokens()
        }),
    ];
    println!("| | {} |", ways.map(|(name, _)| name).join(" | "));
    println!("|---|---|---|---|");
    for (name, samples) in samples {
        let cells = ways.map(|(_, way)| {
            let mut errors: Vec<f64> = samples
                .iter()
                .skip(1)
                .step_by(2)
                .map(|sample| (way(&sample.text) / sample.tokens - 1.0).abs() * 100.0)
                .collect();
            errors.sort_by(f64::total_cmp);
            let mean = errors.iter().sum::<f64>() / errors.len() as f64;
            format!("{mean:.1} / {:.1}", errors[errors.len() * 95 / 100])
        });
        println!("| {name} | {} |", cells.join(" | "));
    }
}
