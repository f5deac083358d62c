//! Accounts and sessions, written straight to the log: the cost of hashing passwords is not what is
//! measured.

use std::time::Duration;

use anyhow::Context;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::{StreamExt, TryStreamExt};
use hansard_model::account::Handle;
use hansard_model::subject::Subject;
use hansard_model::{AccountEvent, DeviceId, LogTime, MessageId, Seq, UserId};
use hansard_nats::accounts::AccountLog;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::deployment::Bench;

/// Account events on their way to the log at once.
const IN_FLIGHT: usize = 256;
/// How long the sessions last.
const SESSION_TTL: Duration = Duration::from_hours(24);

/// Somebody with a session.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Person {
    pub(super) user: UserId,
    pub(super) device: DeviceId,
    pub(super) token: String,
    pub(super) handle: String,
}

/// Creates people with one session each. The gateways know them when this returns as soon as they
/// have read their part of the account log, which a `hello` waits for.
pub(super) async fn create(bench: &Bench, count: usize) -> anyhow::Result<Vec<Person>> {
    let log = AccountLog::open(&bench.connection);
    let now = bench.log.clock().now()?;
    let created =
        (0..count).map(|index| Created::new(index, now)).collect::<anyhow::Result<Vec<_>>>()?;
    for step in [Created::account as fn(&Created) -> (Subject, AccountEvent), Created::session] {
        futures_util::stream::iter(&created)
            .map(|person| {
                let (log, (subject, event)) = (log.clone(), step(person));
                async move { log.append(&subject, &event, Some(Seq::ZERO)).await }
            })
            .buffer_unordered(IN_FLIGHT)
            .try_collect::<Vec<_>>()
            .await
            .context("the account log")?;
    }
    Ok(created.into_iter().map(|created| created.person).collect())
}

struct Created {
    person: Person,
    handle: Handle,
    secret_sha256: String,
    now: LogTime,
}

impl Created {
    fn new(index: usize, now: LogTime) -> anyhow::Result<Self> {
        let (user, device) = (UserId::from_entropy(random()?), DeviceId::from_entropy(random()?));
        let secret = URL_SAFE_NO_PAD.encode(random::<32>()?);
        let digest = Sha256::digest(secret.as_bytes());
        let secret_sha256 = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        let handle = format!("bench-{index}-{}", &user.as_str()[..6]);
        let token = format!("{user}.{device}.{secret}");
        let person = Person { user, device, token, handle: handle.clone() };
        let handle = handle.parse()?;
        Ok(Self { person, handle, secret_sha256, now })
    }

    fn account(&self) -> (Subject, AccountEvent) {
        let event = AccountEvent::UserCreated {
            user: self.person.user,
            handle: self.handle.clone(),
            name: self.handle.to_string(),
            password: None,
            request: MessageId::new(self.now.as_millis(), random().unwrap_or_default()),
        };
        (Subject::AccountHandle(self.handle.clone()), event)
    }

    fn session(&self) -> (Subject, AccountEvent) {
        let event = AccountEvent::SessionOpened {
            secret_sha256: self.secret_sha256.clone(),
            name: "bench".to_owned(),
            expires_at: self.now.plus(SESSION_TTL),
        };
        (Subject::AccountDevice(self.person.user, self.person.device), event)
    }
}

/// Random bytes.
pub(super) fn random<const N: usize>() -> anyhow::Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| anyhow::anyhow!("no randomness: {error}"))?;
    Ok(bytes)
}
