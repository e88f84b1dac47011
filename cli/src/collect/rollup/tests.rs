use super::query::{By, Query};
use super::*;

fn facts(rollup: &mut Rollup, time: Micros, user: &str) -> Sums {
    let key =
        Key { endpoint: rollup.name(Some("chat")), entity: rollup.name(Some("a")), user: rollup.name(Some(user)) };
    let sums = Sums { requests: 1, input_tokens: 10, cost_usd: 0.5, ..Sums::default() };
    let limit = rollup.name(Some("user: 60 calls"));
    let failed = [(rollup.name(Some("b")), rollup.name(Some("503")))];
    rollup.add(&Facts {
        time,
        key,
        sums,
        latency_ms: Some(100),
        first_byte_ms: Some(10),
        limit: (user == "alice").then_some(limit),
        fallbacks: if user == "bob" { &failed } else { &[] },
    });
    sums
}

fn json(rollup: &Rollup, query: &Query) -> serde_json::Value {
    serde_json::to_value(rollup.answer(query)).unwrap()
}

#[test]
fn sums_are_split_filtered_and_drawn() {
    let mut rollup = Rollup::new();
    let start = 20_000 * DAY;
    for minute in 0..10 {
        facts(&mut rollup, start + minute * MINUTE, "alice");
        facts(&mut rollup, start + minute * MINUTE + 1, "bob");
        facts(&mut rollup, start + minute * MINUTE + 2, "bob");
    }
    let query = Query { from: start, to: start + 10 * MINUTE, by: By::User, ..Query::default() };
    let got = json(&rollup, &query);
    assert_eq!((&got["totals"]["requests"], &got["totals"]["cost_usd"]), (&30.into(), &15.0.into()));
    assert_eq!((&got["groups"][0]["name"], &got["groups"][0]["requests"]), (&"bob".into(), &20.into()));
    assert_eq!(got["step"], MINUTE);
    assert_eq!(got["lines"][0]["requests"].as_array().unwrap()[..10], vec![serde_json::Value::from(2); 10]);
    assert_eq!((&got["refusals"][0]["user"], &got["refusals"][0]["count"]), (&"alice".into(), &10.into()));
    assert_eq!(
        (&got["refusals"][0]["requests"], &got["refusals"][0]["last"]),
        (&10.into(), &(start + 9 * MINUTE).into())
    );
    assert_eq!((&got["fallbacks"][0]["cause"], &got["fallbacks"][0]["count"]), (&"503".into(), &20.into()));
    let p99 = got["latency_ms"]["p99"].as_f64().unwrap();
    assert!((100.0..=119.0).contains(&p99), "{p99}");
    let alice = json(&rollup, &Query { user: Some("alice".to_owned()), ..query.clone() });
    assert_eq!((&alice["totals"]["requests"], alice["refusals"].as_array().unwrap().len()), (&10.into(), 1));
    assert_eq!(alice["fallbacks"], got["fallbacks"], "they are the models', and not told apart by user");
    let nobody = json(&rollup, &Query { user: Some("carol".to_owned()), ..query.clone() });
    assert_eq!(nobody["totals"]["requests"], 0);
    let first = json(&rollup, &Query { to: start + MINUTE, ..query });
    assert_eq!(first["totals"]["requests"], 3, "the span's end does not belong to it");
    let days = rollup.days(start + DAY, 2);
    assert_eq!(
        days.iter().map(|(day, sums)| (*day, sums.requests)).collect::<Vec<_>>(),
        [(start, 30), (start + DAY, 0)]
    );
}

#[test]
fn minutes_go_hours_stay() {
    let mut rollup = Rollup::new();
    let start = 20_000 * DAY;
    facts(&mut rollup, start, "alice");
    facts(&mut rollup, start + 3 * DAY, "alice");
    assert_eq!((rollup.minutes.buckets.len(), rollup.hours.buckets.len()), (1, 2));
    let query = Query { from: start, to: start + 4 * DAY, ..Query::default() };
    assert_eq!(json(&rollup, &query)["totals"]["requests"], 2);
    facts(&mut rollup, start + 200 * DAY, "alice");
    assert_eq!(rollup.hours.buckets.len(), 1, "older than 93 days");
    facts(&mut rollup, start, "alice");
    assert_eq!(rollup.hours.buckets.len(), 1, "a late one of then");
}

#[test]
fn more_users_than_fit_are_summed_up() {
    let mut rollup = Rollup::new();
    let start = 20_000 * DAY;
    let users = 150_000;
    for hour in 0..4 {
        for user in 0..users {
            facts(&mut rollup, start + hour * HOUR, &user.to_string());
        }
    }
    assert!(rollup.hours.cells <= CELLS, "{}", rollup.hours.cells);
    let counted: usize = rollup.hours.buckets.values().map(|bucket| bucket.cells.len()).sum();
    assert_eq!(counted, rollup.hours.cells);
    let query = Query { from: start, to: start + 4 * HOUR, by: By::User, ..Query::default() };
    let got = json(&rollup, &query);
    assert_eq!((&got["totals"]["requests"], &got["groups"][0]["name"]), (&(4 * users).into(), &"(others)".into()));
}
