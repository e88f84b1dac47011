//! The root context of each role: takes a configuration, makes streams, and on ticks sends what the outbox holds and fetches
//! the tokens that are due.

use std::{
    cell::RefCell,
    rc::{Rc, Weak},
};

use proxy_wasm::{
    traits::{Context, HttpContext, RootContext},
    types::ContextType,
};
use weir_core::{
    attempt::Attempt,
    config::{Config, MissingSecrets, Tokenizer},
    delivery::{self, Delivery},
    exchange::Exchange,
    export::{self, Answer, Exporter, MAX_ANSWER},
    gateway::Gateway,
    host::Host,
    limits::{self, rls},
    metrics::Metric,
    oauth::{
        self,
        keeper::{self, Fetch, Keeper},
    },
    restore::Restore,
    tokens::calibrate,
    unpaused::Unpaused,
};

use crate::{
    apply::{Metrics, Shared, Sinks},
    host::EnvoyHost,
    stream::Stream,
};

/// By the plugin's `root_id`; any that is no other role's is the gateway's.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Role {
    #[default]
    Gateway,
    /// Where it cannot pause on headers.
    GatewayUnpaused,
    Attempt,
    /// Behind aggregate clusters.
    AttemptByHost,
    Restore,
}

impl Role {
    fn of(root_id: Option<&[u8]>) -> Self {
        match root_id {
            Some(b"attempt") => Self::Attempt,
            Some(b"attempt-by-host") => Self::AttemptByHost,
            Some(b"gateway-unpaused") => Self::GatewayUnpaused,
            Some(b"restore") => Self::Restore,
            _ => Self::Gateway,
        }
    }
}

thread_local! {
    /// Configurations in force in this VM: the roles are given the same document, and share what it compiles to.
    static IN_FORCE: RefCell<Vec<Weak<Gateway>>> = const { RefCell::new(Vec::new()) };
}

#[derive(Default)]
pub struct Root {
    role: Role,
    gateway: Option<Rc<Gateway>>,
    sinks: Sinks,
    /// `None`: no provider's token must be fetched.
    keeper: Option<Keeper>,
    /// Callouts for tokens that are on their way, and for which grants.
    fetches: Vec<(u32, usize)>,
}

impl Root {
    fn tick(&mut self) {
        self.fetch();
        self.send_reports();
        self.export();
    }

    /// Asks for the tokens that are due.
    fn fetch(&mut self) {
        let Some(keeper) = &mut self.keeper else { return };
        for Fetch { grant, post } in keeper.tick(&EnvoyHost::default()) {
            match EnvoyHost::default().post(&post) {
                Some(call) => self.fetches.push((call, grant)),
                None => warn(keeper.answered(grant, None, &[], &EnvoyHost::default())),
            }
        }
        self.sinks.metrics.set(Metric::TokensFailing, keeper.failing(), &EnvoyHost::default());
    }

    fn export(&mut self) {
        self.send_records();
        // A configuration that goes waits for both.
        let records = self.sinks.exporter.as_ref().map(|exporter| exporter.borrow_mut().is_over(&EnvoyHost::default()));
        let reports =
            self.sinks.shared.as_ref().map(|shared| shared.reports.borrow().is_over(EnvoyHost::default().now()));
        if let Some(exporter) = &self.sinks.exporter {
            self.sinks.report(exporter, &EnvoyHost::default());
            exporter.borrow_mut().take_lost(true).iter().for_each(|line| log::warn!("{line}"));
        }
        if (records, reports) != (None, None) && records.unwrap_or(true) && reports.unwrap_or(true) {
            EnvoyHost::default().done();
        }
    }

    /// What outlives streams, and how often it wants to be looked at.
    fn begin(&mut self, gateway: &Rc<Gateway>) {
        self.sinks.exporter = Exporter::new(gateway.clone()).map(|exporter| Rc::new(RefCell::new(exporter)));
        let shared = || Shared { gateway: gateway.clone(), reports: Rc::default() };
        self.sinks.shared = gateway.config.rls.as_ref().map(|_| shared());
        let records = self.sinks.exporter.as_ref().map(|exporter| exporter.borrow().tick_ms());
        let reports = self.sinks.shared.as_ref().map(|_| rls::TICK_MS);
        self.keeper = Keeper::new(gateway.clone());
        self.sinks.metrics.set(Metric::TokensFailing, 0, &EnvoyHost::default());
        let tokens = self.keeper.as_ref().map(|_| keeper::TICK_MS);
        if let Some(period) = records.into_iter().chain(reports).chain(tokens).min() {
            EnvoyHost::default().set_tick_period_ms(period);
        }
    }

    fn send_records(&self) {
        let Some(exporter) = &self.sinks.exporter else { return };
        let post = exporter.borrow_mut().tick(&EnvoyHost::default());
        if let Some(post) = post
            && EnvoyHost::default().post(&post).is_none()
        {
            exporter.borrow_mut().answered(&Answer::default(), &EnvoyHost::default());
        }
    }

    /// What answers used, to the engine that counts it.
    fn send_reports(&self) {
        let Some(Shared { gateway, reports }) = &self.sinks.shared else { return };
        let Some(rls) = &gateway.config.rls else { return };
        let mut reports = reports.borrow_mut();
        while let Some(sent) = reports.take() {
            let call = EnvoyHost::default().should_rate_limit(rls, &sent.report.request(&rls.domain), rls::TIMEOUT_MS);
            reports.sent(call, sent);
        }
        let lost = i64::try_from(reports.take_lost()).unwrap_or(i64::MAX);
        self.sinks.metrics.add(Metric::RlsReportsLost, lost, &EnvoyHost::default());
    }
}

impl Context for Root {
    fn on_http_call_response(&mut self, call: u32, _: usize, _: usize, _: usize) {
        if let Some(at) = self.fetches.iter().position(|(own, _)| *own == call) {
            let (_, grant) = self.fetches.swap_remove(at);
            let Some(keeper) = &mut self.keeper else { return };
            let answer = EnvoyHost::default().answer(keeper::MAX_ANSWER);
            warn(keeper.answered(grant, answer.status, &answer.body, &EnvoyHost::default()));
            self.sinks.metrics.set(Metric::TokensFailing, keeper.failing(), &EnvoyHost::default());
            return;
        }
        let Some(exporter) = &self.sinks.exporter else { return };
        exporter.borrow_mut().answered(&EnvoyHost::default().answer(MAX_ANSWER), &EnvoyHost::default());
        // The next batch, if one is due, need not wait for the next tick.
        self.export();
    }

    fn on_grpc_call_response(&mut self, call: u32, status: u32, size: usize) {
        let Some(shared) = &self.sinks.shared else { return };
        let message = (status == 0).then(|| Host::answer(&EnvoyHost::default(), size.min(rls::MAX_REPORT_ANSWER)));
        shared.reports.borrow_mut().answered(call, message.as_deref());
    }

    /// The configuration goes: it stays until its rows and reports are sent, or a bound has passed.
    fn on_done(&mut self) -> bool {
        let records =
            self.sinks.exporter.as_ref().is_none_or(|exporter| exporter.borrow_mut().close(&EnvoyHost::default()));
        let close = |shared: &Shared| shared.reports.borrow_mut().close(EnvoyHost::default().now());
        records & self.sinks.shared.as_ref().is_none_or(close)
    }
}

impl RootContext for Root {
    fn on_configure(&mut self, _: usize) -> bool {
        self.role = Role::of(EnvoyHost::default().property(&["plugin_root_id"]).as_deref());
        self.sinks.metrics = Metrics::define(&EnvoyHost::default());
        let Some(gateway) = in_force(&EnvoyHost::default().configuration()) else {
            self.sinks.metrics.set(Metric::ConfigRejected, 1, &EnvoyHost::default());
            return false;
        };
        if limits::is_first(&EnvoyHost::default()) {
            self.sinks.metrics.set(Metric::LimitCounters, 0, &EnvoyHost::default());
        }
        export::create_key(&EnvoyHost::default());
        let entities = gateway.config.endpoints.iter().flat_map(|endpoint| &endpoint.entities);
        for entity in entities.filter(|entity| entity.tokenizer == Tokenizer::Ratio) {
            calibrate::create_key(&EnvoyHost::default(), &entity.id);
        }
        keeper::grants(&gateway.config).for_each(|grant| oauth::create_key(&EnvoyHost::default(), grant));
        if matches!(self.role, Role::Gateway | Role::GatewayUnpaused) {
            self.sinks.metrics.set(Metric::ConfigRejected, 0, &EnvoyHost::default());
            self.begin(&gateway);
        }
        self.gateway = Some(gateway);
        true
    }

    fn on_tick(&mut self) {
        self.tick();
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }

    fn create_http_context(&self, context: u32) -> Option<Box<dyn HttpContext>> {
        let gateway = self.gateway.clone()?;
        let sinks = Sinks { context, ..self.sinks.clone() };
        Some(match self.role {
            Role::Attempt => Box::new(Stream { engine: Attempt::new(gateway, planned_with), sinks }),
            Role::AttemptByHost => Box::new(Stream { engine: Attempt::by_host(gateway, planned_with), sinks }),
            Role::Gateway => Box::new(Stream { engine: Exchange::new(gateway), sinks }),
            Role::GatewayUnpaused => Box::new(Stream { engine: Unpaused::new(gateway), sinks }),
            Role::Restore => Box::new(Stream { engine: Restore::new(gateway), sinks }),
        })
    }
}

/// The configuration that a policy was in force with, while anybody holds it; the newest of several with other secrets.
fn planned_with(hash: &str) -> Option<Rc<Gateway>> {
    IN_FORCE.with_borrow(|known| known.iter().rev().filter_map(Weak::upgrade).find(|known| known.config.hash == hash))
}

/// What a configuration compiles to, compiled once per VM. `None`: it is wrong, and the log says why.
fn in_force(configuration: &[u8]) -> Option<Rc<Gateway>> {
    let hash = delivery::hash_of(configuration);
    let known = IN_FORCE.with_borrow_mut(|known| {
        known.retain(|gateway| gateway.strong_count() > 0);
        known.iter().filter_map(Weak::upgrade).find(|gateway| gateway.delivery == hash)
    });
    if known.is_some() {
        return known;
    }
    let delivery = Delivery::read(configuration);
    let environment = |name: &str| delivery.secret(name).or_else(|| std::env::var(name).ok());
    match Config::from_slice(delivery.document, &environment, MissingSecrets::Error) {
        Ok(compiled) => {
            for warning in &compiled.warnings {
                log::warn!("policy: {warning}");
            }
            let node = EnvoyHost::default().property(&["xds", "node", "id"]).and_then(|id| String::from_utf8(id).ok());
            let gateway = Rc::new(Gateway::new(compiled.config, hash, node.unwrap_or_default()));
            IN_FORCE.with_borrow_mut(|known| known.push(Rc::downgrade(&gateway)));
            Some(gateway)
        }
        Err(invalid) => {
            for problem in &invalid.problems {
                log::error!("policy rejected: {problem}");
            }
            None
        }
    }
}

fn warn(line: Option<String>) {
    if let Some(line) = line {
        log::warn!("{line}");
    }
}
