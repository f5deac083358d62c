//! Where objects are: a directory, or a bucket of an S3-compatible service.

mod fault;
mod unfinished;

use std::fmt;
use std::path::{Path as FilePath, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use hansard_model::PartitionCount;
use hansard_nats::Deployment;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    ClientConfigKey, Error, ObjectStore, ObjectStoreExt as _, PutMode, PutOptions, PutPayload,
    RetryConfig, UpdateVersion,
};
use serde::{Deserialize, Serialize};

pub use self::fault::BindError;

/// The object that says whose the others are.
const MARKER: &str = "deployment.json";
/// An entity tag that no object has.
const NO_E_TAG: &str = "\"hansard\"";
/// Attempts of one request after the first. Whoever asks comes again by itself, and says meanwhile
/// what is wrong.
const RETRIES_MAX: usize = 5;
/// After this much time a request that failed is not made again.
const RETRY_WITHIN: Duration = Duration::from_secs(10);
/// Between two questions to a store that does not answer yet.
const REACH_PAUSE: Duration = Duration::from_millis(500);

/// Where objects are: `file:///absolute/directory` or a plain path, or `s3://bucket/prefix`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ObjectsUrl {
    /// A directory of this machine.
    Directory(PathBuf),
    /// A bucket, and what its objects' names begin with. Credentials, region and endpoint are the
    /// usual variables: `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_REGION`, `AWS_ENDPOINT`,
    /// and `AWS_ALLOW_HTTP=true` for an endpoint without TLS.
    S3 {
        /// The bucket.
        bucket: String,
        /// What names begin with; may be empty.
        prefix: String,
    },
}

/// The text does not say where objects are.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an object store: {0:?}; give a directory, file:///directory or s3://bucket/prefix")]
pub struct ParseObjectsUrlError(String);

impl FromStr for ObjectsUrl {
    type Err = ParseObjectsUrlError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refused = || ParseObjectsUrlError(text.to_owned());
        if let Some(rest) = text.strip_prefix("s3://") {
            let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
            let prefix = prefix.trim_matches('/');
            if bucket.is_empty() || Path::parse(prefix).is_err() {
                return Err(refused());
            }
            return Ok(Self::S3 { bucket: bucket.to_owned(), prefix: prefix.to_owned() });
        }
        let directory = match text.strip_prefix("file://") {
            Some(path) if path.starts_with('/') => path,
            Some(_) => return Err(refused()),
            None if text.is_empty() || text.contains("://") => return Err(refused()),
            None => text,
        };
        Ok(Self::Directory(PathBuf::from(directory)))
    }
}

impl fmt::Display for ObjectsUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory(path) => write!(f, "{}", path.display()),
            Self::S3 { bucket, prefix } => write!(f, "s3://{bucket}/{prefix}"),
        }
    }
}

impl From<&FilePath> for ObjectsUrl {
    fn from(path: &FilePath) -> Self {
        Self::Directory(path.to_owned())
    }
}

/// Why there is no object store.
#[derive(Debug, thiserror::Error)]
pub enum OpenObjectsError {
    /// The directory cannot be made or entered.
    #[error("cannot use the directory {}", path.display())]
    Directory {
        /// Which.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The store refuses its configuration.
    #[error("cannot use the object store {url}")]
    Store {
        /// Which.
        url: ObjectsUrl,
        /// What it said.
        source: Error,
    },
    /// The endpoint has no TLS, and nobody said that this is meant.
    #[error(
        "cannot use the object store {url}: the endpoint {endpoint} is without TLS; set \
         AWS_ALLOW_HTTP=true if that is what you want"
    )]
    Plain {
        /// Which.
        url: ObjectsUrl,
        /// Where.
        endpoint: String,
    },
}

/// What the marker says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marker {
    /// The form of this object.
    pub v: u32,
    /// How many partitions.
    pub partitions: PartitionCount,
    /// The salt of the deployment.
    pub salt: String,
}

/// An object store of one deployment; clones share it.
#[derive(Clone, Debug)]
pub struct Objects {
    /// The store.
    pub store: Arc<dyn ObjectStore>,
    /// What the names of all objects begin with.
    pub prefix: Path,
    place: Arc<str>,
    /// If it is one.
    directory: Option<Arc<FilePath>>,
}

impl Objects {
    /// Opens a store, with the `AWS_*` variables of the environment. A directory is made if it is
    /// not there; what is written there is synced before it counts as written.
    ///
    /// # Errors
    /// [`OpenObjectsError`]. An S3 service is not asked anything yet.
    pub fn open(url: &ObjectsUrl) -> Result<Self, OpenObjectsError> {
        Self::open_with(url, std::env::vars())
    }

    /// As [`Objects::open`], with other variables.
    ///
    /// # Errors
    /// As [`Objects::open`].
    pub fn open_with(
        url: &ObjectsUrl,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, OpenObjectsError> {
        let refused = |source| OpenObjectsError::Store { url: url.clone(), source };
        match url {
            ObjectsUrl::Directory(path) => {
                let failed = |source| OpenObjectsError::Directory { path: path.clone(), source };
                std::fs::create_dir_all(path).map_err(failed)?;
                let path = path.canonicalize().map_err(failed)?;
                let directory = Some(path.as_path().into());
                let store = LocalFileSystem::new_with_prefix(path).map_err(refused)?;
                let store = Arc::new(store.with_fsync(true));
                let place = url.to_string().into();
                Ok(Self { store, prefix: Path::default(), place, directory })
            }
            ObjectsUrl::S3 { bucket, prefix } => {
                let retry = RetryConfig {
                    max_retries: RETRIES_MAX,
                    retry_timeout: RETRY_WITHIN,
                    ..RetryConfig::default()
                };
                let mut builder = AmazonS3Builder::new().with_retry(retry);
                for (name, value) in variables {
                    let key = name.starts_with("AWS_").then(|| name.to_ascii_lowercase().parse());
                    if let Some(Ok(key)) = key {
                        builder = builder.with_config(key, value);
                    }
                }
                let set = |key| builder.get_config_value(&key);
                let endpoint =
                    set(AmazonS3ConfigKey::S3Endpoint).or(set(AmazonS3ConfigKey::Endpoint));
                let allow_http = AmazonS3ConfigKey::Client(ClientConfigKey::AllowHttp);
                let is_plain = |endpoint: &&String| endpoint.starts_with("http://");
                if let Some(endpoint) = endpoint.as_ref().filter(is_plain)
                    && set(allow_http).is_none_or(|value| value == "false")
                {
                    let (url, endpoint) = (url.clone(), endpoint.clone());
                    return Err(OpenObjectsError::Plain { url, endpoint });
                }
                let place = match &endpoint {
                    Some(endpoint) => format!("{url} at {endpoint}"),
                    None => url.to_string(),
                };
                let store = builder.with_bucket_name(bucket).build();
                let store = Arc::new(store.map_err(refused)?);
                let (prefix, place) = (Path::from(prefix.as_str()), place.into());
                Ok(Self { store, prefix, place, directory: None })
            }
        }
    }

    /// Any store, for tests.
    pub fn of(store: Arc<dyn ObjectStore>) -> Self {
        let place = store.to_string().into();
        Self { store, prefix: Path::default(), place, directory: None }
    }

    /// Where it is, for people: the URL, and the endpoint of an S3 service that is not the default.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// A store that holds nothing: for whoever was not told of one.
    pub fn none() -> Self {
        Self::of(Arc::new(object_store::memory::InMemory::new()))
    }

    /// The full name of an object: the prefix, then the parts of `name` between slashes.
    pub fn path(&self, name: &str) -> Path {
        name.split('/').fold(self.prefix.clone(), |path, part| path.join(part))
    }

    /// Waits until the store answers, for at most `within`: a service may start at the same time.
    /// What does not pass by itself, such as a bucket that does not exist, is told at once.
    ///
    /// # Errors
    /// [`BindError`]
    pub async fn reach(&self, within: Duration) -> Result<Option<Marker>, BindError> {
        let deadline = tokio::time::Instant::now() + within;
        let mut last = None;
        loop {
            match tokio::time::timeout_at(deadline, self.marker()).await {
                Ok(Err(error)) if error.may_pass() => {
                    if last.is_none() {
                        tracing::warn!(place = &*self.place, %error, "waiting for the object store");
                    }
                    last = Some(error);
                }
                Ok(answer) => return answer,
                Err(_) => return Err(last.unwrap_or(BindError::Silent { within })),
            }
            tokio::time::sleep(REACH_PAUSE).await;
        }
    }

    /// Makes the store this deployment's if it is nobody's, and makes sure that it lets only one
    /// of two writers win: that is what keeps owners of a partition apart.
    ///
    /// # Errors
    /// [`BindError::Other`] when it is another's; [`BindError::Unconditional`].
    pub async fn bind(&self, deployment: &Deployment) -> Result<(), BindError> {
        let marker =
            Marker { v: 1, partitions: deployment.partitions, salt: deployment.salt.clone() };
        let mut found = self.marker().await?;
        if found.is_none() {
            match self.put_marker(&marker, PutMode::Create).await {
                // Its own write may have arrived without an answer.
                Ok(()) | Err(Error::AlreadyExists { .. }) => {}
                Err(error) => return Err(error.into()),
            }
            found = self.marker().await?;
        }
        match found {
            None => Err(BindError::Nobody),
            Some(found) if found.salt == marker.salt => self.compare_and_set(&found).await,
            Some(found) => Err(BindError::Other { found: found.salt, expected: marker.salt }),
        }
    }

    /// Tries to replace the marker, by itself, under conditions that do not hold.
    ///
    /// # Errors
    /// [`BindError::Unconditional`] when it was replaced.
    pub async fn compare_and_set(&self, marker: &Marker) -> Result<(), BindError> {
        match self.put_marker(marker, PutMode::Create).await {
            Err(Error::AlreadyExists { .. }) => {}
            Ok(()) => return Err(BindError::Unconditional { header: "If-None-Match" }),
            Err(error) => return Err(error.into()),
        }
        let version = UpdateVersion { e_tag: Some(NO_E_TAG.to_owned()), version: None };
        match self.put_marker(marker, PutMode::Update(version)).await {
            // A directory cannot, and whoever needs it does without there.
            Err(Error::Precondition { .. } | Error::NotImplemented { .. }) => Ok(()),
            Ok(()) => Err(BindError::Unconditional { header: "If-Match" }),
            Err(error) => Err(error.into()),
        }
    }

    async fn put_marker(&self, marker: &Marker, mode: PutMode) -> Result<(), Error> {
        let text = serde_json::to_vec(marker)
            .map_err(|error| Error::Generic { store: "marker", source: error.into() })?;
        let payload = PutPayload::from(text);
        self.store.put_opts(&self.path(MARKER), payload, PutOptions::from(mode)).await?;
        Ok(())
    }

    /// Whether the store is this deployment's. One that is nobody's may be a directory that is not
    /// mounted: nothing must be written there.
    ///
    /// # Errors
    /// [`BindError::Nobody`], [`BindError::Other`], or that it cannot be read.
    pub async fn check(&self, salt: &str) -> Result<(), BindError> {
        match self.marker().await? {
            None => Err(BindError::Nobody),
            Some(marker) if marker.salt == salt => Ok(()),
            Some(marker) => Err(BindError::Other { found: marker.salt, expected: salt.to_owned() }),
        }
    }

    /// Whose the store is; `None`: nobody's.
    ///
    /// # Errors
    /// [`BindError`]
    pub async fn marker(&self) -> Result<Option<Marker>, BindError> {
        match self.store.get(&self.path(MARKER)).await {
            Ok(found) => {
                let text = found.bytes().await?;
                serde_json::from_slice(&text).map(Some).map_err(BindError::Marker)
            }
            Err(error) => match BindError::from(error) {
                // Of the object, not of the bucket.
                BindError::Store(Error::NotFound { .. }) => Ok(None),
                error => Err(error),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read_and_others_refused() {
        let s3 = |bucket: &str, prefix: &str| ObjectsUrl::S3 {
            bucket: bucket.to_owned(),
            prefix: prefix.to_owned(),
        };
        assert_eq!("s3://b/a/c/".parse(), Ok(s3("b", "a/c")));
        assert_eq!("s3://b".parse(), Ok(s3("b", "")));
        assert_eq!("file:///x/y".parse(), Ok(ObjectsUrl::Directory("/x/y".into())));
        assert_eq!("x/y".parse(), Ok(ObjectsUrl::Directory("x/y".into())));
        for text in ["", "s3://", "s3:///x", "file://x", "gs://b/x"] {
            assert!(text.parse::<ObjectsUrl>().is_err(), "{text}");
        }
    }

    #[tokio::test]
    async fn a_store_belongs_to_the_deployment_that_used_it_first() {
        let objects = Objects::of(Arc::new(object_store::memory::InMemory::new()));
        let deployment = |salt: &str| Deployment {
            partitions: PartitionCount::DEFAULT,
            epoch: 1,
            salt: salt.to_owned(),
        };
        assert!(objects.marker().await.expect("an answer").is_none());
        objects.bind(&deployment("a")).await.expect("nobody's");
        objects.bind(&deployment("a")).await.expect("its own");
        let refused = objects.bind(&deployment("b")).await;
        assert!(matches!(refused, Err(BindError::Other { .. })), "{refused:?}");
    }
}
