//! Which of several limits hold: one table for both rules of `limit_conflict`, to be read by an operator (docs/limits.md
//! has it too). Every limit is of calls a minute; in each case one caller calls without a pause.

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::*;

/// Ann calls, a user who is in the groups `g` and `h`.
struct Case {
    name: &'static str,
    /// Whom each limit is for, as in the policy, with its calls a minute.
    limits: &'static [(&'static str, u64)],
    /// Calls that were used up by others before: of these limits, so many.
    used: &'static [(&'static str, u64)],
    /// How many of Ann's calls are admitted under `strictest`, and under `databricks`.
    strictest: usize,
    databricks: usize,
}

const CASES: &[Case] = &[
    Case { name: "no limit", limits: &[], used: &[], strictest: 99, databricks: 99 },
    Case { name: "the endpoint's alone", limits: &[("endpoint", 5)], used: &[], strictest: 5, databricks: 5 },
    Case {
        name: "it is everybody's",
        limits: &[("endpoint", 5)],
        used: &[("endpoint", 3)],
        strictest: 2,
        databricks: 2,
    },
    Case { name: "the default for each user", limits: &[("user", 4)], used: &[], strictest: 4, databricks: 4 },
    Case {
        name: "her own limit overrides the default, also with more",
        limits: &[("user", 4), ("user ann", 9)],
        used: &[],
        strictest: 9,
        databricks: 9,
    },
    Case {
        name: "another user's does not",
        limits: &[("user", 4), ("user bob", 9)],
        used: &[],
        strictest: 4,
        databricks: 4,
    },
    Case {
        name: "the endpoint's holds beside her own",
        limits: &[("endpoint", 5), ("user ann", 9)],
        used: &[],
        strictest: 5,
        databricks: 5,
    },
    Case { name: "a group's is shared", limits: &[("g", 5)], used: &[("g", 4)], strictest: 1, databricks: 1 },
    Case { name: "a group that she is not in", limits: &[("k", 0)], used: &[], strictest: 99, databricks: 99 },
    Case {
        name: "the default and a group's: the stricter one",
        limits: &[("user", 4), ("g", 6)],
        used: &[],
        strictest: 4,
        databricks: 4,
    },
    Case {
        name: "her own and a group's: her own has priority in databricks",
        limits: &[("user ann", 9), ("g", 6)],
        used: &[],
        strictest: 6,
        databricks: 9,
    },
    Case {
        name: "her own below the group's",
        limits: &[("user ann", 3), ("g", 6)],
        used: &[],
        strictest: 3,
        databricks: 3,
    },
    Case {
        name: "two groups: the lower one, or until both are exceeded",
        limits: &[("g", 3), ("h", 7)],
        used: &[],
        strictest: 3,
        databricks: 7,
    },
    Case {
        name: "two groups, one used up by others",
        limits: &[("g", 3), ("h", 7)],
        used: &[("g", 3)],
        strictest: 0,
        databricks: 7,
    },
    Case {
        name: "two groups, both used up",
        limits: &[("g", 3), ("h", 7)],
        used: &[("g", 3), ("h", 7)],
        strictest: 0,
        databricks: 0,
    },
    Case {
        name: "a group that blocks, beside one that does not",
        limits: &[("g", 0), ("h", 7)],
        used: &[],
        strictest: 0,
        databricks: 7,
    },
    Case {
        name: "a group that she is in without a limit does not lift the other one's",
        limits: &[("g", 3), ("k", 7)],
        used: &[],
        strictest: 3,
        databricks: 3,
    },
    Case {
        name: "the endpoint's holds whatever the groups say",
        limits: &[("endpoint", 5), ("g", 3), ("h", 7)],
        used: &[],
        strictest: 3,
        databricks: 5,
    },
    Case {
        name: "the default holds beside two groups",
        limits: &[("user", 4), ("g", 3), ("h", 7)],
        used: &[],
        strictest: 3,
        databricks: 4,
    },
    Case {
        name: "a group's limit per member is not shared",
        limits: &[("member g", 5)],
        used: &[("member g", 5)],
        strictest: 5,
        databricks: 5,
    },
    Case {
        name: "a group's two limits are one group's",
        limits: &[("g", 9), ("member g", 2), ("h", 7)],
        used: &[],
        strictest: 2,
        databricks: 7,
    },
];

fn key(text: &str) -> LimitKey {
    match text.split_once(' ') {
        Some(("user", name)) => custom(name),
        Some(("member", group)) => LimitKey::EachMember(group.into()),
        _ if text == "endpoint" => LimitKey::Endpoint,
        _ if text == "user" => LimitKey::EachUser,
        _ => group(text),
    }
}

fn rules(conflict: Conflict) -> Rules {
    Rules { conflict, ..Rules::default() }
}

#[test]
fn as_the_table_says() {
    for case in CASES {
        for (conflict, expected) in [(Conflict::Strictest, case.strictest), (Conflict::Databricks, case.databricks)] {
            let all = case.limits.iter().map(|(whose, calls)| limit(key(whose), &[(Unit::Calls, *calls)])).collect();
            let (limits, data) = (Limits::new("chat", all, rules(conflict)), FakeSharedData::default());
            for (whose, calls) in case.used {
                // Somebody else, who meets that limit alone.
                let alone = compiled(vec![limit(key(whose), &[(Unit::Calls, *calls)])]);
                let other = user("other", &[whose.trim_start_matches("member ")]);
                assert_eq!(count(&alone, &data, T0, &other, 99) as u64, *calls, "{}", case.name);
            }
            let ann = user("ann", &["g", "h", "without a limit"]);
            assert_eq!(count(&limits, &data, T0, &ann, 99), expected, "{}: {conflict:?}", case.name);
        }
    }
}

/// docs/limits.md shows the same table.
#[test]
fn the_page_has_the_table() {
    const PAGE: &str = include_str!("../../../../../docs/limits.md");
    for case in CASES {
        let number = |admitted: usize| if admitted == 99 { "all".to_owned() } else { admitted.to_string() };
        let list = |pairs: &[(&str, u64)]| {
            let text: Vec<_> = pairs.iter().map(|(whose, calls)| format!("{whose} {calls}")).collect();
            text.join(", ")
        };
        let row = format!(
            "| {} | {} | {} | {} | {} |",
            case.name,
            list(case.limits),
            list(case.used),
            number(case.strictest),
            number(case.databricks)
        );
        assert!(PAGE.contains(&row), "docs/limits.md has no row\n{row}");
    }
}

#[test]
fn a_custom_limit_has_priority_for_its_own_units_alone() {
    let limits =
        vec![limit(group("g"), &[(Unit::Calls, 3), (Unit::Tokens, 10)]), limit(robot("job"), &[(Unit::Calls, 9)])];
    let limits = Limits::new("chat", limits, rules(Conflict::Databricks));
    let job = caller(Principal::ServicePrincipal("job".into()), &["g"]);
    let data = FakeSharedData::default();
    let charge = admitted(admit(&limits, &data, T0, &job));
    assert_eq!((charge.requests.map(|r| r.limit), charge.tokens.map(|t| t.limit)), (Some(9), Some(10)));
    settle(&limits, &data, T0, &charge, spent(10, 0));
    assert_eq!(refused(admit(&limits, &data, T0, &job)).unit, Unit::Tokens);
}

/// Of two groups the one that lets in first tells when to come back; the headers show the one that binds.
#[test]
fn groups_that_stop_together_say_so_together() {
    let limits = vec![
        per(Period::Hour, group("g"), &[(Unit::Calls, 2)]),
        limit(group("h"), &[(Unit::Calls, 4)]),
        limit(LimitKey::EachUser, &[(Unit::Calls, 100)]),
    ];
    let (limits, data) = (Limits::new("chat", limits, rules(Conflict::Databricks)), FakeSharedData::default());
    let ann = user("ann", &["g", "h"]);
    let remaining: Vec<_> = (0..4).map(|_| admitted(admit(&limits, &data, T0, &ann)).requests.unwrap()).collect();
    // Of two groups without anything left the first one in the policy is shown.
    assert_eq!(remaining.iter().map(|r| (r.limit, r.remaining)).collect::<Vec<_>>(), [(4, 3), (4, 2), (4, 1), (2, 0)]);
    let refusal = refused(admit(&limits, &data, T0, &ann));
    assert_eq!((refusal.limit, refusal.retry_after_ms), (1, 60_000 + 15_000));
    refused(admit(&limits, &data, T0 + refusal.retry_after_ms - 1, &ann));
    admitted(admit(&limits, &data, T0 + refusal.retry_after_ms, &ann));
}

#[test]
fn verdicts_name_what_overrides() {
    let limits = vec![
        limit(LimitKey::EachUser, &[(Unit::Calls, 4), (Unit::Tokens, 5)]),
        limit(group("g"), &[(Unit::Calls, 3)]),
        limit(custom("ann"), &[(Unit::Calls, 9)]),
        limit(group("k"), &[(Unit::Calls, 3)]),
    ];
    let by_ann = Verdict::Overridden { by: 2 };
    let cases = [
        (Conflict::Strictest, [by_ann, Verdict::Applies, Verdict::Applies, Verdict::Applies, Verdict::OfOthers]),
        (Conflict::Databricks, [by_ann, Verdict::Applies, by_ann, Verdict::Applies, Verdict::OfOthers]),
    ];
    for (conflict, expected) in cases {
        let verdicts = Limits::new("chat", limits.clone(), rules(conflict)).verdicts(&user("ann", &["g"]));
        assert_eq!(verdicts.iter().map(|(_, verdict)| *verdict).collect::<Vec<_>>(), expected, "{conflict:?}");
    }
}
