//! Everything that a test runs, together: mocks, a collector, a policy for their ports, and Envoy with it.

use std::collections::BTreeMap;
use std::path::Path;

use crate::applying::{self, Applied};
use crate::bootstrap::Bootstrap;
use crate::client::{Answer, Call, Client, Streamed, Tally};
use crate::collector::Collector;
use crate::disk::Disk;
use crate::envoy::{Envoy, Launch, Reload, Render};
use crate::mock::Mock;
use crate::policy::{Policy, secret};
use crate::process::Folder;

/// The ports that a policy may name.
#[derive(Clone, Debug, Default)]
pub struct Addresses {
    pub collector: u16,
    mocks: BTreeMap<String, u16>,
}

impl Addresses {
    pub fn mock(&self, name: &str) -> u16 {
        *self.mocks.get(name).unwrap_or_else(|| panic!("no mock `{name}` in this rig"))
    }
}

type MakePolicy<'a> = dyn Fn(&Addresses) -> Policy + 'a;
type Edit<'a> = dyn Fn(&mut Bootstrap, &Addresses) + 'a;

/// What a test needs.
pub struct Setup<'a> {
    mocks: Vec<(&'a str, Vec<String>)>,
    policy: Box<MakePolicy<'a>>,
    edit: Box<Edit<'a>>,
    files: Vec<(&'a str, String)>,
    workers: usize,
    arguments: Vec<&'a str>,
    reloads: bool,
    applied: bool,
    /// Of the collector.
    format: &'static str,
    disk: bool,
    environment_of: Option<Box<MakePolicy<'a>>>,
    render: Option<Box<Render<'a>>>,
}

impl<'a> Setup<'a> {
    /// Mocks by name, and the policy for their ports.
    pub fn new(mocks: &[&'a str], policy: impl Fn(&Addresses) -> Policy + 'a) -> Self {
        let mocks = mocks.iter().map(|name| (*name, Vec::new())).collect();
        let (policy, edit) = (Box::new(policy), Box::new(|_: &mut Bootstrap, _: &Addresses| {}));
        Self {
            mocks,
            policy,
            edit,
            files: Vec::new(),
            workers: 2,
            arguments: Vec::new(),
            reloads: false,
            applied: false,
            format: "ndjson",
            disk: false,
            environment_of: None,
            render: None,
        }
    }

    /// Standing orders of a mock, as `weir mock --behave` takes them.
    pub fn behave(mut self, mock: &str, orders: &str) -> Self {
        let found = self.mocks.iter_mut().find(|(name, _)| *name == mock);
        let arguments = &mut found.unwrap_or_else(|| panic!("no mock `{mock}` in this set-up")).1;
        arguments.extend(["--behave".to_owned(), orders.to_owned()]);
        self
    }

    /// Another option of a mock's command line.
    pub fn option(mut self, mock: &str, name: &str, value: &str) -> Self {
        let found = self.mocks.iter_mut().find(|(name, _)| *name == mock);
        let arguments = &mut found.unwrap_or_else(|| panic!("no mock `{mock}` in this set-up")).1;
        arguments.extend([name.to_owned(), value.to_owned()]);
        self
    }

    /// Changes the rendered bootstrap before Envoy gets it.
    pub fn edit(mut self, edit: impl Fn(&mut Bootstrap, &Addresses) + 'a) -> Self {
        self.edit = Box::new(edit);
        self
    }

    /// A file beside the policy.
    pub fn file(mut self, name: &'a str, text: String) -> Self {
        self.files.push((name, text));
        self
    }

    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = workers;
        self
    }

    /// An argument of Envoy's command line.
    pub fn argument(mut self, argument: &'a str) -> Self {
        self.arguments.push(argument);
        self
    }

    /// The collector writes Delta tables, and not lines.
    pub fn tables(mut self) -> Self {
        self.format = "delta";
        self
    }

    /// The collector's folder is a disk of its own, where that can be had: [`Rig::disk`].
    pub fn disk(mut self) -> Self {
        self.disk = true;
        self
    }

    /// The policy will be replaced while Envoy runs: [`Rig::reload`].
    pub fn reloads(mut self) -> Self {
        self.reloads = true;
        self
    }

    /// The policy will be replaced by `weir apply`: [`Rig::apply`]. Secrets are files, and not in Envoy's environment.
    pub fn applied(mut self) -> Self {
        self.applied = true;
        self
    }

    /// Starts Envoy with the secrets of a policy that it will be given later.
    pub fn environment_of(mut self, policy: impl Fn(&Addresses) -> Policy + 'a) -> Self {
        self.environment_of = Some(Box::new(policy));
        self
    }

    /// Another bootstrap than that of `weir render envoy`.
    pub fn render(mut self, render: impl Fn(&Launch<'_>, u16, u16) -> String + 'a) -> Self {
        self.render = Some(Box::new(render));
        self
    }

    pub async fn start(self) -> Rig {
        let folder = Folder::new("rig");
        let disk = self.disk.then(|| Disk::mount(&folder.join(Collector::FOLDER))).flatten();
        let collector = Collector::start(folder.path(), self.format).await;
        let mut mocks = Vec::new();
        for (name, arguments) in &self.mocks {
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            mocks.push(Mock::with(name, &arguments, folder.path()).await);
        }
        let ports = mocks.iter().map(|mock| (mock.name.clone(), mock.port)).collect();
        let at = Addresses { collector: collector.port, mocks: ports };
        for (name, text) in &self.files {
            std::fs::write(folder.join(name), text).expect("a file beside the policy");
        }
        let document = (self.policy)(&at).0;
        let policy = folder.join(POLICY);
        std::fs::write(&policy, format!("{document:#}")).expect("the policy can be written");
        let mut environment = secrets_of(&document);
        environment.extend(self.environment_of.iter().flat_map(|policy| secrets_of(&policy(&at).0)));
        let edit = |bootstrap: &mut Bootstrap| (self.edit)(bootstrap, &at);
        let launch = Launch {
            policy: &policy,
            folder: folder.path(),
            workers: self.workers,
            environment: &environment,
            edit: &edit,
            arguments: &self.arguments,
            reloads: self.reloads,
            applied: self.applied,
            render: self.render.as_deref(),
        };
        let envoy = Envoy::start(launch).await;
        let client = Client::new(&format!("http://127.0.0.1:{}", envoy.port));
        Rig { envoy, client, collector, mocks, at, disk, folder }
    }
}

/// The secret of every entity, under the name that its policy gives it.
fn secrets_of(policy: &serde_json::Value) -> Vec<(String, String)> {
    let endpoints = policy["endpoints"].as_array().into_iter().flatten();
    let entities =
        endpoints.flat_map(|endpoint| endpoint["config"]["served_entities"].as_array().into_iter().flatten());
    let names = entities.filter_map(|entity| entity["name"].as_str());
    names.map(|name| (secret_variable(name), secret(name))).collect()
}

fn secret_variable(entity: &str) -> String {
    format!("WEIR_SECRET_E2E_{}", entity.to_uppercase().replace(|c: char| !c.is_ascii_alphanumeric(), "_"))
}

/// Another Envoy with the policy of the rig in `folder`, in a folder of its own there.
pub async fn another_envoy(folder: &Path, name: &str) -> Envoy {
    let (policy, own) = (folder.join(POLICY), folder.join(name));
    std::fs::create_dir_all(&own).expect("a folder for an Envoy");
    let document = std::fs::read(&policy).expect("the rig's policy");
    let environment = secrets_of(&serde_json::from_slice(&document).expect("the policy's JSON"));
    let launch = Launch {
        policy: &policy,
        folder: &own,
        workers: 2,
        environment: &environment,
        edit: &|_| {},
        arguments: &[],
        reloads: false,
        applied: false,
        render: None,
    };
    Envoy::start(launch).await
}

const POLICY: &str = "policy.json";

/// A running gateway with all around it. Fields are dropped in order: Envoy first.
pub struct Rig {
    pub envoy: Envoy,
    pub client: Client,
    pub collector: Collector,
    mocks: Vec<Mock>,
    pub at: Addresses,
    pub disk: Option<Disk>,
    folder: Folder,
}

impl Rig {
    pub fn mock(&self, name: &str) -> &Mock {
        let found = self.mocks.iter().find(|mock| mock.name == name);
        found.unwrap_or_else(|| panic!("no mock `{name}` in this rig"))
    }

    pub fn base(&self) -> String {
        format!("http://127.0.0.1:{}", self.envoy.port)
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Puts another policy in force, where Envoy takes it. Envoy's environment stays: of secrets, only those it began with are there.
    pub async fn reload(&self, policy: Policy) -> Reload {
        self.reload_edited(policy, &|_| {}).await
    }

    /// As `reload`, with a change to what `weir render` made of the policy.
    pub async fn reload_edited(&self, policy: Policy, edit: &dyn Fn(&mut Bootstrap)) -> Reload {
        let file = self.folder.join(POLICY);
        std::fs::write(&file, format!("{:#}", policy.0)).expect("the policy can be written");
        let environment = secrets_of(&policy.0);
        let launch = Launch {
            policy: &file,
            folder: self.folder.path(),
            workers: 0,
            environment: &environment,
            edit,
            arguments: &[],
            reloads: true,
            applied: false,
            render: None,
        };
        self.envoy.reload(launch).await
    }

    /// `weir apply` with its secrets in files, and more of its arguments.
    pub async fn apply_with(&self, policy: &Policy, more: &[&str]) -> Applied {
        let file = self.folder.join("applied.json");
        std::fs::write(&file, format!("{:#}", policy.0)).expect("the policy can be written");
        for (name, value) in secrets_of(&policy.0) {
            applying::first_secret(self.folder.path(), &name, &value);
        }
        applying::apply(&self.envoy, &file, self.folder.path(), more).await
    }

    pub async fn apply(&self, policy: &Policy) -> Applied {
        self.apply_with(policy, &[]).await
    }

    /// Another value for the secret of an entity: in force with the next `apply`.
    pub fn set_secret(&self, entity: &str, value: &str) {
        applying::set_secret(self.folder.path(), &secret_variable(entity), value);
    }

    pub async fn send(&self, call: Call) -> Answer {
        self.client.send(&call).await
    }

    pub async fn stream(&self, call: Call) -> Streamed {
        self.client.stream(&call).await
    }

    pub async fn load(&self, n: usize, parallel: usize, call: impl Fn(usize) -> Call) -> Tally {
        self.client.load(n, parallel, call).await
    }

    /// Panics unless Envoy runs and no VM of its has failed.
    pub async fn assert_healthy(&mut self) {
        assert!(self.envoy.is_running(), "Envoy ended\n{}", self.envoy.tail());
        let log = self.envoy.log();
        for sign in ["Function: proxy_on_", "wasm trap", "Proxy-Wasm plugin in-VM backtrace", "panicked at"] {
            assert!(!log.contains(sign), "Envoy's log has `{sign}`");
        }
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let mocks: String = self.mocks.iter().map(Mock::tail).collect();
            eprintln!("{mocks}{}{}", self.collector.tail(), self.envoy.tail());
            eprintln!("--- everything lies in {}", self.folder.path().display());
        }
    }
}
