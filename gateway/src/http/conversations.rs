//! `/v1/conversations`: the inbox, and what a conversation is to one member.

use std::cmp::Reverse;
use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hansard_model::draft::Draft;
use hansard_model::event::{Event, GroupCreated};
use hansard_model::group::Membership;
use hansard_model::query::InboxEntry;
use hansard_model::{ConversationId, GroupId, LogTime, MessageId, Seq, UserId, limit};
use hansard_protocol::ErrorCode;
use hansard_protocol::http::{Conversation, CreateConversation, List, Member, PatchConversation};
use http::StatusCode;

use super::error::{Failure, json};
use super::extract::{Authorized, Body, Params, PathId};
use crate::Gateway;
use crate::accounts::{Identity, derived};
use crate::groups::GroupsError;
use crate::send::Command;

impl From<GroupsError> for Failure {
    fn from(error: GroupsError) -> Self {
        tracing::debug!(%error, "membership not known");
        Self::unavailable("the membership cannot be confirmed now")
    }
}

/// Lets pass who may read the conversation now: in a direct one who is in its name, in a group who
/// is a member by the log itself, not by a view of it.
pub(super) async fn admit_reader(
    gateway: &Gateway,
    user: UserId,
    conversation: ConversationId,
) -> Result<(), Failure> {
    let may_read = if conversation.is_group() {
        gateway.groups.membership(conversation, user).await?.is_some()
    } else {
        conversation.other(user).is_some()
    };
    let refused = || Failure::new(ErrorCode::NotAMember, "not a member of the conversation");
    may_read.then_some(()).ok_or_else(refused)
}

/// What a read of a conversation must include: what the request says, and what this device was
/// told is stored.
///
/// # Errors
/// [`Failure`]: the request asks for what is beyond the end of the log.
pub(super) async fn min_seq(
    gateway: &Gateway,
    identity: &Identity,
    conversation: ConversationId,
    params: &Params,
) -> Result<Option<Seq>, Failure> {
    let mut asked = params.min_seq()?;
    asked.retain(|(of, _)| *of == conversation);
    super::check_reachable(gateway, &asked).await?;
    let asked = asked.iter().map(|(_, seq)| *seq);
    Ok(asked.chain(gateway.acks.required(identity.device, conversation)).max())
}

/// `GET /v1/conversations`
pub(crate) async fn list(
    State(gateway): State<Arc<Gateway>>,
    Authorized(identity): Authorized,
    params: Params,
) -> Result<Response, Failure> {
    let limit = params.limit()?;
    let after = params.one("cursor")?.map(parse_cursor).transpose()?;
    let mut min = params.min_seq()?;
    super::check_reachable(&gateway, &min).await?;
    min.extend(gateway.acks.all(identity.device));
    let entries = gateway.inbox.shared(identity.user, &min).await.map_err(|e| e.body())?;
    let mut listed: Vec<&InboxEntry> = entries
        .iter()
        .filter(|entry| entry.member.role.is_some() || !entry.conversation.is_group())
        .filter(|entry| after.is_none_or(|after| place(entry) > after))
        .collect();
    listed.sort_unstable_by_key(|entry| place(entry));
    let more = listed.len() > limit;
    listed.truncate(limit);
    let next = listed.last().filter(|_| more).map(|last| print_cursor(place(last)));
    let mut listed: Vec<InboxEntry> = listed.into_iter().cloned().collect();
    // Behind the shared read: a receipt that this caller was told is stored is in it.
    let counted = gateway.inbox.with_receipts(identity.user, &mut listed).await;
    counted.map_err(|error| error.body())?;
    let items: Vec<Conversation> =
        listed.iter().map(|entry| gateway.inbox.view(identity.user, entry)).collect();
    json(StatusCode::OK, &List { items, next })
}

/// Where a conversation stands in the inbox: last active first.
pub(super) type Place = (Reverse<LogTime>, ConversationId);

pub(super) fn place(entry: &InboxEntry) -> Place {
    (Reverse(entry.head.ts), entry.conversation)
}

fn print_cursor((Reverse(ts), conversation): Place) -> String {
    URL_SAFE_NO_PAD.encode(format!("{}:{conversation}", ts.as_nanos()))
}

fn parse_cursor(text: &str) -> Result<Place, Failure> {
    let parse = || {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (ts, conversation) = std::str::from_utf8(&bytes).ok()?.split_once(':')?;
        Some((Reverse(LogTime::from_nanos(ts.parse().ok()?)), conversation.parse().ok()?))
    };
    parse().ok_or_else(|| Failure::bad_request("the cursor is not one of this list"))
}

/// `POST /v1/conversations`
pub(crate) async fn create(
    State(gateway): State<Arc<Gateway>>,
    Authorized(identity): Authorized,
    Body(request): Body<CreateConversation>,
) -> Result<Response, Failure> {
    match request {
        CreateConversation::Group { id, title, members } => {
            create_group(&gateway, &identity, id, title, members).await
        }
        CreateConversation::Direct { with } => {
            let conversation = ConversationId::direct(identity.user, with);
            if !gateway.directory.exists(with).await.map_err(|error| error.body())? {
                return Err(Failure::not_found("user"));
            }
            let min = gateway.acks.required(identity.device, conversation);
            let entry = gateway.inbox.entry(identity.user, conversation, min).await;
            match entry.map_err(|error| error.body())? {
                Some(entry) => json(StatusCode::OK, &gateway.inbox.view(identity.user, &entry)),
                None => {
                    json(StatusCode::CREATED, &gateway.inbox.unspoken(identity.user, conversation))
                }
            }
        }
    }
}

/// The request's id makes the group's: the same request again is the same event, and stored once.
async fn create_group(
    gateway: &Gateway,
    identity: &Identity,
    id: MessageId,
    title: String,
    members: Vec<UserId>,
) -> Result<Response, Failure> {
    let Identity { user, device, .. } = *identity;
    if members.len() > limit::CREATE_MEMBERS_MAX {
        return Err(Failure::new(ErrorCode::TooLarge, "members is too large"));
    }
    let entropy = derived(&[&gateway.deployment.salt, "group", user.as_str(), &id.to_string()]);
    let conversation = ConversationId::Group(GroupId::from_entropy(entropy));
    let created = Event::Create(GroupCreated { title: Some(title), members });
    let event = Draft::of(created).to_json();
    let command = Command { conversation, sender: user, device, id, event };
    let pending = gateway.sender.create_group(command).await.map_err(|error| error.body())?;
    let stored = pending.await.map_err(|error| error.body())?;
    let entry = gateway.inbox.entry(user, conversation, Some(stored.seq)).await;
    let entry = entry.map_err(|error| error.body())?;
    let entry = entry.ok_or_else(|| Failure::unavailable("the group is not in the inbox yet"))?;
    let status = if stored.duplicate { StatusCode::OK } else { StatusCode::CREATED };
    json(status, &gateway.inbox.view(user, &entry))
}

/// `GET /v1/conversations/{c}`
pub(crate) async fn show(
    State(gateway): State<Arc<Gateway>>,
    Authorized(identity): Authorized,
    PathId(conversation): PathId<ConversationId>,
    params: Params,
) -> Result<Response, Failure> {
    admit_reader(&gateway, identity.user, conversation).await?;
    let min = min_seq(&gateway, &identity, conversation, &params).await?;
    json(StatusCode::OK, &seen(&gateway, &identity, conversation, min).await?)
}

/// A conversation as its reader sees it now, said in or not.
async fn seen(
    gateway: &Gateway,
    identity: &Identity,
    conversation: ConversationId,
    min: Option<Seq>,
) -> Result<Conversation, Failure> {
    let entry = gateway.inbox.entry(identity.user, conversation, min).await;
    if let Some(entry) = entry.map_err(|error| error.body())? {
        return Ok(gateway.inbox.view(identity.user, &entry));
    }
    let with = conversation.other(identity.user).unwrap_or(identity.user);
    if !gateway.directory.exists(with).await.map_err(|error| error.body())? {
        return Err(Failure::not_found("user"));
    }
    Ok(gateway.inbox.unspoken(identity.user, conversation))
}

/// `PATCH /v1/conversations/{c}/me`
pub(crate) async fn change(
    State(gateway): State<Arc<Gateway>>,
    Authorized(identity): Authorized,
    PathId(conversation): PathId<ConversationId>,
    Body(change): Body<PatchConversation>,
) -> Result<Response, Failure> {
    admit_reader(&gateway, identity.user, conversation).await?;
    let min = gateway.acks.required(identity.device, conversation);
    // Before the change: a conversation that cannot exist has no settings.
    seen(&gateway, &identity, conversation, min).await?;
    let changed = gateway.directory.change_settings(identity.user, conversation, &change).await;
    changed.map_err(|error| error.body())?;
    json(StatusCode::OK, &seen(&gateway, &identity, conversation, min).await?)
}

/// `GET /v1/conversations/{c}/members`
pub(crate) async fn members(
    State(gateway): State<Arc<Gateway>>,
    Authorized(identity): Authorized,
    PathId(conversation): PathId<ConversationId>,
    params: Params,
) -> Result<Response, Failure> {
    let page = params.by_user()?;
    admit_reader(&gateway, identity.user, conversation).await?;
    let (members, next) = page.of(members_of(&gateway, conversation).await?);
    let item = |(user, Membership { role, joined, .. })| Member { user, role, joined };
    let items = members.into_iter().map(item).collect();
    json(StatusCode::OK, &List { items, next })
}

/// The members by the log itself, by id.
pub(super) async fn members_of(
    gateway: &Gateway,
    conversation: ConversationId,
) -> Result<Vec<(UserId, Membership)>, Failure> {
    if conversation.is_group() {
        return Ok(gateway.groups.members(conversation).await?);
    }
    Ok(pair(conversation))
}

/// The members of a direct conversation: its name.
fn pair(conversation: ConversationId) -> Vec<(UserId, Membership)> {
    let ConversationId::Direct(x, y) = conversation else { return Vec::new() };
    let mut users = vec![x, y];
    users.dedup();
    let membership =
        Membership { role: hansard_model::Role::Member, joined: Seq::ZERO, view_from: Seq::ZERO };
    users.into_iter().map(|user| (user, membership)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(of: u8) -> UserId {
        UserId::from_entropy([of; 20])
    }

    #[test]
    fn a_cursor_parses_what_it_prints_and_nothing_else() {
        let place = (Reverse(LogTime::from_nanos(7)), ConversationId::direct(user(1), user(2)));
        assert_eq!(parse_cursor(&print_cursor(place)).ok(), Some(place));
        for text in ["", "x", "!!", &URL_SAFE_NO_PAD.encode("7:*"), &URL_SAFE_NO_PAD.encode("7")] {
            assert!(parse_cursor(text).is_err(), "{text}");
        }
    }

    #[test]
    fn later_activity_comes_first() {
        let conversation = ConversationId::direct(user(1), user(2));
        let at = |nanos| (Reverse(LogTime::from_nanos(nanos)), conversation);
        assert!(at(9) < at(8));
    }

    #[test]
    fn notes_to_self_have_one_member() {
        assert_eq!(pair(ConversationId::direct(user(1), user(1))).len(), 1);
        assert_eq!(pair(ConversationId::direct(user(2), user(1)))[0].0, user(1));
    }
}
