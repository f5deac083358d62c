//! `/v1/users`

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use hansard_model::account::Handle;
use hansard_model::presence::PresenceSettings;
use hansard_model::{UploadId, UserId};
use hansard_protocol::http::{CreateUser, List, OwnUser, PatchUser, User};
use http::StatusCode;

use super::error::{Failure, json};
use super::extract::{Authorized, Body, Params, PathId, Peer};
use crate::Gateway;
use crate::accounts::Directory;

/// Ids in one request.
const IDS_MAX: usize = 200;

/// `POST /v1/users`
pub(crate) async fn create(
    State(gateway): State<Arc<Gateway>>,
    Peer(peer): Peer,
    Body(request): Body<CreateUser>,
) -> Result<Response, Failure> {
    gateway.rates.signup(peer).map_err(|error| error.body())?;
    let created = gateway.directory.create_user(request).await.map_err(|error| error.body())?;
    json(if created.new { StatusCode::CREATED } else { StatusCode::OK }, &created.user)
}

/// `GET /v1/users?ids= | handle= | q=`
pub(crate) async fn list(
    State(gateway): State<Arc<Gateway>>,
    Authorized(_): Authorized,
    params: Params,
) -> Result<Response, Failure> {
    let directory = &gateway.directory;
    let items = match (params.one("ids")?, params.one("handle")?, params.one("q")?) {
        (Some(ids), None, None) => {
            directory.users(&parse_ids(ids)?).await.map_err(|error| error.body())?
        }
        (None, Some(handle), None) => match handle.parse::<Handle>() {
            Ok(handle) => {
                let found = directory.by_handle(&handle).await.map_err(|error| error.body())?;
                found.into_iter().collect()
            }
            // Text that is no handle is nobody's.
            Err(_) => Vec::new(),
        },
        (None, None, Some(prefix)) if !prefix.is_empty() => {
            directory.by_handle_prefix(&prefix.to_ascii_lowercase(), params.limit()?)
        }
        _ => return Err(Failure::bad_request("exactly one of ids, handle and q is needed")),
    };
    json(StatusCode::OK, &List { items, next: None })
}

fn parse_ids(text: &str) -> Result<Vec<UserId>, Failure> {
    let ids: Vec<UserId> = text
        .split(',')
        .map(str::parse)
        .collect::<Result<_, _>>()
        .map_err(|_| Failure::bad_request("ids are user ids, separated by commas"))?;
    if ids.len() > IDS_MAX {
        return Err(Failure::new(
            hansard_protocol::ErrorCode::TooLarge,
            format!("at most {IDS_MAX} ids"),
        ));
    }
    Ok(ids)
}

/// `GET /v1/users/{user}`
pub(crate) async fn show(
    State(gateway): State<Arc<Gateway>>,
    Authorized(_): Authorized,
    PathId(user): PathId<UserId>,
) -> Result<Response, Failure> {
    let found = gateway.directory.users(&[user]).await.map_err(|error| error.body())?;
    let user: User = found.into_iter().next().ok_or_else(|| Failure::not_found("user"))?;
    json(StatusCode::OK, &user)
}

/// `GET /v1/users/me`
pub(crate) async fn show_own(
    State(gateway): State<Arc<Gateway>>,
    Authorized(identity): Authorized,
) -> Result<Response, Failure> {
    let user = gateway.directory.account(identity.user);
    json(StatusCode::OK, &own(&gateway, user.ok_or_else(|| Failure::not_found("user"))?))
}

fn own(gateway: &Gateway, user: User) -> OwnUser {
    let PresenceSettings { presence, last_seen } = gateway.directory.presence_settings(user.user);
    let read_receipts = gateway.directory.read_receipts(user.user);
    OwnUser { user, presence, last_seen, read_receipts }
}

/// `PATCH /v1/users/me`
pub(crate) async fn change(
    State(gateway): State<Arc<Gateway>>,
    Authorized(identity): Authorized,
    Body(change): Body<PatchUser>,
) -> Result<Response, Failure> {
    // Before a file is shown to everybody for it.
    Directory::check_profile(&change)?;
    let user = identity.user;
    let avatar = change.avatar.clone();
    let _turn = match &avatar {
        Some(_) => Some(gateway.media.avatars.of(user).await),
        None => None,
    };
    let former = gateway.directory.account(user).and_then(|account| account.avatar);
    if let Some(Ok(shown)) = avatar.as_deref().map(str::parse::<UploadId>) {
        let (_, epoch) = gateway.router.standing(hansard_model::PartitionId(0));
        gateway.media.check_settled(epoch).await?;
        gateway.media.show_avatar(user, shown).await?;
    }
    let changed = gateway.directory.change_profile(user, change).await;
    let changed = changed.map_err(|error| error.body())?;
    let former = former.and_then(|former| former.parse().ok());
    if avatar.is_some()
        && let Err(error) = gateway.media.settle_avatar(user, former).await
    {
        // The profile is changed. What was shown stays readable until the collector comes.
        tracing::warn!(user.id = %user, %error, "a former avatar was not withdrawn");
    }
    json(StatusCode::OK, &own(&gateway, changed))
}
