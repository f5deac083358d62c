//! Passwords: argon2id, in a pool that cannot starve the rest of the process.

use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use tokio::sync::{Semaphore, oneshot};

use crate::metrics;

/// Memory of one hash, in KiB: with [`PASSES`] and [`LANES`] the first choice of the OWASP
/// password storage page (19 MiB, 2 passes, 1 lane). Stored hashes name their own parameters, so
/// these may be raised at any time.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;
/// Hashes that wait for a processor; with more the server is full.
const WAITING_MAX: usize = 64;
/// Bytes of a salt.
const SALT_BYTES: usize = 16;

/// Why a password was not hashed or verified.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PasswordError {
    /// Too many wait.
    #[error("too many people are logging in")]
    Overloaded,
    /// The library refused, or the work was lost.
    #[error("the password cannot be hashed")]
    Hash,
}

type Job = Box<dyn FnOnce() + Send>;

/// Hashes and verifies, at most one per processor at a time, on threads of its own: each hash takes
/// 19 MiB, which the allocator keeps for the thread that used it.
pub(crate) struct PasswordPool {
    work: SyncSender<Job>,
    places: Arc<Semaphore>,
    /// The hash of a password nobody has: verified for handles that do not exist, so that they
    /// take as long as those that do.
    nobody: Arc<str>,
}

impl PasswordPool {
    /// A pool; takes as long as one hash.
    ///
    /// # Errors
    /// [`PasswordError`]
    pub(crate) async fn start() -> Result<Self, PasswordError> {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let (work, jobs) = sync_channel::<Job>(processors + WAITING_MAX);
        let jobs = Arc::new(Mutex::new(jobs));
        for _ in 0..processors {
            let jobs = jobs.clone();
            let hashing = move || {
                loop {
                    let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    // The pool is gone.
                    let Ok(job) = job else { return };
                    job();
                }
            };
            let thread = std::thread::Builder::new().name("passwords".to_owned());
            thread.spawn(hashing).map_err(|_| PasswordError::Hash)?;
        }
        let pool = Self {
            work,
            places: Arc::new(Semaphore::new(processors + WAITING_MAX)),
            nobody: Arc::from(""),
        };
        let mut secret = [0; 32];
        getrandom::fill(&mut secret).map_err(|_| PasswordError::Hash)?;
        let nobody = pool.run(move || hash(&secret)).await??;
        Ok(Self { nobody: nobody.into(), ..pool })
    }

    /// The hash of a password, in PHC form, with a salt of its own.
    ///
    /// # Errors
    /// [`PasswordError`]
    pub(crate) async fn hash(&self, password: String) -> Result<String, PasswordError> {
        self.run(move || hash(password.as_bytes())).await?
    }

    /// Whether the password is the one of a stored hash; `None` is never right and takes as long.
    ///
    /// # Errors
    /// [`PasswordError`]
    pub(crate) async fn verify(
        &self,
        password: String,
        stored: Option<&str>,
    ) -> Result<bool, PasswordError> {
        let known = stored.is_some();
        let phc: Arc<str> = stored.map_or_else(|| self.nobody.clone(), Arc::from);
        let right = self.run(move || verify(password.as_bytes(), &phc)).await?;
        Ok(right && known)
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, PasswordError> {
        let place =
            self.places.clone().try_acquire_owned().map_err(|_| PasswordError::Overloaded)?;
        let (answer, done) = oneshot::channel();
        // The place goes with the work: it runs to its end even when the caller has gone.
        let job: Job = Box::new(move || {
            let _ = answer.send(work());
            drop(place);
        });
        self.work.try_send(job).map_err(|_| PasswordError::Overloaded)?;
        metrics::password_hashed();
        done.await.map_err(|_| PasswordError::Hash)
    }
}

fn argon2() -> Result<Argon2<'static>, PasswordError> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).map_err(|_| PasswordError::Hash)?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

fn hash(password: &[u8]) -> Result<String, PasswordError> {
    let mut salt = [0; SALT_BYTES];
    getrandom::fill(&mut salt).map_err(|_| PasswordError::Hash)?;
    let salt = SaltString::encode_b64(&salt).map_err(|_| PasswordError::Hash)?;
    let hash = argon2()?.hash_password(password, &salt).map_err(|_| PasswordError::Hash)?;
    Ok(hash.to_string())
}

fn verify(password: &[u8], phc: &str) -> bool {
    let Ok(stored) = PasswordHash::new(phc) else { return false };
    // The parameters are those of the stored hash.
    Argon2::default().verify_password(password, &stored).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_password_itself_is_right() {
        let pool = PasswordPool::start().await.expect("a pool");
        let stored = pool.hash("correct horse".to_owned()).await.expect("a hash");
        assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{stored}");
        let verify = |text: &str, stored: Option<&str>| {
            let (text, stored) = (text.to_owned(), stored.map(str::to_owned));
            let pool = &pool;
            async move { pool.verify(text, stored.as_deref()).await.expect("verified") }
        };
        assert!(verify("correct horse", Some(&stored)).await);
        assert!(!verify("correct horses", Some(&stored)).await);
        assert!(!verify("correct horse", None).await);
        assert!(!verify("correct horse", Some("nonsense")).await);
    }

    #[tokio::test]
    async fn a_full_pool_refuses_at_once() {
        let pool = PasswordPool::start().await.expect("a pool");
        let places = u32::try_from(pool.places.available_permits()).expect("few");
        let _all = pool.places.clone().try_acquire_many_owned(places).expect("all places");
        let refused = pool.hash("correct horse".to_owned()).await;
        assert!(matches!(refused, Err(PasswordError::Overloaded)));
    }
}
