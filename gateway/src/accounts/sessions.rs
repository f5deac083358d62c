//! Sessions: one per device, with a token that the log knows only by its hash.

use hansard_model::account::Handle;
use hansard_model::limit;
use hansard_model::subject::Subject;
use hansard_model::{AccountEvent, DeviceId, LogTime, Rejection, UserId};
use hansard_protocol::http::{OpenSession, OpenedSession, Session};
use hansard_protocol::{ErrorBody, ErrorCode};

use super::password::PasswordError;
use super::users::check_name;
use super::{
    AuthError, Directory, Identity, Unconfirmed, WriteError, internal, token, unavailable,
};

/// What a device is called that does not say.
const DEVICE_NAME: &str = "unnamed device";
/// How often a refresh is tried while others refresh the same session.
const REFRESH_ATTEMPTS: usize = 8;

/// Why nobody was logged in.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenSessionError {
    /// A part is not acceptable.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// One of the two is wrong; which, nobody is told.
    #[error("the handle or the password is wrong")]
    Wrong,
    /// The password was not verified.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// See [`SessionError`].
    #[error(transparent)]
    Session(#[from] SessionError),
}

/// Why a session was not changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SessionError {
    /// There is no such session.
    #[error("no such session")]
    NotFound,
    /// The token that asks is no longer valid.
    #[error("the token is not valid")]
    Unauthorized,
    /// The log or the clock did not answer: it may be changed.
    #[error("the log did not answer in time")]
    Unknown,
    /// The system has no randomness.
    #[error("no token can be made")]
    Randomness,
}

impl OpenSessionError {
    /// The error that the caller gets.
    pub(crate) fn body(&self) -> ErrorBody {
        match self {
            Self::Rejected(rejection) => ErrorBody::new((*rejection).into(), rejection.to_string()),
            Self::Wrong => ErrorBody::new(ErrorCode::Unauthorized, self.to_string()),
            Self::Password(error) => error.body(),
            Self::Session(error) => error.body(),
        }
    }
}

impl SessionError {
    /// The error that the caller gets.
    pub(crate) fn body(&self) -> ErrorBody {
        match self {
            Self::NotFound => ErrorBody::new(ErrorCode::NotFound, self.to_string()),
            Self::Unauthorized => AuthError::Invalid.body(),
            Self::Unknown => unavailable(self),
            Self::Randomness => internal(self),
        }
    }
}

impl From<Unconfirmed> for SessionError {
    fn from(Unconfirmed: Unconfirmed) -> Self {
        Self::Unknown
    }
}

impl From<Unconfirmed> for OpenSessionError {
    fn from(unconfirmed: Unconfirmed) -> Self {
        Self::Session(unconfirmed.into())
    }
}

impl Directory {
    /// Logs a device in. A handle that does not exist takes as long as a wrong password: both are
    /// hashed, and both wait until the fold has all of the log.
    ///
    /// When the user has as many devices as allowed, the one logged in longest ago is logged out:
    /// refusing would lock out a person who lost them all.
    ///
    /// # Errors
    /// [`OpenSessionError`]
    pub(crate) async fn open_session(
        &self,
        request: OpenSession,
    ) -> Result<OpenedSession, OpenSessionError> {
        let OpenSession { handle, password, device_name } = request;
        let name = device_name.unwrap_or_else(|| DEVICE_NAME.to_owned());
        check_name(&name)?;
        let user = self.owner(&handle, password).await?;
        let device = token::new_device().map_err(|_| SessionError::Randomness)?;
        while let Some(oldest) = self.surplus(user) {
            self.revoke_session(user, oldest).await?;
        }
        Ok(self.store_token(user, device, name, None).await?)
    }

    /// The owner of a handle, if the password is theirs.
    async fn owner(&self, handle: &Handle, password: String) -> Result<UserId, OpenSessionError> {
        if password.len() > *limit::PASSWORD_BYTES.end() {
            return Err(OpenSessionError::Wrong);
        }
        let stored = || {
            let accounts = self.shared.read();
            accounts.by_handle(handle).map(|account| (account.user, account.password.clone()))
        };
        let first = stored();
        let hash =
            |of: &Option<(UserId, Option<String>)>| of.as_ref().and_then(|(_, hash)| hash.clone());
        let right = self.passwords.verify(password.clone(), hash(&first).as_deref()).await?;
        if right {
            return first.map(|(user, _)| user).ok_or(OpenSessionError::Wrong);
        }
        self.barrier.wait().await?;
        let second = stored();
        if second != first && self.passwords.verify(password, hash(&second).as_deref()).await? {
            return second.map(|(user, _)| user).ok_or(OpenSessionError::Wrong);
        }
        Err(OpenSessionError::Wrong)
    }

    /// The session opened longest ago, when there is no place for another.
    fn surplus(&self, user: UserId) -> Option<DeviceId> {
        let accounts = self.shared.read();
        let devices = &accounts.user(user)?.devices;
        let full = devices.len() >= limit::DEVICES_PER_USER_MAX;
        let oldest = devices.iter().min_by_key(|(_, session)| session.since);
        oldest.filter(|_| full).map(|(device, _)| *device)
    }

    async fn store_token(
        &self,
        user: UserId,
        device: DeviceId,
        name: String,
        replaces: Option<hansard_model::Seq>,
    ) -> Result<OpenedSession, SessionError> {
        let minted = token::mint(user, device).map_err(|_| SessionError::Randomness)?;
        let expires_at = self.now()?.plus(self.session_ttl);
        let secret_sha256 = minted.secret_sha256;
        let event = AccountEvent::SessionOpened { secret_sha256, name, expires_at };
        match self.write(&Subject::AccountDevice(user, device), &event, replaces).await {
            Ok(()) => Ok(OpenedSession { token: minted.token, expires_at, user, device }),
            // Revoked or refreshed by somebody else meanwhile: this token is no longer the one.
            Err(WriteError::Conflict) => Err(SessionError::Unauthorized),
            Err(WriteError::Unknown) => Err(SessionError::Unknown),
        }
    }

    fn now(&self) -> Result<LogTime, SessionError> {
        self.clock.now().map_err(|_| SessionError::Unknown)
    }

    /// Gives a device a new token; its connections stay. The token before it lasts a minute longer,
    /// for a client that never hears the answer; no token before that.
    ///
    /// # Errors
    /// [`SessionError`]
    pub(crate) async fn refresh_session(
        &self,
        identity: &Identity,
    ) -> Result<OpenedSession, SessionError> {
        let Identity { user, device, .. } = *identity;
        for _ in 0..REFRESH_ATTEMPTS {
            let current = {
                let accounts = self.shared.read();
                let session = accounts.user(user).and_then(|account| account.devices.get(&device));
                session.map(|session| (session.name.clone(), session.seq))
            };
            let (name, seq) = current.ok_or(SessionError::Unauthorized)?;
            match self.store_token(user, device, name, Some(seq)).await {
                // Refreshed meanwhile, which takes nothing from this one, or revoked.
                Err(SessionError::Unauthorized) => self.barrier.wait().await?,
                answer => return answer,
            }
        }
        Err(SessionError::Unknown)
    }

    /// The open sessions of a user, newest first.
    ///
    /// # Errors
    /// [`SessionError::Unknown`] when the log or the clock does not answer.
    pub(crate) async fn sessions(&self, identity: &Identity) -> Result<Vec<Session>, SessionError> {
        self.barrier.wait().await?;
        let now = self.now()?;
        let accounts = self.shared.read();
        let devices = accounts.user(identity.user).map(|account| &account.devices);
        let mut sessions: Vec<Session> = devices
            .into_iter()
            .flatten()
            .filter(|(_, session)| session.expires_at > now)
            .map(|(device, session)| Session {
                device: *device,
                name: session.name.clone(),
                since: session.since,
                expires_at: session.expires_at,
                current: *device == identity.device,
                connections: Vec::new(),
            })
            .collect();
        sessions.sort_by_key(|session| std::cmp::Reverse(session.since));
        Ok(sessions)
    }

    /// Ends a session: its token is refused from now on here, and everywhere as soon as the others
    /// have followed the log.
    ///
    /// # Errors
    /// [`SessionError`]
    pub(crate) async fn revoke_session(
        &self,
        user: UserId,
        device: DeviceId,
    ) -> Result<(), SessionError> {
        if self.session_ends(user, device).is_none() {
            self.barrier.wait().await?;
            if self.session_ends(user, device).is_none() {
                return Err(SessionError::NotFound);
            }
        }
        self.write(&Subject::AccountDevice(user, device), &AccountEvent::SessionRevoked {}, None)
            .await
            .map_err(|_| SessionError::Unknown)
    }
}
