//! Which media services there are, and which of them is asked first.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hansard_model::UploadId;
use hansard_nats::log::ReadError;
use hansard_nats::media::MediaBucket;
use http::uri::Authority;
use tokio::sync::Mutex;

/// How long a list is taken for the present.
const FRESH_FOR: Duration = Duration::from_secs(1);
/// How long it is gone by while the bucket does not answer.
const TRUSTED_FOR: Duration = Duration::from_secs(30);
/// How long one that did not answer is asked last. Its entry may outlive it: nats-server can be late
/// in removing what has ended when it was killed itself.
const AVOIDED_FOR: Duration = Duration::from_secs(30);

/// The services of a deployment.
pub(super) struct Services {
    bucket: MediaBucket,
    /// One asks, the others wait for it.
    known: Mutex<Option<Known>>,
    turn: AtomicU64,
    /// Since when each of those that did not answer is asked last; only of the last while.
    avoided: Mutex<HashMap<Authority, Instant>>,
}

struct Known {
    asked: Instant,
    services: Arc<[Authority]>,
}

impl Services {
    pub(super) fn new(bucket: MediaBucket) -> Self {
        Self { bucket, known: Mutex::default(), turn: AtomicU64::new(0), avoided: Mutex::default() }
    }

    /// Where services listen, the one first that has what was uploaded last in memory; without an
    /// upload, in turn.
    ///
    /// # Errors
    /// [`ReadError`] when it is not known.
    pub(super) async fn in_order(
        &self,
        upload: Option<UploadId>,
    ) -> Result<Vec<Authority>, ReadError> {
        let mut services = self.list().await?.to_vec();
        match upload {
            Some(id) => services.sort_by_cached_key(|service| weight(service, id)),
            None if !services.is_empty() => {
                let turn = self.turn.fetch_add(1, Ordering::Relaxed);
                let first = turn % services.len() as u64;
                services.rotate_left(usize::try_from(first).unwrap_or_default());
            }
            None => {}
        }
        let avoided = self.avoided.lock().await;
        services.sort_by_key(|service| is_avoided(&avoided, service));
        Ok(services)
    }

    /// One of them did not answer: it is asked last for a while, and the list is asked for anew.
    pub(super) async fn avoid(&self, service: Authority) {
        let mut avoided = self.avoided.lock().await;
        avoided.retain(|_, since| since.elapsed() < AVOIDED_FOR);
        avoided.insert(service, Instant::now());
        *self.known.lock().await = None;
    }

    async fn list(&self) -> Result<Arc<[Authority]>, ReadError> {
        let mut known = self.known.lock().await;
        let is_younger = |known: &&Known, age| known.asked.elapsed() < age;
        if let Some(known) = known.as_ref().filter(|known| is_younger(known, FRESH_FOR)) {
            return Ok(known.services.clone());
        }
        let asked = Instant::now();
        match self.bucket.services().await {
            Ok(urls) => {
                let services: Arc<[Authority]> = urls.iter().filter_map(authority).collect();
                *known = Some(Known { asked, services: services.clone() });
                Ok(services)
            }
            Err(error) => match known.as_ref().filter(|known| is_younger(known, TRUSTED_FOR)) {
                Some(known) => Ok(known.services.clone()),
                None => Err(error),
            },
        }
    }
}

fn is_avoided(avoided: &HashMap<Authority, Instant>, service: &Authority) -> bool {
    avoided.get(service).is_some_and(|since| since.elapsed() < AVOIDED_FOR)
}

/// The host and port of `http://host:port`.
fn authority(url: &String) -> Option<Authority> {
    let authority = url.strip_prefix("http://").map(|rest| rest.trim_end_matches('/').parse());
    let authority = authority.and_then(Result::ok);
    if authority.is_none() {
        tracing::warn!(%url, "a media service says that it listens where nobody can");
    }
    authority
}

/// Rendezvous hashing: who comes or goes changes the first choice of its own uploads alone.
fn weight(service: &Authority, upload: UploadId) -> u64 {
    let mut hasher = DefaultHasher::new();
    service.as_str().hash(&mut hasher);
    upload.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upload(of: u8) -> UploadId {
        let mut entropy = [0; 20];
        entropy[0] = of & 31;
        entropy[1] = of >> 5;
        UploadId::from_entropy(entropy)
    }

    #[test]
    fn every_service_is_the_first_for_some_and_stays_so_when_another_goes() {
        let services: Vec<Authority> =
            (1..=3).map(|port| format!("127.0.0.1:{port}").parse().expect("a place")).collect();
        let first = |services: &[Authority], id| {
            services.iter().min_by_key(|service| weight(service, id)).expect("one").clone()
        };
        for service in &services {
            let chosen = (0..=255).filter(|of| first(&services, upload(*of)) == *service).count();
            assert!(chosen > 40, "{service}: {chosen}");
        }
        for of in 0..=255 {
            let before = first(&services, upload(of));
            if before != services[2] {
                assert_eq!(first(&services[..2], upload(of)), before);
            }
        }
    }

    #[test]
    fn who_did_not_answer_is_asked_last_and_not_left_out() {
        let mut services: Vec<Authority> =
            (1..=5).map(|port| format!("127.0.0.1:{port}").parse().expect("a place")).collect();
        let avoided = services[..4].iter().map(|service| (service.clone(), Instant::now()));
        let avoided = avoided.collect();
        services.sort_by_key(|service| is_avoided(&avoided, service));
        assert_eq!(services[0].as_str(), "127.0.0.1:5");
        assert_eq!(services.len(), 5);
    }

    #[test]
    fn only_plain_urls_are_places() {
        let place = |url: &str| authority(&url.to_owned()).map(|place| place.to_string());
        assert_eq!(place("http://127.0.0.1:9/"), Some("127.0.0.1:9".to_owned()));
        assert_eq!(place("http://[::1]:9"), Some("[::1]:9".to_owned()));
        for url in ["", "127.0.0.1:9", "https://x", "http://", "http://a/b", "http://a b"] {
            assert_eq!(place(url), None, "{url}");
        }
    }
}
