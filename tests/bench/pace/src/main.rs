//! Sends one request at a fixed rate to each of several targets, in turns, so that all of them meet the same moments of a
//! busy machine. Prints one JSON object: for each target how many answers were not 200, and the microseconds to the first
//! byte of the body and to its end, sorted. wrk sends as fast as it can and cannot do this.
//!
//! Usage: weir-bench-pace RATE SECONDS BODY_FILE BEARER URL...

use std::{
    error::Error,
    io::Read,
    process::ExitCode,
    sync::{Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use ureq::Agent;

/// Enough that none waits for a connection: answers take milliseconds, streams some 200.
const THREADS: u64 = 16;
/// Connections are opened and Envoy's workers woken before anything is counted.
const WARM_UP: Duration = Duration::from_millis(300);

fn main() -> ExitCode {
    match run(&std::env::args().skip(1).collect::<Vec<_>>()) {
        Ok(found) => {
            println!("{found}");
            ExitCode::SUCCESS
        }
        Err(why) => {
            eprintln!("weir-bench-pace: {why}");
            ExitCode::FAILURE
        }
    }
}

/// What one target answered.
#[derive(Default)]
struct Answers {
    failed: u64,
    first_byte_us: Vec<u64>,
    whole_us: Vec<u64>,
}

fn run(args: &[String]) -> Result<Value, Box<dyn Error>> {
    let [rate, seconds, body, bearer, urls @ ..] = args else {
        return Err("usage: weir-bench-pace RATE SECONDS BODY_FILE BEARER URL...".into());
    };
    let (rate, seconds): (f64, f64) = (rate.parse()?, seconds.parse()?);
    let body = std::fs::read(body)?;
    let answers: Vec<Mutex<Answers>> = urls.iter().map(|_| Mutex::default()).collect();
    let begin = Instant::now();
    thread::scope(|scope| {
        for number in 0..THREADS {
            let (answers, body) = (&answers, &body);
            scope.spawn(move || turns(number, rate, seconds, begin, urls, answers, body, bearer));
        }
    });
    let told = urls.iter().zip(answers).map(|(url, answers)| {
        let mut answers = answers.into_inner().unwrap_or_else(PoisonError::into_inner);
        answers.first_byte_us.sort_unstable();
        answers.whole_us.sort_unstable();
        let told = json!({
            "failed": answers.failed, "first_byte_us": answers.first_byte_us, "whole_us": answers.whole_us,
        });
        (url.clone(), told)
    });
    Ok(Value::Object(told.collect()))
}

/// Every sixteenth turn: all targets, each a fair part of the interval after the one before.
#[allow(clippy::too_many_arguments)]
fn turns(
    number: u64,
    rate: f64,
    seconds: f64,
    begin: Instant,
    urls: &[String],
    answers: &[Mutex<Answers>],
    body: &[u8],
    bearer: &str,
) {
    let agents: Vec<Agent> =
        urls.iter().map(|_| Agent::config_builder().http_status_as_error(false).build().into()).collect();
    let targets = urls.len() as u64;
    let mut turn = number;
    loop {
        let due = Duration::from_secs_f64(turn as f64 / (rate * targets as f64));
        if due.as_secs_f64() > seconds + WARM_UP.as_secs_f64() {
            return;
        }
        thread::sleep((begin + due).saturating_duration_since(Instant::now()));
        let target = (turn % targets) as usize;
        turn += THREADS;
        let (Some(agent), Some(url), Some(answers)) = (agents.get(target), urls.get(target), answers.get(target))
        else {
            return;
        };
        let answer = ask(agent, url, body, bearer);
        if due < WARM_UP {
            continue;
        }
        let mut answers = answers.lock().unwrap_or_else(PoisonError::into_inner);
        match answer {
            Ok((first_byte, whole)) => {
                answers.first_byte_us.push(first_byte.as_micros() as u64);
                answers.whole_us.push(whole.as_micros() as u64);
            }
            Err(_) => answers.failed += 1,
        }
    }
}

fn ask(agent: &Agent, url: &str, body: &[u8], bearer: &str) -> Result<(Duration, Duration), Box<dyn Error>> {
    let begin = Instant::now();
    let answer = agent
        .post(url)
        .header("content-type", "application/json")
        .header("authorization", &format!("Bearer {bearer}"))
        .send(body)?;
    if answer.status() != 200 {
        return Err(answer.status().as_str().into());
    }
    let mut reader = answer.into_body().into_reader();
    reader.read_exact(&mut [0])?;
    let first_byte = begin.elapsed();
    std::io::copy(&mut reader, &mut std::io::sink())?;
    Ok((first_byte, begin.elapsed()))
}
