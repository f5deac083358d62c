//! Where objects are: a directory, or a bucket of an S3-compatible service.

use std::fmt;
use std::path::{Path as FilePath, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use hansard_model::PartitionCount;
use hansard_nats::Deployment;
use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _, PutMode, PutOptions, PutPayload};
use serde::{Deserialize, Serialize};

/// The object that says whose the others are.
const MARKER: &str = "deployment.json";

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
        source: object_store::Error,
    },
}

/// Why an object store is not used.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// It holds no objects of any deployment.
    #[error("the object store has no {MARKER}: is it the right one, and mounted?")]
    Nobody,
    /// It holds the objects of another deployment.
    #[error(
        "the object store belongs to another deployment: it was made with salt {found} and this \
         deployment has {expected}; give this one a directory or prefix of its own"
    )]
    Other {
        /// The salt of the deployment that it belongs to.
        found: String,
        /// The salt of this deployment.
        expected: String,
    },
    /// The marker cannot be read.
    #[error("the marker {MARKER} of the object store cannot be read")]
    Marker(#[source] serde_json::Error),
    /// The store does not answer.
    #[error("the object store does not answer")]
    Store(#[from] object_store::Error),
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
                let store = LocalFileSystem::new_with_prefix(path).map_err(refused)?;
                let store = Arc::new(store.with_fsync(true));
                Ok(Self { store, prefix: Path::default() })
            }
            ObjectsUrl::S3 { bucket, prefix } => {
                let mut builder = AmazonS3Builder::new();
                for (name, value) in variables {
                    let key = name.starts_with("AWS_").then(|| name.to_ascii_lowercase().parse());
                    if let Some(Ok(key)) = key {
                        builder = builder.with_config(key, value);
                    }
                }
                let store = builder.with_bucket_name(bucket).build();
                let store = Arc::new(store.map_err(refused)?);
                Ok(Self { store, prefix: Path::from(prefix.as_str()) })
            }
        }
    }

    /// Any store, for tests.
    pub fn of(store: Arc<dyn ObjectStore>) -> Self {
        Self { store, prefix: Path::default() }
    }

    /// A store that holds nothing: for whoever was not told of one.
    pub fn none() -> Self {
        Self::of(Arc::new(object_store::memory::InMemory::new()))
    }

    /// The full name of an object: the prefix, then the parts of `name` between slashes.
    pub fn path(&self, name: &str) -> Path {
        name.split('/').fold(self.prefix.clone(), |path, part| path.join(part))
    }

    /// Makes the store this deployment's if it is nobody's.
    ///
    /// # Errors
    /// [`BindError::Other`] when it is another's.
    pub async fn bind(&self, deployment: &Deployment) -> Result<(), BindError> {
        let marker =
            Marker { v: 1, partitions: deployment.partitions, salt: deployment.salt.clone() };
        let text = serde_json::to_vec(&marker).map_err(BindError::Marker)?;
        let create = PutOptions::from(PutMode::Create);
        let put = self.store.put_opts(&self.path(MARKER), PutPayload::from(text), create).await;
        match put {
            Ok(_) => Ok(()),
            Err(object_store::Error::AlreadyExists { .. }) => {
                let found = self.marker().await?.unwrap_or_else(|| marker.clone());
                if found.salt == marker.salt {
                    return Ok(());
                }
                Err(BindError::Other { found: found.salt, expected: marker.salt })
            }
            Err(error) => Err(error.into()),
        }
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
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
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
