//! Whom a `from:` means, and where an `in:` looks: only the gateway knows people and inboxes.

use std::collections::HashMap;
use std::ops::Range;

use hansard_model::account::Handle;
use hansard_model::query::InboxEntry;
use hansard_model::{ConversationId, UserId};
use hansard_protocol::ErrorCode;
use hansard_search_language::Query;
use hansard_search_language::query::{Asks, Name};

use super::{Failure, Resolved, utf16};
use crate::Gateway;
use crate::accounts::Identity;

/// A query with what its names mean.
pub(super) struct Names {
    pub(super) query: Resolved,
    /// For each `from:`, in their order.
    pub(super) people: Vec<UserId>,
    /// For each `in:`, in their order.
    pub(super) conversations: Vec<ConversationId>,
}

/// Finds out what the names of a query mean.
///
/// # Errors
/// [`Failure`] with the place of a name that means nothing, or several things.
pub(super) async fn resolve(
    gateway: &Gateway,
    identity: &Identity,
    text: &str,
    query: Query,
) -> Result<Names, Failure> {
    let mut known_people: HashMap<Range<usize>, UserId> = HashMap::new();
    let mut known_places: HashMap<Range<usize>, ConversationId> = HashMap::new();
    let leaves = query.leaves();
    for (leaf, _) in leaves {
        match &leaf.asks {
            Asks::From(name) => {
                let found = person(gateway, identity, name).await?;
                let user = found.ok_or_else(|| nobody(text, name))?;
                known_people.insert(name.span.clone(), user);
            }
            Asks::In(name) => {
                let found = place(gateway, identity, text, name).await?;
                known_places.insert(name.span.clone(), found);
            }
            _ => {}
        }
    }
    let (mut people, mut conversations) = (Vec::new(), Vec::new());
    let query = query.resolve(
        |name| {
            let user = known_people.get(&name.span).copied().ok_or_else(|| nobody(text, &name))?;
            people.push(user);
            Ok::<_, Failure>(user)
        },
        |name| {
            let found =
                known_places.get(&name.span).copied().ok_or_else(|| nowhere(text, &name))?;
            conversations.push(found);
            Ok(found)
        },
    )?;
    Ok(Names { query, people, conversations })
}

fn nobody(text: &str, name: &Name) -> Failure {
    let message = format!("nobody has the handle {:?}", name.text);
    Failure::about(ErrorCode::NotFound, message, utf16(text, &name.span))
}

fn nowhere(text: &str, name: &Name) -> Failure {
    let message = format!("you have no conversation {:?}", name.text);
    Failure::about(ErrorCode::NotFound, message, utf16(text, &name.span))
}

/// A person by their handle or id, or who asks.
async fn person(
    gateway: &Gateway,
    identity: &Identity,
    name: &Name,
) -> Result<Option<UserId>, Failure> {
    if name.is_me() {
        return Ok(Some(identity.user));
    }
    if let Ok(handle) = name.text.to_ascii_lowercase().parse::<Handle>() {
        let found = gateway.directory.by_handle(&handle).await.map_err(|error| error.body())?;
        if let Some(found) = found {
            return Ok(Some(found.user));
        }
    }
    Ok(name.text.parse().ok())
}

/// A conversation by its id, a group of the reader's by its title, or the direct conversation with
/// a person.
async fn place(
    gateway: &Gateway,
    identity: &Identity,
    text: &str,
    name: &Name,
) -> Result<ConversationId, Failure> {
    if let Ok(id) = name.text.parse() {
        return Ok(id);
    }
    let entries = gateway.inbox.shared(identity.user, &[]).await.map_err(|error| error.body())?;
    let wanted = name.text.to_lowercase();
    let titled = titles(&entries).filter(|(title, _)| *title == wanted);
    let titled: Vec<ConversationId> = titled.map(|(_, conversation)| conversation).collect();
    match titled[..] {
        [one] => Ok(one),
        [] => match person(gateway, identity, name).await? {
            Some(other) => Ok(ConversationId::direct(identity.user, other)),
            None => Err(nowhere(text, name)),
        },
        _ => {
            let message =
                format!("{} conversations are called {:?}: give an id", titled.len(), name.text);
            Err(Failure::about(ErrorCode::Conflict, message, utf16(text, &name.span)))
        }
    }
}

/// The groups that somebody is in now, each with the title by which `in:` finds it.
pub(super) fn titles(entries: &[InboxEntry]) -> impl Iterator<Item = (String, ConversationId)> {
    let groups =
        entries.iter().filter(|entry| entry.member.role.is_some() && entry.conversation.is_group());
    groups.filter_map(|entry| Some((entry.head.title.as_ref()?.to_lowercase(), entry.conversation)))
}
