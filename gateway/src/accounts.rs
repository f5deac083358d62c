//! Accounts: who exists, who is logged in, what they set. [`Directory`] is the fold of the stream
//! `ACCOUNTS`, followed by every gateway, so that a session revoked anywhere ends everywhere.
//!
//! The fold may be behind the log. What it says *yes* to stays so; before it says *no* (no such
//! handle, no such token) it waits until it has all that the log has.

mod barrier;
mod follower;
mod password;
mod sessions;
mod settings;
mod token;
mod users;

use std::sync::{Arc, RwLock, RwLockReadGuard};
use std::time::Duration;

use hansard_model::account::{Account, Accounts, Handle, Session};
use hansard_model::presence::{PresenceSettings, Visibility};
use hansard_model::subject::Subject;
use hansard_model::{AccountEvent, DeviceId, LogTime, Seq, UserId};
use hansard_nats::LogClock;
use hansard_nats::accounts::{AccountLog, AppendError};
use hansard_protocol::http::User;
use hansard_protocol::{ErrorBody, ErrorCode};
use tokio::sync::watch;

pub(crate) use barrier::Unconfirmed;
pub(crate) use follower::{Change, Follower};
pub(crate) use users::derived;

use barrier::Barrier;
use password::{PasswordError, PasswordPool};
use token::Token;

use crate::http::UNAVAILABLE_RETRY_MS;

/// How long a write is waited for, until its effect shows in the fold.
const WRITE_WITHIN: Duration = Duration::from_secs(3);

/// Who a valid token is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    /// The user.
    pub(crate) user: UserId,
    /// The device.
    pub(crate) device: DeviceId,
    /// When the token ends.
    pub(crate) expires_at: LogTime,
}

/// All accounts, as far as the log has been followed; clones share them.
#[derive(Clone)]
pub(crate) struct Directory {
    shared: Arc<Shared>,
    log: AccountLog,
    clock: LogClock,
    barrier: Barrier,
    passwords: Arc<PasswordPool>,
    salt: Arc<str>,
    session_ttl: Duration,
}

/// The fold, and how far it is.
struct Shared {
    accounts: RwLock<Accounts>,
    applied: watch::Sender<Seq>,
}

impl Shared {
    fn read(&self) -> RwLockReadGuard<'_, Accounts> {
        // A panic while the fold was written leaves it as it was after the last whole event.
        self.accounts.read().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// Why there is no directory.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenDirectoryError {
    /// The pool of passwords did not start.
    #[error(transparent)]
    Password(#[from] PasswordError),
}

/// Why a token was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AuthError {
    /// It is none, or was revoked or replaced.
    #[error("the token is not valid")]
    Invalid,
    /// Its time is over.
    #[error("the token has expired")]
    Expired,
    /// It is not known here, and the log does not answer.
    #[error(transparent)]
    Unconfirmed(#[from] Unconfirmed),
    /// Log time is not known.
    #[error("the time is not known")]
    Clock,
}

impl AuthError {
    /// The error that the caller gets.
    pub(crate) fn body(&self) -> ErrorBody {
        match self {
            Self::Invalid | Self::Expired => {
                ErrorBody::new(ErrorCode::Unauthorized, self.to_string())
            }
            Self::Unconfirmed(unconfirmed) => unconfirmed.body(),
            Self::Clock => unavailable(self),
        }
    }
}

impl Unconfirmed {
    /// The error that the caller gets.
    pub(crate) fn body(&self) -> ErrorBody {
        unavailable(self)
    }
}

fn unavailable(cause: &impl ToString) -> ErrorBody {
    ErrorBody::new(ErrorCode::Unavailable, cause.to_string()).after_ms(UNAVAILABLE_RETRY_MS)
}

fn internal(cause: &impl ToString) -> ErrorBody {
    ErrorBody::new(ErrorCode::Internal, cause.to_string())
}

/// Why an account event is not known to be stored.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WriteError {
    /// Something else was written meanwhile; this was not.
    #[error("changed meanwhile")]
    Conflict,
    /// It may be stored.
    #[error("the log did not answer in time")]
    Unknown,
}

impl Directory {
    /// An empty directory, and what fills it: run the [`Follower`], then
    /// [`Directory::catch_up`].
    ///
    /// # Errors
    /// [`OpenDirectoryError`]
    pub(crate) async fn open(
        log: AccountLog,
        clock: LogClock,
        salt: &str,
        session_ttl: Duration,
    ) -> Result<(Self, Follower), OpenDirectoryError> {
        let (applied, position) = watch::channel(Seq::ZERO);
        let shared = Arc::new(Shared { accounts: RwLock::default(), applied });
        let directory = Self {
            barrier: Barrier::start(log.clone(), position),
            passwords: Arc::new(PasswordPool::start().await?),
            shared: shared.clone(),
            log: log.clone(),
            clock,
            salt: salt.into(),
            session_ttl,
        };
        Ok((directory, Follower::new(log, shared)))
    }

    /// Waits until the fold has everything that the log has now.
    ///
    /// # Errors
    /// [`Unconfirmed`] when that takes more than 2 s.
    pub(crate) async fn catch_up(&self) -> Result<(), Unconfirmed> {
        self.barrier.wait().await
    }

    /// Whose token it is.
    ///
    /// # Errors
    /// [`AuthError`]
    pub(crate) async fn authenticate(&self, token: &str) -> Result<Identity, AuthError> {
        let token = Token::parse(token).map_err(|_| AuthError::Invalid)?;
        let now = self.clock.now().map_err(|_| AuthError::Clock)?;
        match self.identify(&token, now) {
            Err(AuthError::Invalid) => {
                // It may have been opened elsewhere a moment ago.
                self.barrier.wait().await?;
                self.identify(&token, now)
            }
            decided => decided,
        }
    }

    fn identify(&self, token: &Token<'_>, now: LogTime) -> Result<Identity, AuthError> {
        let accounts = self.shared.read();
        let session = accounts
            .user(token.user)
            .and_then(|account| account.devices.get(&token.device))
            .ok_or(AuthError::Invalid)?;
        let expires_at = valid_until(session, token).ok_or(AuthError::Invalid)?;
        if now >= expires_at {
            return Err(AuthError::Expired);
        }
        // The session lasts as long as its newest token, also for a connection of the one before.
        Ok(Identity { user: token.user, device: token.device, expires_at: session.expires_at })
    }

    /// When the session of a device ends, as far as is known here; `None` once it was revoked. A
    /// connection asks again at its end: the token may have been refreshed.
    pub(crate) fn session_ends(&self, user: UserId, device: DeviceId) -> Option<LogTime> {
        let accounts = self.shared.read();
        Some(accounts.user(user)?.devices.get(&device)?.expires_at)
    }

    /// Whether a device of a user is logged in.
    ///
    /// # Errors
    /// [`AuthError`] when it is not known here and the log does not answer, or the time is not known.
    pub(crate) async fn has_session(
        &self,
        user: UserId,
        device: DeviceId,
    ) -> Result<bool, AuthError> {
        let now = self.clock.now().map_err(|_| AuthError::Clock)?;
        let mut ends = self.session_ends(user, device);
        if ends.is_none() {
            // It may have been opened elsewhere a moment ago.
            self.barrier.wait().await?;
            ends = self.session_ends(user, device);
        }
        Ok(ends.is_some_and(|ends| now < ends))
    }

    /// Whether a user exists.
    ///
    /// # Errors
    /// [`Unconfirmed`] when the user is not known here and the log does not answer.
    pub(crate) async fn exists(&self, user: UserId) -> Result<bool, Unconfirmed> {
        if self.shared.read().user(user).is_some() {
            return Ok(true);
        }
        self.barrier.wait().await?;
        Ok(self.shared.read().user(user).is_some())
    }

    /// The first of `users` that does not exist.
    ///
    /// # Errors
    /// As [`Directory::exists`].
    pub(crate) async fn missing(&self, users: &[UserId]) -> Result<Option<UserId>, Unconfirmed> {
        let first_unknown = || {
            let accounts = self.shared.read();
            users.iter().copied().find(|user| accounts.user(*user).is_none())
        };
        if first_unknown().is_none() {
            return Ok(None);
        }
        self.barrier.wait().await?;
        Ok(first_unknown())
    }

    /// A user, as far as is known here.
    pub(crate) fn account(&self, user: UserId) -> Option<User> {
        self.shared.read().user(user).map(shown)
    }

    /// What a user lets others know of their being there, as far as is known here; nothing of a
    /// user who is not known.
    pub(crate) fn presence_settings(&self, user: UserId) -> PresenceSettings {
        let nothing =
            PresenceSettings { presence: Visibility::Nobody, last_seen: Visibility::Nobody };
        self.shared.read().user(user).map_or(nothing, |account| account.presence)
    }

    /// Who may see what a user reads, as far as is known here; nobody if the user is not known.
    pub(crate) fn read_receipts(&self, user: UserId) -> Visibility {
        let accounts = self.shared.read();
        accounts.user(user).map_or(Visibility::Nobody, |account| account.read_receipts)
    }

    /// The users of these ids, in their order; unknown ones are left out.
    ///
    /// # Errors
    /// As [`Directory::exists`].
    pub(crate) async fn users(&self, ids: &[UserId]) -> Result<Vec<User>, Unconfirmed> {
        self.missing(ids).await?;
        let accounts = self.shared.read();
        Ok(ids.iter().filter_map(|user| accounts.user(*user)).map(shown).collect())
    }

    /// Those of `users` who are known here, in their order.
    pub(crate) fn known(&self, users: impl IntoIterator<Item = UserId>) -> Vec<User> {
        let accounts = self.shared.read();
        users.into_iter().filter_map(|user| accounts.user(user)).map(shown).collect()
    }

    /// The user of a handle.
    ///
    /// # Errors
    /// As [`Directory::exists`].
    pub(crate) async fn by_handle(&self, handle: &Handle) -> Result<Option<User>, Unconfirmed> {
        let find = || self.shared.read().by_handle(handle).map(shown);
        if let Some(user) = find() {
            return Ok(Some(user));
        }
        self.barrier.wait().await?;
        Ok(find())
    }

    /// Users whose handle begins with `prefix`, in the order of handles, at most `limit`.
    pub(crate) fn by_handle_prefix(&self, prefix: &str, limit: usize) -> Vec<User> {
        let accounts = self.shared.read();
        accounts.by_handle_prefix(prefix).take(limit).map(shown).collect()
    }

    /// Appends, and waits until the fold has it.
    async fn write(
        &self,
        subject: &Subject,
        event: &AccountEvent,
        expected: Option<Seq>,
    ) -> Result<(), WriteError> {
        let written = tokio::time::timeout(WRITE_WITHIN, async {
            let seq =
                self.log.append(subject, event, expected).await.map_err(|error| match error {
                    AppendError::Conflict => WriteError::Conflict,
                    AppendError::Unknown(_) => {
                        tracing::warn!(%error, "account event not acknowledged");
                        WriteError::Unknown
                    }
                })?;
            let mut applied = self.shared.applied.subscribe();
            barrier::reach(&mut applied, seq).await.map_err(|_| WriteError::Unknown)
        });
        written.await.unwrap_or(Err(WriteError::Unknown))
    }
}

/// When the token ends; `None` when it is not, or no longer, the session's.
fn valid_until(session: &Session, token: &Token<'_>) -> Option<LogTime> {
    if token.is_of(&session.secret_sha256) {
        return Some(session.expires_at);
    }
    let replaced = session.replaced.as_ref()?;
    token.is_of(&replaced.secret_sha256).then_some(replaced.expires_at)
}

/// An account as others see it.
fn shown(account: &Account) -> User {
    User {
        user: account.user,
        handle: account.handle.clone(),
        name: account.name.clone(),
        avatar: account.avatar.clone().filter(|avatar| !avatar.is_empty()),
    }
}
