//! One change of a running Envoy: stage after stage is written and waited for, and when one fails, all is put back. What counts
//! is what Envoy says of itself: the version of each resource that it has accepted, and that its workers have each filter.

use std::{
    collections::BTreeSet,
    io::{self, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use super::{
    admin::{Admin, Stats},
    folder::Folder,
    retired::{self, Retired},
};
use crate::render::{
    Dynamic, version_now,
    xds::{CLUSTERS, File, GATEWAY, Stage},
};

/// How often Envoy is asked: an update takes it some 10 ms.
const ASK_EVERY: Duration = Duration::from_millis(10);

pub enum Failed {
    Refused(String),
    NotLive(String),
    Folder(io::Error),
}

pub struct Change<'a> {
    folder: &'a Folder,
    admin: &'a Admin,
    version: String,
    files: Vec<File>,
    /// What each file was before.
    before: Vec<Option<Vec<u8>>>,
    /// Files of which the version alone is another: Envoy does nothing for a filter whose configuration it has. (With a policy that
    /// has a `jwt` source, that filter's is mostly so.)
    as_before: BTreeSet<String>,
    retired: Retired,
    /// Else Envoy has nothing to do for [`Stage::Previous`].
    has_new_vm_kept: bool,
    warnings: Vec<String>,
    bound: Duration,
}

impl<'a> Change<'a> {
    pub fn new(folder: &'a Folder, admin: &'a Admin, new: Dynamic, bound: Duration) -> io::Result<Self> {
        let Dynamic { version, mut files, .. } = new;
        let before = files.iter().map(|file| folder.read(&file.name)).collect::<io::Result<Vec<_>>>()?;
        let old = folder.read_json(CLUSTERS);
        let empty = serde_json::Value::Null;
        let clusters = files.iter_mut().find(|file| file.name == CLUSTERS).map_or(empty, |file| file.content.clone());
        let now = retired::now();
        let mut retired = Retired::new(folder.read_json(retired::FILE).as_ref(), old.as_ref(), &clusters, now);
        let warnings = retired::moved(old.as_ref(), &clusters).into_iter().map(|name| {
            format!(
                "cluster `{name}` has moved to another server: a request that was under way may have met it with what was \
                 meant for the old one (a new name for the entity avoids that)"
            )
        });
        let warnings = warnings.collect();
        for file in files.iter_mut().filter(|file| file.name == CLUSTERS) {
            retired.keep_in(&mut file.content);
        }
        let gateway = folder.read_json(GATEWAY);
        let mut has_new_vm_kept = false;
        for file in files.iter_mut().filter(|file| file.stage == Stage::Previous) {
            let old = folder.read_json(&file.name);
            has_new_vm_kept = retired.keep_vm(old.as_ref(), gateway.as_ref(), &mut file.content, now);
        }
        let as_before = files.iter().zip(&before).filter(|(file, before)| is_as_before(file, before.as_deref()));
        let as_before = as_before.map(|(file, _)| file.name.clone()).collect();
        Ok(Self { folder, admin, version, files, before, as_before, retired, has_new_vm_kept, warnings, bound })
    }

    /// What an operator should know of a change that was made.
    pub fn make(mut self) -> Result<Vec<String>, Failed> {
        let mut written = 0;
        match self.stages(&mut written) {
            Ok(()) => {
                self.folder
                    .write(retired::FILE, self.retired.to_file().to_string().as_bytes())
                    .map_err(Failed::Folder)?;
                Ok(std::mem::take(&mut self.warnings))
            }
            Err(failed) => {
                self.put_back(written);
                Err(failed)
            }
        }
    }

    fn stages(&mut self, written: &mut usize) -> Result<(), Failed> {
        for stage in [Stage::Clusters, Stage::Previous, Stage::Filters, Stage::Routes, Stage::Listeners] {
            let before = self.ask()?;
            let files: Vec<&File> = self.files.iter().filter(|file| file.stage == stage).collect();
            for file in &files {
                self.folder.write(&file.name, file.content.to_string().as_bytes()).map_err(Failed::Folder)?;
                *written += 1;
            }
            // A filter that the listener does not have yet comes with it.
            let known = |file: &&&File| stage == Stage::Clusters || before.text(&version_of(file)).is_some();
            self.wait(&files.iter().filter(known).copied().collect::<Vec<_>>(), &self.version, &before)?;
        }
        let all: Vec<&File> = self.files.iter().filter(|file| file.stage != Stage::Bootstrap).collect();
        self.wait(&all, &self.version, &self.ask()?)?;
        let Some(bootstrap) = self.files.iter().position(|file| file.stage == Stage::Bootstrap) else { return Ok(()) };
        let (Some(file), Some(before)) = (self.files.get(bootstrap), self.before.get(bootstrap)) else { return Ok(()) };
        let text = file.content.to_string();
        if before.as_deref() != Some(text.as_bytes()) {
            self.folder.write(&file.name, text.as_bytes()).map_err(Failed::Folder)?;
            self.warnings.push(format!("{} has changed: an Envoy that runs does not read it again", file.name));
        }
        Ok(())
    }

    /// Until Envoy has this version of all of them.
    fn wait(&self, files: &[&File], version: &str, before: &Stats) -> Result<(), Failed> {
        let end = Instant::now() + self.bound;
        loop {
            let now = self.ask()?;
            for file in files {
                let grew = |name: &str| now.number(&of(file, name)) > before.number(&of(file, name));
                if grew("update_rejected") || grew("update_failure") {
                    return Err(Failed::Refused(self.reason(file, &now)));
                }
            }
            let late: Vec<&str> = files
                .iter()
                .filter(|file| !self.is_live(file, version, before, &now))
                .map(|file| &*file.name)
                .collect();
            if late.is_empty() {
                return Ok(());
            }
            if Instant::now() >= end {
                return Err(Failed::NotLive(format!(
                    "Envoy has not taken {} within {:?}: is it started with this folder's envoy.json, and its main thread \
                     free? The old files are back",
                    late.join(", "),
                    self.bound
                )));
            }
            thread::sleep(ASK_EVERY);
        }
    }

    fn is_live(&self, file: &File, version: &str, before: &Stats, now: &Stats) -> bool {
        // A filter's version is set when Envoy has accepted it; the workers have it a little later.
        let reloads = of(file, "config_reload");
        let is_reloaded = match file.stage {
            Stage::Filters => !self.as_before.contains(&file.name),
            Stage::Previous => self.has_new_vm_kept,
            _ => false,
        };
        let was_live = before.text(&version_of(file)) == Some(version);
        let workers = !is_reloaded || was_live || now.number(&reloads) > before.number(&reloads);
        let warming = match file.stage {
            Stage::Clusters => now.number("cluster_manager.warming_clusters"),
            Stage::Listeners => now.number("listener_manager.total_listeners_warming"),
            _ => 0,
        };
        now.text(&version_of(file)) == Some(version) && workers && warming == 0
    }

    /// While Envoy compiles a new filter, which takes seconds, its admin interface does not answer.
    fn ask(&self) -> Result<Stats, Failed> {
        let end = Instant::now() + self.bound;
        loop {
            match self.admin.stats() {
                Ok(stats) => return Ok(stats),
                // One that is gone does not come back.
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused || Instant::now() >= end => {
                    return Err(Failed::NotLive(format!("Envoy's admin interface: {error}")));
                }
                Err(_) => thread::sleep(ASK_EVERY),
            }
        }
    }

    fn reason(&self, file: &File, now: &Stats) -> String {
        let is_weirs = now.number("wasmcustom.weir.config_rejected") > 0;
        let why = match file.stage {
            Stage::Filters if is_weirs => Some(
                "the filter cannot work with the policy: a line `policy rejected` of Envoy's log says why".to_owned(),
            ),
            Stage::Listeners => self.admin.listener_error(),
            _ => None,
        };
        format!("{}: {}", file.name, why.unwrap_or_else(|| "Envoy's log says why".to_owned()))
    }

    /// The first `written` files, the last one first. They get a version of now: a filter's configuration that it has seen
    /// before would not be judged again, and the gauge of a refusal would stay.
    fn put_back(&self, written: usize) {
        let put_back = self.files.iter().zip(&self.before).take(written).rev();
        let files: Vec<&File> = put_back.clone().map(|(file, _)| file).collect();
        let stats = self.ask();
        let mut version = None;
        for (file, before) in put_back {
            let before = before.as_deref().map(|bytes| anew(bytes, &mut version));
            if let Err(error) = self.folder.restore(&file.name, before.as_deref()) {
                eprintln!("error: {}: cannot be put back: {error}", file.name);
            }
        }
        let is_back = stats.and_then(|stats| self.wait(&files, version.as_deref().unwrap_or_default(), &stats));
        if is_back.is_err() {
            eprintln!("error: the old files are back, and Envoy has not said that it has taken them");
        }
    }
}

fn is_as_before(file: &File, before: Option<&[u8]>) -> bool {
    let before = before.and_then(|bytes| serde_json::from_slice::<serde_json::Value>(bytes).ok());
    before.is_some_and(|before| before["resources"] == file.content["resources"])
}

/// The same content with a version of now, the same one for all files.
fn anew(bytes: &[u8], version: &mut Option<String>) -> Vec<u8> {
    let text = String::from_utf8_lossy(bytes);
    let old = serde_json::from_str::<serde_json::Value>(&text).ok();
    let Some(old) = old.as_ref().and_then(|content| content["version_info"].as_str()) else { return bytes.to_owned() };
    let hash = old.rsplit('/').next().unwrap_or_default();
    let new = version.get_or_insert_with(|| version_now(hash));
    text.replace(old, new).into_bytes()
}

fn of(file: &File, name: &str) -> String {
    format!("{}.{name}", file.stats)
}

fn version_of(file: &File) -> String {
    of(file, "version_text")
}

/// What Envoy has logged from a moment on.
pub struct Log {
    path: PathBuf,
    end: u64,
}

impl Log {
    pub fn at_end(path: &Path) -> Self {
        Self { path: path.to_owned(), end: path.metadata().map_or(0, |file| file.len()) }
    }

    /// The lines that say why something was refused, each with its end.
    pub fn refusals(&self) -> String {
        let mut text = Vec::new();
        let read = std::fs::File::open(&self.path).and_then(|mut file| {
            file.seek(SeekFrom::Start(self.end))?;
            file.read_to_end(&mut text)
        });
        if let Err(error) = read {
            return format!("{}: cannot be read: {error}\n", self.path.display());
        }
        let text = String::from_utf8_lossy(&text).into_owned();
        let mut lines: Vec<&str> = text.lines().filter(|line| line.contains("rejected")).collect();
        lines.dedup();
        lines.iter().map(|line| format!("{line}\n")).collect()
    }
}
