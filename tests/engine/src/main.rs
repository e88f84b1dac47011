//! `weir-e2e-engine PORT [LIMITS]`: a server of the Envoy rate limit protocol whose counters are the limitador crate's. It goes
//! by the limit of each descriptor, as envoyproxy/ratelimit does, and answers with a status for each. With a file of limits it
//! does as Limitador's own server: it goes by the file alone, knows one addend for all, and gives one verdict. One thread: a
//! check and its update are one step.

mod message;
mod server;

use std::collections::HashMap;

use limitador::{
    RateLimiter,
    limit::{Context, Limit, Namespace},
};

use self::message::{Code, Descriptor, DescriptorStatus, Duration, RateLimit, Request, Response};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let port = arguments.next().and_then(|port| port.parse().ok()).expect("usage: weir-e2e-engine PORT [LIMITS]");
    let engine = Engine { limiter: RateLimiter::new(100_000) };
    let file = arguments.next();
    if let Some(file) = &file {
        let text = std::fs::read_to_string(file).expect("a file of limits");
        let limits: Vec<Limit> = serde_yaml_ng::from_str(&text).expect("Limitador's limits");
        for limit in limits {
            engine.limiter.add_limit(limit);
        }
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(server::serve(port, move |request| {
        if file.is_some() { engine.answer_by_file(request) } else { engine.answer(request) }
    }));
}

struct Engine {
    limiter: RateLimiter,
}

impl Engine {
    fn answer(&self, request: &Request) -> Response {
        let one = u64::from(request.hits_addend.max(1));
        let status = |descriptor: &Descriptor| {
            let addend = descriptor.hits_addend.as_ref().map_or(one, |addend| addend.value);
            self.status(&request.domain, descriptor, addend)
        };
        let statuses: Vec<_> = request.descriptors.iter().map(status).collect();
        let is_over = statuses.iter().any(|status| status.code == Code::OverLimit as i32);
        Response { overall_code: code(is_over), statuses }
    }

    /// As `limitador-server`: all entries of all descriptors are what the file's conditions look at.
    fn answer_by_file(&self, request: &Request) -> Response {
        let entries = |descriptor: &Descriptor| -> HashMap<_, _> {
            descriptor.entries.iter().map(|entry| (entry.key.clone(), entry.value.clone())).collect()
        };
        let mut context = Context::default();
        context.list_binding("descriptors".to_owned(), request.descriptors.iter().map(entries).collect());
        let namespace = Namespace::from(request.domain.clone());
        let addend = u64::from(request.hits_addend.max(1));
        let checked = self.limiter.check_rate_limited_and_update(&namespace, &context, addend);
        Response { overall_code: code(checked.expect("conditions that hold or not").limited), statuses: Vec::new() }
    }

    /// Each descriptor is a namespace of its own, with the one limit that it names.
    fn status(&self, domain: &str, descriptor: &Descriptor, addend: u64) -> DescriptorStatus {
        let name: Vec<_> = descriptor.entries.iter().map(|entry| format!("{}={}", entry.key, entry.value)).collect();
        let namespace = Namespace::from(format!("{domain}/{}", name.join("/")));
        let Some(wanted) = &descriptor.limit else { return DescriptorStatus::default() };
        let seconds = seconds(wanted.unit);
        self.limiter.add_limit(Limit::new(namespace.clone(), wanted.requests_per_unit.into(), seconds, vec![], vec![]));
        let (context, maximum) = (Context::from(HashMap::new()), u64::from(wanted.requests_per_unit));
        let checked = match addend {
            // What an answer used is added whether there is room or not.
            2.. => {
                self.limiter.update_counters(&namespace, &context, addend).expect("counters in memory");
                self.limiter.is_rate_limited(&namespace, &context, 0)
            }
            0 => self.limiter.is_rate_limited(&namespace, &context, 0),
            1 => self.limiter.check_rate_limited_and_update(&namespace, &context, 1),
        };
        let checked = checked.expect("counters in memory");
        let counter = checked.counters.first();
        let remaining = counter.and_then(|counter| counter.remaining()).unwrap_or(maximum);
        let reset = counter.and_then(|counter| counter.expires_in()).map_or(seconds, |left| left.as_secs().max(1));
        DescriptorStatus {
            code: code(checked.limited),
            current_limit: Some(RateLimit { requests_per_unit: wanted.requests_per_unit, unit: wanted.unit }),
            limit_remaining: u32::try_from(remaining).unwrap_or(u32::MAX),
            duration_until_reset: Some(Duration { seconds: i64::try_from(reset).unwrap_or(i64::MAX), nanos: 0 }),
        }
    }
}

fn code(is_over: bool) -> i32 {
    if is_over { Code::OverLimit as i32 } else { Code::Ok as i32 }
}

/// `envoy.type.v3.RateLimitUnit`.
fn seconds(unit: i32) -> u64 {
    match unit {
        1 => 1,
        2 => 60,
        3 => 3_600,
        4 => 86_400,
        5 => 30 * 86_400,
        other => panic!("unit {other}"),
    }
}
