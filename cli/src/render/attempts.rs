//! The filters of one attempt, in the router. The attempt role costs a context in the VM, so it is there only where it has
//! something to do: not on a first attempt in the caller's own API. Envoy then keeps for the second attempt how the first one
//! ended (docs/decisions/0003-the-first-attempt.md); on an attempt that succeeds all of this only looks at what is there.

use serde_json::{Value, json};
use weir_core::{
    attempt::{FAILED_HEADER, FAILED_METADATA, FIRST_IS_OURS, IN_EVERY_PLAN, PLAN},
    paths::CLUSTER_HEADER,
};

use super::version::Chain;

/// The upstream filter that takes headers off, as each route says.
pub const ROUTING_HEADERS: &str = "weir.routing_headers";

/// In the order in which a request passes them. `is_whole`: the attempt role makes each attempt's request.
pub fn filters(attempt: &Value, chain: Chain, is_whole: bool) -> Vec<Value> {
    let codec = json!({
        "name": "envoy.filters.http.upstream_codec",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.upstream_codec.v3.UpstreamCodec",
        },
    });
    match chain {
        // Behind an aggregate cluster the role finds out on each attempt whose turn it is.
        Chain::Composite if !is_whole => vec![
            unless(&tell_of_the_first(), &[not(is_planned()), is_first()]),
            unless(attempt, &[not(is_planned()), and(is_first(), not(is_first_ours()))]),
            unless(&note_the_status(), &[not(is_planned()), succeeded()]),
            take_off_headers(),
            codec,
        ],
        _ => vec![take_off_headers(), unless(attempt, &[not(is_planned())]), codec],
    }
}

/// The attempt before this one is over: its status, and what has gone out of its request.
fn tell_of_the_first() -> Value {
    let value = format!("%DYNAMIC_METADATA({FAILED_METADATA}:status)% %UPSTREAM_WIRE_BYTES_SENT%");
    json!({
        "name": "weir.tell",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.header_mutation.v3.HeaderMutation",
            "mutations": {"request_mutations": [{"append": {
                "header": {"key": FAILED_HEADER, "value": value},
                "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
            }}]},
        },
    })
}

/// Lua, since no other filter of Envoy's can keep something of an answer that is retried. It runs on failures alone.
fn note_the_status() -> Value {
    let code = format!(
        "function envoy_on_response(handle)\n  \
         handle:streamInfo():dynamicMetadata():set(\"{FAILED_METADATA}\", \"status\", handle:headers():get(\":status\"))\nend\n"
    );
    json!({
        "name": "weir.note",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua",
            "default_source_code": {"inline_string": code},
        },
    })
}

/// Does nothing but what a route says (`routes`): requests outside the scope keep all their headers. Where it stands behind the
/// others, the routing header is there on a first attempt alone for them: all attempts share their headers.
fn take_off_headers() -> Value {
    json!({
        "name": ROUTING_HEADERS,
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.header_mutation.v3.HeaderMutation",
        },
    })
}

/// `filter`, skipped where one of the predicates holds.
fn unless(filter: &Value, predicates: &[Value]) -> Value {
    let skip = json!({
        "name": "skip",
        "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.common.matcher.action.v3.SkipFilter"},
    });
    let matcher = |predicate: &Value| json!({"predicate": predicate, "on_match": {"action": skip}});
    json!({
        "name": filter["name"],
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.common.matching.v3.ExtensionWithMatcher",
            "extension_config": filter,
            "xds_matcher": {"matcher_list": {"matchers": predicates.iter().map(matcher).collect::<Vec<_>>()}},
        },
    })
}

fn is_first() -> Value {
    let input = json!({
        "name": "routing_header",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.type.matcher.v3.HttpRequestHeaderMatchInput",
            "header_name": CLUSTER_HEADER,
        },
    });
    single(input, anything())
}

fn is_planned() -> Value {
    single(plan(), json!({"contains": IN_EVERY_PLAN}))
}

fn is_first_ours() -> Value {
    single(plan(), json!({"prefix": FIRST_IS_OURS.to_string()}))
}

fn succeeded() -> Value {
    let input = json!({
        "name": "status",
        "typed_config": {"@type": "type.googleapis.com/envoy.type.matcher.v3.HttpResponseStatusCodeClassMatchInput"},
    });
    single(input, json!({"exact": "2xx"}))
}

fn plan() -> Value {
    json!({
        "name": "plan",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.matching.common_inputs.network.v3.FilterStateInput",
            "key": format!("wasm.{PLAN}"),
        },
    })
}

fn anything() -> Value {
    json!({"safe_regex": {"google_re2": {}, "regex": "(?s).+"}})
}

fn single(input: Value, value_match: Value) -> Value {
    json!({"single_predicate": {"input": input, "value_match": value_match}})
}

fn not(predicate: Value) -> Value {
    json!({"not_matcher": predicate})
}

fn and(one: Value, other: Value) -> Value {
    json!({"and_matcher": {"predicate": [one, other]}})
}
