//! Removals: complete when they are acknowledged, on every gateway.
//!
//! After the event is stored, the gateway asks every registered gateway (itself included) to
//! confirm that it relies on a state with the event and that all it checked against earlier ones
//! has settled. Without all confirmations it waits until every lease from before has ended.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use hansard_model::{ConversationId, DeviceId, Seq, limit};
use hansard_nats::Connection;
use hansard_nats::registry::{ConfirmRequest, Confirmations, REGISTER_EVERY};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::discovery::Standing;
use crate::groups::{Groups, GroupsError};
use crate::router::Router;

/// After this, nothing that was checked before the event can become valid: the lease and the error
/// of the clocks (design: L + e).
const LEASES_END: Duration =
    Duration::from_millis(limit::MEMBERSHIP_LEASE_MS + limit::LOG_TIME_ERROR_MS);
/// Confirmations that are worked on at once; more wait, and their askers wait out the leases.
const CONFIRMATIONS_MAX: usize = 1_024;
/// Pause before a registration is tried again.
const RETRY_PAUSE: Duration = Duration::from_millis(250);

/// Completes removals; clones share it.
#[derive(Clone)]
pub(crate) struct Removals {
    connection: Connection,
    groups: Groups,
    router: Arc<Router>,
    gateway: DeviceId,
}

impl Removals {
    pub(crate) fn new(
        connection: Connection,
        groups: Groups,
        router: Arc<Router>,
        gateway: DeviceId,
    ) -> Self {
        Self { connection, groups, router, gateway }
    }

    /// Returns when the event at `seq`, which is stored, is complete: at the latest after
    /// [`LEASES_END`].
    pub(crate) async fn complete(&self, conversation: ConversationId, seq: Seq) {
        let leases_end = tokio::time::Instant::now() + LEASES_END;
        let confirmed = tokio::time::timeout_at(leases_end, self.confirmed(conversation, seq));
        if !matches!(confirmed.await, Ok(true)) {
            tokio::time::sleep_until(leases_end).await;
        }
    }

    async fn confirmed(&self, conversation: ConversationId, seq: Seq) -> bool {
        let Ok(gateways) = self.connection.gateways().await else { return false };
        let request = ConfirmRequest { conversation, seq };
        let others = gateways.into_iter().filter(|gateway| *gateway != self.gateway);
        let others = join_all(
            others.map(|gateway| self.connection.ask_confirmation(gateway, request, LEASES_END)),
        );
        let (here, others) = tokio::join!(self.settle(conversation, seq), others);
        here.is_ok() && others.into_iter().all(|confirmed| confirmed)
    }

    /// Returns when nothing of before the event at `seq` counts on this gateway any more: in what
    /// it checks, and in whom it tells of whose presence, which the feed may be late for.
    async fn settle(&self, conversation: ConversationId, seq: Seq) -> Result<(), GroupsError> {
        self.groups.settle(conversation, seq).await?;
        if let Some(group) = self.groups.known(conversation) {
            let here = self.router.members_here(conversation);
            for user in here.into_iter().filter(|user| group.member(*user).is_none()) {
                self.router.notes.departed(conversation, user);
            }
        }
        Ok(())
    }

    async fn confirmations(&self) -> Confirmations {
        loop {
            match self.connection.confirmations(self.gateway).await {
                Ok(confirmations) => return confirmations,
                Err(error) => tracing::warn!(%error, "cannot confirm for others yet"),
            }
            tokio::time::sleep(RETRY_PAUSE).await;
        }
    }

    /// Confirms for others until `shutdown`.
    pub(crate) async fn confirm_for_others(self, shutdown: CancellationToken) {
        let mut requests = self.confirmations().await;
        let (tasks, places) =
            (TaskTracker::new(), Arc::new(tokio::sync::Semaphore::new(CONFIRMATIONS_MAX)));
        loop {
            let confirmation = tokio::select! {
                confirmation = requests.next() => confirmation,
                () = shutdown.cancelled() => return,
            };
            let Some(confirmation) = confirmation else {
                requests = self.confirmations().await;
                continue;
            };
            // Without a place the asker waits out the leases.
            let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
            let removals = self.clone();
            tasks.spawn(async move {
                let ConfirmRequest { conversation, seq } = confirmation.request;
                let settled = removals.settle(conversation, seq);
                if matches!(tokio::time::timeout(LEASES_END, settled).await, Ok(Ok(()))) {
                    confirmation.confirm().await;
                }
                drop(place);
            });
        }
    }

    /// Registers this gateway, again and again until `shutdown`, and then takes the entry back.
    /// The gateway vouches for groups only while its registration is recent.
    pub(crate) async fn keep_registered(
        self,
        standing: Arc<Standing>,
        shutdown: CancellationToken,
    ) {
        loop {
            let (asked, entry) = (Instant::now(), standing.entry());
            let pause = match self.connection.register_gateway(&entry).await {
                Ok(()) => {
                    self.groups.registered(asked);
                    standing.written(&entry);
                    REGISTER_EVERY
                }
                Err(error) => {
                    tracing::warn!(%error, "not registered");
                    RETRY_PAUSE
                }
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = standing.changed(&entry) => {}
                () = shutdown.cancelled() => break,
            }
        }
        self.groups.unregistered();
        if let Err(error) = self.connection.deregister_gateway(self.gateway).await {
            tracing::debug!(%error, "the registration ends by itself");
        }
    }
}
