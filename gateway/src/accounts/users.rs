//! Users: created once per request, changed by themselves.

use hansard_model::account::Handle;
use hansard_model::limit;
use hansard_model::subject::Subject;
use hansard_model::{AccountEvent, MessageId, Rejection, Seq, UploadId, UserId};
use hansard_protocol::http::{CreateUser, PatchUser, User};
use hansard_protocol::{ErrorBody, ErrorCode};
use sha2::{Digest, Sha256};

use super::password::PasswordError;
use super::{Directory, Unconfirmed, WriteError, internal, shown, unavailable};

/// Why a user was not created.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CreateUserError {
    /// A part is not acceptable.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// Somebody else has the handle.
    #[error("the handle is taken")]
    HandleTaken,
    /// The request's id made another user before.
    #[error("the id was used for another request")]
    IdReused,
    /// The password was not hashed.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// It may be created: the same request says so.
    #[error("the log did not answer in time")]
    Unknown,
}

impl CreateUserError {
    /// The error that the caller gets.
    pub(crate) fn body(&self) -> ErrorBody {
        match self {
            Self::Rejected(rejection) => ErrorBody::new((*rejection).into(), rejection.to_string()),
            Self::HandleTaken => ErrorBody::new(ErrorCode::HandleTaken, self.to_string()),
            Self::IdReused => ErrorBody::new(ErrorCode::IdReused, self.to_string()),
            Self::Password(error) => error.body(),
            Self::Unknown => unavailable(self),
        }
    }
}

impl PasswordError {
    /// The error that the caller gets.
    pub(crate) fn body(&self) -> ErrorBody {
        match self {
            Self::Overloaded => {
                ErrorBody::new(ErrorCode::Overloaded, self.to_string()).after_ms(1_000)
            }
            Self::Hash => internal(self),
        }
    }
}

/// Why a profile was not changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ChangeProfileError {
    /// A part is not acceptable.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// It may be changed.
    #[error("the log did not answer in time")]
    Unknown,
}

impl ChangeProfileError {
    /// The error that the caller gets.
    pub(crate) fn body(&self) -> ErrorBody {
        match self {
            Self::Rejected(rejection) => ErrorBody::new((*rejection).into(), rejection.to_string()),
            Self::Unknown => unavailable(self),
        }
    }
}

/// The outcome of a creation.
pub(crate) struct CreatedUser {
    /// The user.
    pub(crate) user: User,
    /// It did not exist before.
    pub(crate) new: bool,
}

impl Directory {
    /// Creates a user, once per request id, for ever: the id makes the user's id, and the handle's
    /// subject takes one event. The same request again gives the same user; whether it is the same
    /// is judged by handle and password.
    ///
    /// # Errors
    /// [`CreateUserError`]
    pub(crate) async fn create_user(
        &self,
        request: CreateUser,
    ) -> Result<CreatedUser, CreateUserError> {
        let CreateUser { id, handle, password, name } = request;
        let name = name.unwrap_or_else(|| handle.to_string());
        check_name(&name)?;
        if !limit::PASSWORD_BYTES.contains(&password.len()) {
            return Err(Rejection::BadEvent("a password is 8 to 256 bytes").into());
        }
        let user = self.user_of(id);
        if self.shared.read().user(user).is_some() {
            return self.created_before(user, &handle, password).await;
        }
        if self.shared.read().by_handle(&handle).is_some() {
            return Err(CreateUserError::HandleTaken);
        }
        let hash = self.passwords.hash(password.clone()).await?;
        let event = AccountEvent::UserCreated {
            user,
            handle: handle.clone(),
            name,
            password: Some(hash),
            request: id,
        };
        let subject = Subject::AccountHandle(handle.clone());
        match self.write(&subject, &event, Some(Seq::ZERO)).await {
            Ok(()) => {}
            Err(WriteError::Unknown) => return Err(CreateUserError::Unknown),
            Err(WriteError::Conflict) => {
                self.barrier.wait().await.map_err(|Unconfirmed| CreateUserError::Unknown)?;
                return if self.shared.read().user(user).is_some() {
                    self.created_before(user, &handle, password).await
                } else {
                    Err(CreateUserError::HandleTaken)
                };
            }
        }
        match self.account(user) {
            Some(user) if user.handle == handle => Ok(CreatedUser { user, new: true }),
            // The same id was sent with another handle at the same time, and that one was first.
            Some(_) | None => Err(CreateUserError::IdReused),
        }
    }

    /// The user id that a request makes: the deployment's salt keeps it from being computed by
    /// others.
    fn user_of(&self, request: MessageId) -> UserId {
        UserId::from_entropy(derived(&[&self.salt, "user", &request.to_string()]))
    }

    async fn created_before(
        &self,
        user: UserId,
        handle: &Handle,
        password: String,
    ) -> Result<CreatedUser, CreateUserError> {
        let (shown, stored) = {
            let accounts = self.shared.read();
            let account = accounts.user(user).ok_or(CreateUserError::IdReused)?;
            (shown(account), account.password.clone())
        };
        let right = self.passwords.verify(password, stored.as_deref()).await?;
        if right && shown.handle == *handle {
            Ok(CreatedUser { user: shown, new: false })
        } else {
            Err(CreateUserError::IdReused)
        }
    }

    /// Whether every part of a change of a profile is acceptable by itself.
    ///
    /// # Errors
    /// [`Rejection`]
    pub(crate) fn check_profile(change: &PatchUser) -> Result<(), Rejection> {
        change.name.as_deref().map_or(Ok(()), check_name)?;
        change.avatar.as_deref().map_or(Ok(()), check_avatar)
    }

    /// Changes a user's own profile.
    ///
    /// # Errors
    /// [`ChangeProfileError`]
    pub(crate) async fn change_profile(
        &self,
        user: UserId,
        change: PatchUser,
    ) -> Result<User, ChangeProfileError> {
        Self::check_profile(&change)?;
        let PatchUser { name, avatar, presence, last_seen, read_receipts } = change;
        // Events of their own: who looks different is told to everybody, this to nobody.
        let looks = (name.is_some() || avatar.is_some()).then_some(AccountEvent::ProfileChanged {
            name,
            avatar,
            presence: None,
            last_seen: None,
            read_receipts: None,
        });
        let is_shown = presence.is_some() || last_seen.is_some() || read_receipts.is_some();
        let shows = is_shown.then_some(AccountEvent::ProfileChanged {
            name: None,
            avatar: None,
            presence,
            last_seen,
            read_receipts,
        });
        for event in [looks, shows].into_iter().flatten() {
            self.write(&Subject::AccountUser(user), &event, None)
                .await
                .map_err(|_| ChangeProfileError::Unknown)?;
        }
        self.account(user).ok_or(ChangeProfileError::Unknown)
    }
}

/// Bytes for an id that depends on all `parts` and nothing else. The last byte of each part's
/// frame cannot be in a part, so no two lists of parts give the same text.
pub(crate) fn derived(parts: &[&str]) -> [u8; 20] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    let mut bytes = [0; 20];
    bytes.copy_from_slice(&hash.finalize()[..20]);
    bytes
}

/// A name that people see: not blank, bounded, on one line.
pub(super) fn check_name(name: &str) -> Result<(), Rejection> {
    if name.trim().is_empty() {
        return Err(Rejection::Empty("name"));
    }
    if name.len() > limit::NAME_BYTES_MAX {
        return Err(Rejection::TooLarge("name"));
    }
    if name.chars().any(char::is_control) {
        return Err(Rejection::BadEvent("a name has no control characters"));
    }
    Ok(())
}

/// A media id, or nothing for no avatar.
fn check_avatar(avatar: &str) -> Result<(), Rejection> {
    let is_one = avatar.is_empty() || avatar.parse::<UploadId>().is_ok();
    is_one.then_some(()).ok_or(Rejection::BadEvent("an avatar is a media id"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_depend_on_every_part() {
        assert_eq!(derived(&["a", "b"]), derived(&["a", "b"]));
        assert_ne!(derived(&["a", "b"]), derived(&["ab"]));
        assert_ne!(derived(&["a", "b"]), derived(&["", "ab"]));
        assert_ne!(derived(&["salt", "user"]), derived(&["salt2", "user"]));
    }

    #[test]
    fn names_are_one_visible_line() {
        assert_eq!(check_name("Ana"), Ok(()));
        assert_eq!(check_name(" "), Err(Rejection::Empty("name")));
        assert_eq!(check_name(&"x".repeat(129)), Err(Rejection::TooLarge("name")));
        assert!(check_name("a\nb").is_err());
    }

    #[test]
    fn an_avatar_is_a_media_id_or_none() {
        assert_eq!(check_avatar(UploadId::from_entropy([1; 20]).as_str()), Ok(()));
        assert_eq!(check_avatar(""), Ok(()));
        assert!(check_avatar("a/b").is_err());
    }
}
