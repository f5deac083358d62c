//! How slow a reader may be.
//!
//! What a reader takes is seen late and in leaps: a part counts when it is handed on, and buffers
//! on the way hold some of it. So all that was taken since the beginning counts, not the last
//! moments, up to a limit.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::Signals;
use crate::http::listener::Connection;
use crate::metrics;

/// Bytes in a second that a reader takes at least, as for those who send. Telephones at the edge of
/// a network take some times as many.
const BYTES_PER_SECOND_MIN: u64 = 1024;
/// What a reader gets besides.
const START: Duration = Duration::from_secs(30);
/// The longest that nothing may be taken: a part of 1 MiB at 2 KiB a second.
const STILL_MAX: Duration = Duration::from_secs(10 * 60);

/// Until when a reader who began then and has taken so much has to take more, if nothing was taken
/// since `since`.
fn due(began: Instant, taken: u64, since: Instant) -> Instant {
    let earned = Duration::from_secs(taken / BYTES_PER_SECOND_MIN);
    (since + STILL_MAX).min(began + START + earned)
}

/// Ends the connection when the reader is too slow, or has to make room; returns when the request is
/// over.
pub(super) async fn watch(direction: &'static str, signals: Arc<Signals>, connection: Connection) {
    let began = Instant::now();
    let (mut taken, mut since) = (0, began);
    loop {
        tokio::select! {
            biased;
            () = signals.ended.cancelled() => return,
            () = signals.stop.cancelled() => break,
            () = sleep_until(due(began, taken, since)) => {}
        }
        let now_taken = signals.moved.load(Ordering::Relaxed);
        if now_taken == taken {
            metrics::transfer_cut(direction, "slow");
            break;
        }
        (taken, since) = (now_taken, Instant::now());
    }
    connection.end();
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How long a reader is served who takes so many bytes every so often, from a part on which is
    /// handed on at once.
    async fn served(bytes: u64, every: Duration, until: Duration) -> Duration {
        let (signals, connection) = (Arc::new(Signals::default()), Connection::default());
        signals.moved.store(1024 * 1024, Ordering::Relaxed);
        let began = Instant::now();
        let watching = tokio::spawn(watch("download", Arc::clone(&signals), connection.clone()));
        while began.elapsed() < until && !connection.has_ended() {
            tokio::time::sleep(every).await;
            signals.moved.fetch_add(bytes, Ordering::Relaxed);
        }
        signals.ended.cancel();
        watching.await.expect("no panic");
        began.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn a_telephone_with_three_kilobytes_a_second_is_served_to_the_end() {
        let hours = Duration::from_secs(10 * 60 * 60);
        let part = Duration::from_secs(1024 / 3);
        assert!(served(1024 * 1024, part, hours).await >= hours);
        assert!(served(3 * 1024, Duration::from_secs(1), hours).await >= hours);
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_nothing_or_next_to_nothing_is_cut_off() {
        let hours = Duration::from_secs(10 * 60 * 60);
        let second = Duration::from_secs(1);
        assert!(served(0, second, hours).await <= START + STILL_MAX + 2 * second);
        assert!(served(100, second, hours).await <= 2 * STILL_MAX + START);
    }
}
