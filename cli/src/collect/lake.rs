//! Where the tables are: a local folder, or a place in an object store (`s3://`, `abfss://`, `gs://`). It opens tables by name and makes
//! those that are not there; [`table`] writes them, [`entities`] keeps the one that is not only appended to.

pub mod batch;
pub mod compact;
pub mod entities;
pub mod file;
pub mod schema;
pub mod table;

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use deltalake::DeltaTableError;
use deltalake::arrow::error::ArrowError;
use deltalake::logstore::object_store::path::Path as StorePath;
use deltalake::logstore::object_store::{self, Error as StoreError};
use deltalake::logstore::{
    LogStore, LogStoreFactory, ObjectStoreFactory, ObjectStoreRef, StorageConfig, default_logstore, logstore_factories,
    object_store_factories,
};
use deltalake::parquet::errors::ParquetError;
use url::Url;

/// Schemes of object stores, all with an atomic put-if-absent, which is what commits need.
const SCHEMES: [&str; 7] = ["s3", "s3a", "abfs", "abfss", "az", "azure", "gs"];

#[derive(Clone, Debug)]
pub struct Lake {
    root: Url,
    /// Where it is a folder of this machine.
    local: Option<PathBuf>,
    /// How long files and versions that no table needs any more are kept.
    keep: Duration,
}

/// As long as a query may last, unless told otherwise.
const KEEP: Duration = Duration::from_secs(3600);

/// What failed, and where: for the log and for senders, without credentials.
#[derive(Debug)]
pub struct LakeFailure {
    place: String,
    why: String,
}

impl Lake {
    /// As `at`, for a folder that is made if need be.
    pub fn made(out: &str) -> Result<Self, LakeFailure> {
        if !out.contains("://") {
            std::fs::create_dir_all(out).map_err(LakeFailure::at(out))?;
        }
        Self::at(out)
    }

    /// `out` is a folder or a URL. Credentials of object stores come from the environment.
    pub fn at(out: &str) -> Result<Self, LakeFailure> {
        let failed = |why: &dyn fmt::Display| LakeFailure { place: out.to_owned(), why: why.to_string() };
        if out.contains("://") {
            let root = Url::parse(&format!("{}/", out.trim_end_matches('/'))).map_err(|error| failed(&error))?;
            if !SCHEMES.contains(&root.scheme()) {
                return Err(failed(&format!("expected a folder, or a URL of one of {}", SCHEMES.join(", "))));
            }
            register();
            return Ok(Self { root, local: None, keep: KEEP });
        }
        let local = std::fs::canonicalize(out).map_err(|error| failed(&error))?;
        let root = Url::from_directory_path(&local).map_err(|()| failed(&"not a path that a URL can hold"))?;
        Ok(Self { root, local: Some(local), keep: KEEP })
    }

    pub fn keeping(self, keep: Duration) -> Self {
        Self { keep, ..self }
    }

    pub fn local(&self) -> Option<&Path> {
        self.local.as_deref()
    }

    /// The names of all tables.
    pub async fn names(&self) -> Result<Vec<String>, LakeFailure> {
        let failed = |why: &dyn fmt::Display| LakeFailure::new(self.root.as_str(), why);
        let mut names = Vec::new();
        if let Some(local) = &self.local {
            for entry in std::fs::read_dir(local).map_err(|error| failed(&error))? {
                let path = entry.map_err(|error| failed(&error))?.path();
                let name = path.file_name().and_then(|name| name.to_str());
                names.extend(name.filter(|_| path.join("_delta_log").is_dir()).map(str::to_owned));
            }
        } else {
            let (store, root) =
                Stores.parse_url_opts(&self.root, &StorageConfig::default()).map_err(|error| failed(&error))?;
            let found = store.list_with_delimiter(Some(&root)).await.map_err(|error| failed(&error))?;
            names.extend(found.common_prefixes.iter().filter_map(|path| path.filename().map(str::to_owned)));
        }
        names.sort();
        Ok(names)
    }

    /// A table's URL and, where it is local, its folder.
    fn place(&self, name: &str) -> Result<(Url, Option<PathBuf>), LakeFailure> {
        let url = self.root.join(&format!("{name}/")).map_err(|error| LakeFailure::new(name, &error))?;
        Ok((url, self.local.as_ref().map(|local| local.join(name))))
    }
}

impl LakeFailure {
    pub fn new(place: &str, why: &dyn fmt::Display) -> Self {
        Self { place: place.to_owned(), why: why.to_string() }
    }

    /// For `map_err`, around a step on one table.
    pub fn at<E: Into<Cause>>(place: &str) -> impl Fn(E) -> Self {
        move |cause| Self::new(place, &cause.into().0)
    }
}

/// The errors of the libraries beneath.
pub struct Cause(String);

impl From<DeltaTableError> for Cause {
    fn from(error: DeltaTableError) -> Self {
        Self(error.to_string())
    }
}

impl From<ArrowError> for Cause {
    fn from(error: ArrowError) -> Self {
        Self(error.to_string())
    }
}

impl From<ParquetError> for Cause {
    fn from(error: ParquetError) -> Self {
        Self(error.to_string())
    }
}

impl From<StoreError> for Cause {
    fn from(error: StoreError) -> Self {
        Self(error.to_string())
    }
}

impl From<std::io::Error> for Cause {
    fn from(error: std::io::Error) -> Self {
        Self(error.to_string())
    }
}

impl fmt::Display for LakeFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.why)
    }
}

/// Makes the object stores known to the Delta library: its own crates for them bring whole SDKs, and what is behind them is this.
fn register() {
    for scheme in SCHEMES {
        if let Ok(url) = Url::parse(&format!("{scheme}://")) {
            object_store_factories().insert(url.clone(), Arc::new(Stores));
            logstore_factories().insert(url, Arc::new(Stores));
        }
    }
}

struct Stores;

impl ObjectStoreFactory for Stores {
    fn parse_url_opts(
        &self,
        url: &Url,
        config: &StorageConfig,
    ) -> Result<(ObjectStoreRef, StorePath), DeltaTableError> {
        // What a store knows by name it takes (AWS_REGION, AZURE_STORAGE_ACCOUNT_NAME, GOOGLE_SERVICE_ACCOUNT ...), the rest it leaves.
        let mut options: HashMap<String, String> = std::env::vars().collect();
        options.extend(config.raw.clone());
        let (store, path) = object_store::parse_url_opts(url, options)?;
        Ok((Arc::from(store), path))
    }
}

impl LogStoreFactory for Stores {
    fn with_options(
        &self,
        prefixed_store: ObjectStoreRef,
        root_store: ObjectStoreRef,
        location: &Url,
        options: &StorageConfig,
    ) -> Result<Arc<dyn LogStore>, DeltaTableError> {
        Ok(default_logstore(prefixed_store, root_store, location, options))
    }
}
