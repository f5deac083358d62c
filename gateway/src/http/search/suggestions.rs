//! `GET /v1/search/suggestions`: the people and conversations that somebody may mean who is typing
//! a search.
//!
//! The data's way: what was typed says which ends of it may be a name, and of what
//! (`hansard_search_language`). The candidates are what the gateway has in memory: the reader's
//! conversations (`inbox`), the members of their groups (`groups`), accounts (`accounts`). They are
//! ranked (`rank`), the groups among the best are looked up in the log as for a search, and the list
//! is filled with others by their handles. A suggestion is a part of a query that means exactly this
//! (`wording`).

mod rank;
mod wording;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use futures_util::future::join_all;
use hansard_model::query::InboxEntry;
use hansard_model::{ConversationId, Group, UserId};
use hansard_protocol::http::{Suggested, Suggestion, SuggestionList, User};
use hansard_search_language::query::unfinished;
use http::StatusCode;

use self::rank::{Candidate, Closeness, End, best};
use self::wording::Wording;
use super::names::titles;
use super::{Failure, unreadable, utf16};
use crate::Gateway;
use crate::http::conversations::place;
use crate::http::error::json;
use crate::http::extract::{Authorized, Params};

/// Suggestions, when the caller does not say how many.
const ITEMS_DEFAULT: usize = 10;
/// Suggestions at most: nobody reads more while typing.
const ITEMS_MAX: usize = 50;
/// Conversations that are looked at, the last active ones.
const CONVERSATIONS_MAX: usize = 500;
/// People in them who are looked at: others are found by their handles.
const PEOPLE_MAX: usize = 2_000;
/// Groups that are read for their members at once; the others are read for the next key.
const READ_MAX: usize = 16;
/// How long that may take: without it a suggestion is less good, and not wrong.
const READ_WITHIN: Duration = Duration::from_millis(200);
/// How long the log may take to confirm a membership; what is not confirmed is left out.
const CONFIRM_WITHIN: Duration = Duration::from_secs(1);

/// `GET /v1/search/suggestions`
pub(crate) async fn suggest(
    State(gateway): State<Arc<Gateway>>,
    Authorized(identity): Authorized,
    params: Params,
) -> Result<Response, Failure> {
    let text = params.one("q")?.unwrap_or_default();
    let ends = unfinished(text).map_err(|error| unreadable(text, &error))?;
    let ends: Vec<End<'_>> = ends.into_iter().map(End::of).collect();
    let limit = params.parsed("limit")?.unwrap_or(ITEMS_DEFAULT);
    if limit == 0 {
        return Err(Failure::bad_request("limit is at least 1"));
    }
    let limit = limit.min(ITEMS_MAX);
    let mut min = params.min_seq()?;
    crate::http::check_reachable(&gateway, &min).await?;
    min.extend(gateway.acks.all(identity.device));

    let entries = gateway.inbox.lately(identity.user, &min).await.map_err(|error| error.body())?;
    let (gateway, reader) = (&*gateway, identity.user);
    let candidates = own(gateway, reader, &entries, ends.iter().any(End::may_be_person)).await;
    let mut found = best(candidates, reader, &ends, limit);
    let refused = refused(gateway, reader, &found).await;
    found.retain(|(about, _)| group_of(about).is_none_or(|group| !refused.contains(&group)));
    fill_with_others(gateway, &mut found, &ends, limit);

    let wording = Wording::new(reader, titles(&entries).map(|(title, _)| title));
    let items = found.into_iter().map(|(about, end)| {
        let end = ends[end].unfinished;
        let text_of = wording.text(&about, end.awaited);
        Suggestion { about, replaces: utf16(text, &(end.start..text.len())), text: text_of }
    });
    json(StatusCode::OK, &SuggestionList { items: items.collect() })
}

/// The reader, their conversations, and the people in them.
async fn own(
    gateway: &Gateway,
    reader: UserId,
    entries: &[InboxEntry],
    with_members: bool,
) -> Vec<Candidate> {
    let mut entries: Vec<&InboxEntry> = entries
        .iter()
        .filter(|entry| entry.member.role.is_some() || !entry.conversation.is_group())
        .collect();
    entries.sort_unstable_by_key(|entry| place(entry));
    entries.truncate(CONVERSATIONS_MAX);
    let mut people = HashMap::from([(reader, Closeness::Reader)]);
    for entry in &entries {
        if let Some(other) = entry.conversation.other(reader) {
            people.entry(other).or_insert(Closeness::Talks(entry.head.ts));
        }
    }
    if with_members {
        let groups = groups(gateway, reader, &entries).await;
        for entry in &entries {
            let Some(group) = groups.get(&entry.conversation) else { continue };
            for (member, _) in group.members() {
                if people.len() >= PEOPLE_MAX {
                    break;
                }
                people.entry(member).or_insert(Closeness::Shares(entry.head.ts));
            }
        }
    }
    let users: HashMap<UserId, User> =
        gateway.directory.known(people.keys().copied()).into_iter().map(|u| (u.user, u)).collect();
    let conversations = entries.iter().filter_map(|entry| {
        let conversation = entry.conversation;
        let about = match conversation.other(reader) {
            Some(other) => Suggested::Direct { conversation, user: users.get(&other)?.clone() },
            None => Suggested::Group { conversation, title: entry.head.title.clone()? },
        };
        Some(Candidate { about, closeness: Closeness::Talks(entry.head.ts) })
    });
    let mut candidates: Vec<Candidate> = conversations.collect();
    candidates.extend(users.into_iter().filter_map(|(id, user)| {
        let about = Suggested::Person { user };
        Some(Candidate { about, closeness: *people.get(&id)? })
    }));
    candidates
}

/// The groups of which the reader is a member, as far as they are in memory or soon read, of these
/// conversations, the last active ones first.
async fn groups(
    gateway: &Gateway,
    reader: UserId,
    entries: &[&InboxEntry],
) -> HashMap<ConversationId, Arc<Group>> {
    let groups = entries.iter().map(|entry| entry.conversation).filter(|c| c.is_group());
    let (mut known, mut unknown) = (HashMap::new(), Vec::new());
    for group in groups {
        match gateway.groups.known(group) {
            Some(state) => {
                known.insert(group, state);
            }
            None if unknown.len() < READ_MAX => unknown.push(group),
            None => {}
        }
    }
    let read = join_all(unknown.into_iter().map(|group| async move {
        let vouch = tokio::time::timeout(READ_WITHIN, gateway.groups.vouch(group)).await;
        Some((group, vouch.ok()?.ok()?.group))
    }));
    known.extend(read.await.into_iter().flatten());
    known.retain(|_, group| group.member(reader).is_some());
    known
}

fn group_of(about: &Suggested) -> Option<ConversationId> {
    match about {
        Suggested::Group { conversation, .. } => Some(*conversation),
        Suggested::Person { .. } | Suggested::Direct { .. } => None,
    }
}

/// The groups of which the log does not confirm now that the reader is a member: an inbox can be
/// behind a removal.
async fn refused(
    gateway: &Gateway,
    reader: UserId,
    found: &[(Suggested, usize)],
) -> HashSet<ConversationId> {
    let groups = found.iter().filter_map(|(about, _)| group_of(about));
    let asked = join_all(groups.map(|group| async move {
        let membership = gateway.groups.membership(group, reader);
        let confirmed = tokio::time::timeout(CONFIRM_WITHIN, membership).await;
        (!matches!(confirmed, Ok(Ok(Some(_))))).then_some(group)
    }));
    asked.await.into_iter().flatten().collect()
}

/// Adds people of the directory, as `GET /v1/users?q=` has them.
fn fill_with_others(
    gateway: &Gateway,
    found: &mut Vec<(Suggested, usize)>,
    ends: &[End<'_>],
    limit: usize,
) {
    let person = |(about, _): &(Suggested, usize)| match about {
        Suggested::Person { user } => Some(user.user),
        Suggested::Group { .. } | Suggested::Direct { .. } => None,
    };
    let mut listed: HashSet<UserId> = found.iter().filter_map(person).collect();
    for (place, end) in ends.iter().enumerate() {
        let Some(prefix) = end.handle_prefix() else { continue };
        let others = gateway.directory.by_handle_prefix(&prefix, limit + listed.len());
        for user in others.into_iter().filter(|user| end.is_handle(&user.handle)) {
            if found.len() >= limit {
                return;
            }
            if listed.insert(user.user) {
                found.push((Suggested::Person { user }, place));
            }
        }
    }
}
