//! What keeps a media service from doing what it should, whoever asked for it.

use hansard_nats::log::{NotSynchronized, ReadError};
use hansard_nats::media::UpdateError;

/// Something that the service depends on failed. The same again may succeed, except after damage.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The bucket did not answer, or holds what cannot be read: nothing of it counts as absent.
    #[error(transparent)]
    Bucket(#[from] UpdateError),
    /// The object store did not answer.
    #[error("the object store does not answer")]
    Store(#[from] object_store::Error),
    /// An object that a record names is not there.
    #[error("{object} is missing")]
    Missing {
        /// Its name.
        object: String,
    },
    /// An object does not hold what its name says.
    #[error("{object} is damaged")]
    Damaged {
        /// Its name.
        object: String,
    },
    /// As many copies as there may be are held by as many uploads as may hold them.
    #[error("too many uploads of the same bytes")]
    Full,
    /// This machine has no place for a temporary file, or no process to spare.
    #[error("this machine cannot work on a file")]
    Machine(#[from] std::io::Error),
    /// What time it is is not known.
    #[error(transparent)]
    Clock(#[from] NotSynchronized),
}

impl Fault {
    /// A task of this service came to no end.
    pub(crate) fn of_task(error: tokio::task::JoinError) -> Self {
        Self::Store(object_store::Error::Generic { store: "task", source: error.into() })
    }

    /// The object store took too long.
    pub(crate) fn late(late: tokio::time::error::Elapsed) -> Self {
        Self::Store(object_store::Error::Generic { store: "put", source: late.into() })
    }
}

impl From<ReadError> for Fault {
    fn from(error: ReadError) -> Self {
        Self::Bucket(error.into())
    }
}
