//! A lease that is being held: known to be valid until a moment, or lost.

use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::lease::{LEASE_TTL, Lease, Leases, RENEW_EVERY};

/// What an owner knows of its lease.
#[derive(Clone, Debug)]
pub struct Tenure {
    until: watch::Receiver<Instant>,
    lost: CancellationToken,
}

/// Keeps the lease.
pub(super) struct Keeper {
    leases: Leases,
    key: String,
    lease: Lease,
    until: watch::Sender<Instant>,
    /// Also when the keeper itself ends.
    lost: DropGuard,
}

impl Tenure {
    /// A tenure of a lease that was asked for at `since`.
    pub(super) fn begin(
        leases: Leases,
        key: String,
        lease: Lease,
        since: Instant,
    ) -> (Self, Keeper) {
        let (until, seen) = watch::channel(since + LEASE_TTL);
        let lost = CancellationToken::new();
        let tenure = Self { until: seen, lost: lost.clone() };
        (tenure, Keeper { leases, key, lease, until, lost: lost.drop_guard() })
    }

    /// Nobody else is the owner now. Counted from before the last renewal was sent, on a clock
    /// that goes on while the process is stopped: one that wakes up late says no.
    pub fn is_held(&self) -> bool {
        Instant::now() < *self.until.borrow()
    }

    /// Cancelled when somebody else is the owner.
    pub fn lost(&self) -> CancellationToken {
        self.lost.clone()
    }
}

impl Keeper {
    /// Renews until `ended`, then gives the lease back; or until somebody else has it.
    ///
    /// A renewal that fails says only that the answer is missing: the lease is asked for again
    /// under the same name. While that gets no answer either, the tenure runs out but the owner
    /// keeps its state, which depends on the log alone, and goes on when the lease is its own
    /// again.
    pub(super) async fn keep(mut self, holder: String, ended: CancellationToken) {
        loop {
            tokio::select! {
                () = tokio::time::sleep(RENEW_EVERY) => {}
                () = ended.cancelled() => break,
            }
            let asked = Instant::now();
            if self.leases.renew(&mut self.lease).await.is_err() {
                match self.leases.acquire(&self.key, &holder).await {
                    Ok(Some(lease)) => self.lease = lease,
                    Ok(None) => {
                        tracing::warn!(lease = self.key, "lease lost");
                        return;
                    }
                    Err(error) => {
                        tracing::debug!(%error, lease = self.key, "lease not renewed");
                        continue;
                    }
                }
            }
            self.until.send_replace(asked + LEASE_TTL);
        }
        self.leases.release(self.lease).await;
        // The owner has ended already: nobody is left to be told.
        self.lost.disarm();
    }
}
