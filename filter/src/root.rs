//! The root context of either role: takes a configuration, makes streams, and on ticks sends what the outbox holds.

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
    exchange::Exchange,
    export::{self, Answer, Exporter},
    gateway::Gateway,
    host::Host,
    limits,
    metrics::Metric,
    tokens::calibrate,
};

use crate::{
    apply::{Metrics, Sinks},
    host::EnvoyHost,
    stream::Stream,
};

/// The plugin's `root_id` that makes it the attempt role; anything else is the gateway role.
const ATTEMPT_ROOT_ID: &[u8] = b"attempt";

thread_local! {
    /// Configurations in force in this VM: the two roles are given the same document, and share what it compiles to.
    static IN_FORCE: RefCell<Vec<Weak<Gateway>>> = const { RefCell::new(Vec::new()) };
}

#[derive(Default)]
pub struct Root {
    is_attempt: bool,
    gateway: Option<Rc<Gateway>>,
    sinks: Sinks,
}

impl Root {
    fn tick(&mut self) {
        let Some(exporter) = &self.sinks.exporter else { return };
        let post = exporter.borrow_mut().tick(&EnvoyHost);
        if let Some(post) = post
            && !EnvoyHost.post(&post)
        {
            exporter.borrow_mut().answered(&Answer::default(), &EnvoyHost);
        }
        let is_over = exporter.borrow_mut().is_over(&EnvoyHost);
        self.sinks.report(exporter, EnvoyHost);
        exporter.borrow_mut().take_lost(true).iter().for_each(|line| log::warn!("{line}"));
        if is_over {
            EnvoyHost.done();
        }
    }
}

impl Context for Root {
    fn on_http_call_response(&mut self, _: u32, _: usize, _: usize, _: usize) {
        let Some(exporter) = &self.sinks.exporter else { return };
        exporter.borrow_mut().answered(&EnvoyHost.answer(), &EnvoyHost);
        // The next batch, if one is due, need not wait for the next tick.
        self.tick();
    }

    /// The configuration goes: it stays until its rows are sent, or a bound has passed.
    fn on_done(&mut self) -> bool {
        match &self.sinks.exporter {
            Some(exporter) => exporter.borrow_mut().close(&EnvoyHost),
            None => true,
        }
    }
}

impl RootContext for Root {
    fn on_configure(&mut self, _: usize) -> bool {
        self.is_attempt = EnvoyHost.property(&["plugin_root_id"]).as_deref() == Some(ATTEMPT_ROOT_ID);
        self.sinks.metrics = Metrics::define(EnvoyHost);
        let Some(gateway) = in_force(&EnvoyHost.configuration()) else {
            self.sinks.metrics.set(Metric::ConfigRejected, 1, EnvoyHost);
            return false;
        };
        if limits::is_first(&EnvoyHost) {
            self.sinks.metrics.set(Metric::LimitCounters, 0, EnvoyHost);
        }
        export::create_key(&EnvoyHost);
        let entities = gateway.config.endpoints.iter().flat_map(|endpoint| &endpoint.entities);
        for entity in entities.filter(|entity| entity.tokenizer == Tokenizer::Ratio) {
            calibrate::create_key(&EnvoyHost, &entity.id);
        }
        if !self.is_attempt {
            self.sinks.metrics.set(Metric::ConfigRejected, 0, EnvoyHost);
            self.sinks.exporter = Exporter::new(gateway.clone()).map(|exporter| Rc::new(RefCell::new(exporter)));
            if let Some(exporter) = &self.sinks.exporter {
                EnvoyHost.set_tick_period_ms(exporter.borrow().tick_ms());
            }
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

    fn create_http_context(&self, _: u32) -> Option<Box<dyn HttpContext>> {
        let gateway = self.gateway.clone()?;
        let sinks = self.sinks.clone();
        Some(match self.is_attempt {
            true => Box::new(Stream { engine: Attempt::new(gateway), sinks }),
            false => Box::new(Stream { engine: Exchange::new(gateway), sinks }),
        })
    }
}

/// The configuration that a document compiles to, compiled once per VM. `None`: it is wrong, and the log says why.
fn in_force(document: &[u8]) -> Option<Rc<Gateway>> {
    let hash = Config::hash_of(document);
    let known = IN_FORCE.with_borrow_mut(|known| {
        known.retain(|gateway| gateway.strong_count() > 0);
        known.iter().filter_map(Weak::upgrade).find(|gateway| gateway.config.hash == hash)
    });
    if known.is_some() {
        return known;
    }
    let environment = |name: &str| std::env::var(name).ok();
    match Config::from_slice(document, &environment, MissingSecrets::Error) {
        Ok(compiled) => {
            for warning in &compiled.warnings {
                log::warn!("policy: {warning}");
            }
            let node = EnvoyHost.property(&["xds", "node", "id"]).and_then(|id| String::from_utf8(id).ok());
            let gateway = Rc::new(Gateway { config: compiled.config, node: node.unwrap_or_default() });
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
