//! How many requests may move bytes at a time, in all and of one user, and who has to make room.
//!
//! `table` says who has a place, who waits for one and whose request ends for whom; `reader` cuts
//! off who takes nothing of what is sent to them.

mod reader;
mod table;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use hansard_model::UserId;
use hansard_protocol::{ErrorBody, ErrorCode};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub(super) use self::table::Bounds;
use self::table::{Refusal, Table};
use super::failure::{BUSY_RETRY_MS, Failure};
use super::listener::Connection;
use crate::metrics;

/// How long a request waits for a place.
const WAIT_MAX: Duration = Duration::from_secs(15);
/// How often who waits looks whether somebody has had enough by now.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Places for requests in one direction; clones share them.
#[derive(Clone)]
pub(super) struct Places {
    direction: &'static str,
    table: Arc<Mutex<Table>>,
}

/// What a request and the table tell each other.
#[derive(Debug, Default)]
struct Signals {
    /// It has a place.
    admitted: CancellationToken,
    /// It is to end: its place goes to somebody else, or it waits in vain.
    stop: CancellationToken,
    /// It is over.
    ended: CancellationToken,
    /// Bytes that it has moved.
    moved: AtomicU64,
    /// What it sends broke off, or is none.
    broken: AtomicBool,
}

/// A place, until it is dropped.
pub(super) struct Place {
    places: Places,
    number: u64,
    signals: Arc<Signals>,
    /// It is one of the transfers that the metric tells of.
    counted: bool,
}

/// What has become of a request, also once its place is dropped.
pub(super) struct Fate(Arc<Signals>);

impl Fate {
    /// Its place went to somebody else.
    pub(super) fn is_displaced(&self) -> bool {
        self.0.stop.is_cancelled()
    }

    /// What it sent broke off, or was none.
    pub(super) fn is_broken(&self) -> bool {
        self.0.broken.load(Ordering::Relaxed)
    }
}

/// What to say to somebody whose place went to somebody else.
pub(super) fn displaced() -> Failure {
    let message = "the place went to somebody who had less";
    ErrorBody::new(ErrorCode::Unavailable, message).after_ms(BUSY_RETRY_MS).into()
}

/// Why a body did not come to its end.
#[derive(Debug, thiserror::Error)]
pub(super) enum BodyError<E> {
    /// The place went to somebody else.
    #[error("the place went to somebody who had less")]
    Displaced,
    /// It broke.
    #[error("the body broke")]
    Broken(E),
}

impl Places {
    pub(super) fn new(direction: &'static str, bounds: Bounds) -> Self {
        Self { direction, table: Arc::new(Mutex::new(Table::new(bounds))) }
    }

    /// Takes a place for a user; waits for one if there is none.
    ///
    /// # Errors
    /// `rate_limited` when the user has as many as one may have, `overloaded` when there is no place
    /// for so long, or too many wait.
    pub(super) async fn take(&self, user: UserId) -> Result<Place, Failure> {
        let refused = |code, message: &str| {
            Failure::from(ErrorBody::new(code, message).after_ms(BUSY_RETRY_MS))
        };
        let began = Instant::now();
        let entered = self.lock().enter(user, began);
        let (number, signals) = entered.map_err(|refusal| match refusal {
            Refusal::OfUser => {
                refused(ErrorCode::RateLimited, "too many of your transfers at once")
            }
            Refusal::Full => refused(ErrorCode::Overloaded, "too many wait for a transfer"),
        })?;
        let mut place = Place { places: self.clone(), number, signals, counted: false };
        loop {
            tokio::select! {
                biased;
                () = place.signals.admitted.cancelled() => break,
                () = place.signals.stop.cancelled() => {
                    return Err(refused(ErrorCode::Overloaded, "too many wait for a transfer"));
                }
                () = tokio::time::sleep(LOOK_EVERY) => self.lock().settle(Instant::now()),
            }
            if began.elapsed() >= WAIT_MAX && !place.signals.admitted.is_cancelled() {
                return Err(refused(ErrorCode::Overloaded, "too many transfers at once"));
            }
        }
        place.counted = true;
        metrics::transfers(self.direction, 1.0);
        metrics::place_waited(self.direction, began.elapsed());
        Ok(place)
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// The request has moved so many bytes more.
    pub(super) fn moved(&self, bytes: usize) {
        self.signals.moved.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// What somebody sends, until they lose the place.
    pub(super) fn body<S, E>(
        &self,
        body: S,
    ) -> impl Stream<Item = Result<Bytes, BodyError<E>>> + Unpin + use<S, E>
    where
        S: Stream<Item = Result<Bytes, E>> + Unpin,
    {
        let next = async |(signals, mut body): (Arc<Signals>, S)| {
            let next = tokio::select! {
                biased;
                () = signals.stop.cancelled() => Err(BodyError::Displaced),
                next = body.next() => next?.map_err(BodyError::Broken),
            };
            match &next {
                Ok(bytes) => {
                    signals.moved.fetch_add(bytes.len() as u64, Ordering::Relaxed);
                }
                Err(BodyError::Broken(_)) => signals.broken.store(true, Ordering::Relaxed),
                Err(BodyError::Displaced) => {}
            }
            Some((next, (signals, body)))
        };
        Box::pin(stream::unfold((Arc::clone(&self.signals), body), next))
    }

    /// What comes of `work`, until the place is lost: as long as nothing has left, its reader can
    /// still be told so.
    ///
    /// # Errors
    /// `unavailable` when it is, and those of `work`.
    pub(super) async fn hold<T>(
        &self,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        tokio::select! {
            biased;
            () = self.signals.stop.cancelled() => Err(displaced()),
            done = work => done,
        }
    }

    /// What becomes of the request.
    pub(super) fn fate(&self) -> Fate {
        Fate(Arc::clone(&self.signals))
    }

    /// Ends the connection of a reader who loses the place, or takes next to nothing.
    pub(super) fn watch_reader(&self, connection: Connection) {
        let (direction, signals) = (self.places.direction, Arc::clone(&self.signals));
        tokio::spawn(reader::watch(direction, signals, connection));
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.signals.ended.cancel();
        if self.counted {
            metrics::transfers(self.places.direction, -1.0);
            if self.signals.stop.is_cancelled() {
                metrics::transfer_cut(self.places.direction, "displaced");
            }
        }
        self.places.lock().leave(self.number, Instant::now());
    }
}
