//! Questions, answers and reports, against what the protocol's definition says of their bytes.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::{
    super::{Conflict, Limit, LimitKey, Period, Rules, Weight},
    *,
};
use crate::{
    caller::Principal,
    wire::{Fields, Value, put_bytes, put_number},
};

const NOW: u64 = 1_795_303_077_500;

fn limit(key: LimitKey, units: &[(Unit, u64)], period: Period) -> Limit {
    Limit { key, units: units.to_vec(), period, name: None, cached_input_weight: Weight::FULL, shadow: false }
}

fn caller(principal: Principal, groups: &[&str]) -> Caller {
    Caller { principal, groups: groups.iter().map(|group| (*group).to_owned()).collect() }
}

fn alice() -> Caller {
    caller(Principal::User("alice".into()), &["interns", "research"])
}

/// A request as text: the domain, and a line for each descriptor.
fn shown(request: &[u8]) -> Vec<String> {
    let mut lines = Vec::new();
    for field in Fields(request) {
        match field.unwrap() {
            (1, Value::Bytes(domain)) => lines.push(String::from_utf8(domain.to_vec()).unwrap()),
            (2, Value::Bytes(descriptor)) => lines.push(descriptor_of(descriptor)),
            (3, Value::Number(addend)) => lines[0] += &format!(" +{addend}"),
            other => panic!("{other:?}"),
        }
    }
    lines
}

fn descriptor_of(message: &[u8]) -> String {
    let text = |message: &[u8]| {
        let values = Fields(message).map(|field| match field.unwrap() {
            (_, Value::Bytes(bytes)) => String::from_utf8(bytes.to_vec()).unwrap(),
            (_, Value::Number(number)) => number.to_string(),
        });
        values.collect::<Vec<_>>()
    };
    let parts = Fields(message).map(|field| match field.unwrap() {
        (1, Value::Bytes(entry)) => text(entry).join("="),
        (2, Value::Bytes(limit)) => format!("| {}", text(limit).join("/")),
        (3, Value::Bytes(addend)) => format!("+{}", text(addend).first().map_or("0", |addend| addend.as_str())),
        other => panic!("{other:?}"),
    });
    parts.collect::<Vec<_>>().join(" ")
}

/// A response with these statuses: code, limit, remaining, seconds.
fn response(code: u64, statuses: &[(u64, u64, u64, u64)]) -> Vec<u8> {
    let mut out = Vec::new();
    put_number(&mut out, 1, code);
    for (code, limit, remaining, seconds) in statuses {
        let (mut status, mut of_limit, mut duration) = (Vec::new(), Vec::new(), Vec::new());
        put_number(&mut status, 1, *code);
        put_number(&mut of_limit, 1, *limit);
        put_number(&mut of_limit, 2, 2);
        put_bytes(&mut status, 2, &of_limit);
        put_number(&mut status, 3, *remaining);
        put_number(&mut duration, 1, *seconds);
        put_bytes(&mut status, 4, &duration);
        put_bytes(&mut out, 2, &status);
    }
    out
}

#[test]
fn every_kind_of_counter_has_a_name_of_its_own() {
    let mut weighted = limit(LimitKey::UserGroup("research".into()), &[(Unit::InputTokens, 9)], Period::Day);
    weighted.cached_input_weight = Weight(250_000);
    let limits = Limits::new(
        "chat",
        vec![
            limit(LimitKey::Endpoint, &[(Unit::Calls, 6_000)], Period::Second),
            limit(LimitKey::EachUser, &[(Unit::Calls, 60), (Unit::Tokens, 500)], Period::Minute),
            limit(LimitKey::User("alice".into()), &[(Unit::Calls, 600)], Period::Minute),
            limit(LimitKey::UserGroup("interns".into()), &[(Unit::CostUsd, 1_500)], Period::Month),
            limit(LimitKey::EachMember("interns".into()), &[(Unit::OutputTokens, 7)], Period::Hour),
            weighted,
        ],
        Rules::default(),
    );
    let ask = |caller: &Caller| {
        let held = limits.applicable(caller, Tokens::default());
        shown(&limits.question("weir", caller, &held))
    };
    assert_eq!(
        ask(&alice()),
        [
            "weir",
            "endpoint=chat key=endpoint unit=calls period=second | 6000/1 +1",
            "endpoint=chat key=user principal=alice unit=tokens period=minute | 500/2 +0",
            "endpoint=chat key=user principal=alice unit=calls period=minute | 600/2 +1",
            "endpoint=chat key=user_group principal=interns unit=cost_micro_usd period=month | 2/5 +0",
            "endpoint=chat key=member group=interns principal=alice unit=output_tokens period=hour | 7/3 +0",
            "endpoint=chat key=user_group principal=research unit=input_tokens period=day \
             cached_input_weight_millionths=250000 | 9/4 +0",
        ]
    );
    let anonymous = ask(&caller(Principal::Anonymous, &[]));
    assert_eq!(anonymous[2], "endpoint=chat key=user anonymous=anonymous unit=calls period=minute | 60/2 +1");
    let batch = ask(&caller(Principal::ServicePrincipal("batch".into()), &["interns"]));
    assert!(batch[3].starts_with("endpoint=chat key=member group=interns service_principal=batch"), "{batch:?}");
}

fn two() -> Limits {
    let calls = limit(LimitKey::EachUser, &[(Unit::Calls, 10), (Unit::Tokens, 100)], Period::Minute);
    Limits::new("chat", vec![calls], Rules::default())
}

fn judged(limits: &Limits, answer: &[u8]) -> Result<Admission, Fault> {
    limits.judge(limits.applicable(&alice(), Tokens::default()), answer, NOW)
}

#[test]
fn an_answer_is_a_verdict() {
    let limits = two();
    let Ok(Admission::Admitted(charge)) = judged(&limits, &response(1, &[(1, 10, 3, 20), (1, 100, 40, 20)])) else {
        panic!("not admitted")
    };
    let (requests, tokens) = (charge.requests.unwrap(), charge.tokens.unwrap());
    assert_eq!((requests.limit, requests.remaining, requests.reset_ms), (10, 3, 20_000));
    assert_eq!((tokens.limit, tokens.remaining), (100, 40));
    assert!(charge.is_shared());
    for (name, statuses, unit, used) in [
        ("over", [(2, 10, 0, 20), (1, 100, 40, 20)], Unit::Calls, 10),
        ("a look at what is used up", [(1, 10, 3, 20), (1, 100, 0, 20)], Unit::Tokens, 100),
    ] {
        let Ok(Admission::Refused(refusal)) = judged(&limits, &response(2, &statuses)) else { panic!("{name}") };
        assert_eq!((refusal.unit, refusal.used, refusal.retry_after_seconds()), (unit, used, 20), "{name}");
    }
}

#[test]
fn what_is_no_answer_is_a_fault() {
    let limits = two();
    let unknown = {
        let (mut out, mut status) = (Vec::new(), Vec::new());
        put_number(&mut out, 1, 1);
        put_number(&mut status, 1, 1);
        put_bytes(&mut out, 2, &status);
        put_bytes(&mut out, 2, &status);
        out
    };
    for (answer, fault) in [
        (Vec::new(), Fault::Unreadable),
        (response(0, &[]), Fault::Unreadable),
        (response(1, &[(1, 10, 3, 20)]), Fault::Unreadable),
        (vec![0x08, 0x01, 0x12, 0x09, 0x08], Fault::Unreadable),
        (response(1, &[(1, 10, 3, 20); 101]), Fault::Unreadable),
        (unknown, Fault::NoSuchLimit),
    ] {
        assert_eq!(judged(&limits, &answer), Err(fault), "{answer:?}");
    }
}

/// Limitador says of all together whether there is room.
#[test]
fn an_answer_without_statuses() {
    let limits = Limits::new(
        "chat",
        vec![
            limit(LimitKey::Endpoint, &[(Unit::Calls, 100)], Period::Hour),
            limit(LimitKey::EachUser, &[(Unit::Calls, 10)], Period::Minute),
        ],
        Rules::default(),
    );
    let Ok(Admission::Admitted(charge)) = judged(&limits, &response(1, &[])) else { panic!("not admitted") };
    assert_eq!((charge.requests, charge.tokens), (None, None), "nothing is known of what remains");
    let Ok(Admission::Refused(refusal)) = judged(&limits, &response(2, &[])) else { panic!("not refused") };
    assert_eq!((refusal.limit, refusal.retry_after_seconds(), refusal.requests), (1, 60, None));
}

#[test]
fn shadow_limits_refuse_nobody_and_groups_only_all_together() {
    let mut shadow = limit(LimitKey::Endpoint, &[(Unit::Calls, 5)], Period::Minute);
    shadow.shadow = true;
    let all = |rules| {
        let group = |name: &str| limit(LimitKey::UserGroup(name.into()), &[(Unit::Calls, 5)], Period::Minute);
        Limits::new("chat", vec![shadow.clone(), group("interns"), group("research")], rules)
    };
    let over = [(2, 5, 0, 9), (2, 5, 0, 9), (1, 5, 2, 9)];
    let strictest = all(Rules::default());
    assert!(matches!(judged(&strictest, &response(2, &over)), Ok(Admission::Refused(_))));
    let databricks = all(Rules { conflict: Conflict::Databricks, ..Rules::default() });
    let Ok(Admission::Admitted(charge)) = judged(&databricks, &response(2, &over)) else { panic!("not admitted") };
    assert_eq!(charge.would_limit, Some(0));
    let all_over = [(1, 5, 2, 9), (2, 5, 0, 9), (2, 5, 0, 9)];
    assert!(matches!(judged(&databricks, &response(2, &all_over)), Ok(Admission::Refused(_))));
    assert!(matches!(judged(&databricks, &response(2, &[])), Ok(Admission::Refused(_))), "without statuses");
}

#[test]
fn a_report_is_of_one_counter() {
    let units = [(Unit::Calls, 9), (Unit::Tokens, 900), (Unit::OutputTokens, 900), (Unit::CostUsd, 9_000_000)];
    let both = vec![
        limit(LimitKey::Endpoint, &units[1..3], Period::Minute),
        limit(LimitKey::EachUser, &units, Period::Minute),
    ];
    let used = Tokens { input: 30, cached_input: 0, output: 12, cost: 1_001 };
    let report = |rules: Rules, reserved: Tokens| {
        let limits = Limits::new("chat", both.clone(), rules);
        let counters = limits.applicable(&alice(), reserved);
        let charge = Charge { counters, shared: true, ..Charge::default() };
        let reports = limits.reports(&alice(), &charge, used);
        reports.iter().map(|report| shown(&report.request("weir"))).collect::<Vec<_>>()
    };
    let of = |addend: u64, owner: &str, unit: &str, most: u64| {
        vec![format!("weir +{addend}"), format!("endpoint=chat key={owner} unit={unit} period=minute | {most}/2")]
    };
    let user = "user principal=alice";
    assert_eq!(
        report(Rules::default(), Tokens::default()),
        [
            of(42, "endpoint", "tokens", 900),
            of(12, "endpoint", "output_tokens", 900),
            of(42, user, "tokens", 900),
            of(12, user, "output_tokens", 900),
            of(2, user, "cost_micro_usd", 9_000),
        ]
    );
    // Of a reservation only what was used beyond it: nothing can be given back.
    let reserved = Tokens { input: 50, cached_input: 0, output: 10, cost: 5_000 };
    assert_eq!(
        report(Rules::default(), reserved),
        [of(2, "endpoint", "output_tokens", 900), of(2, user, "output_tokens", 900)]
    );
}

#[test]
fn what_is_larger_than_the_protocol_knows_saturates() {
    assert_eq!(amount(Unit::Tokens, u64::MAX), MAX_AMOUNT);
    assert_eq!((amount(Unit::CostUsd, 0), amount(Unit::CostUsd, 1), amount(Unit::CostUsd, 1_001)), (0, 1, 2));
}

#[test]
fn the_service_names_the_cluster() {
    let cluster = Cluster::Rendered("weir-limits".into());
    let rls = Rls::new(cluster, None, "weir".into(), 20, OnError::Local);
    assert_eq!(rls.service, "\n\u{d}\n\u{b}weir-limits");
    let longest = Cluster::Existing("c".repeat(MAX_CLUSTER_NAME));
    assert_eq!(Rls::new(longest, None, "weir".into(), 20, OnError::Local).service.len(), 129);
}
