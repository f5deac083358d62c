//! Who shares a conversation with whom: in which something was said between the two, or a group,
//! not a large one, of which both are members.

use std::collections::HashSet;

use hansard_model::{ConversationId, UserId, limit};
use hansard_nats::log::ReadError;

use super::watched::Shared;
use crate::Gateway;
use crate::groups::GroupsError;

/// Groups of one person that are looked at for one watch.
const GROUPS_MAX: usize = 256;

/// Why it is not known.
#[derive(Debug, thiserror::Error)]
pub(super) enum ShareError {
    #[error("the inbox does not answer")]
    Inbox(#[from] ReadError),
    #[error("a group cannot be read")]
    Group(#[from] GroupsError),
}

/// Those of `wanted` who share a conversation with a user who is connected here, each with one.
/// Groups in `first` are looked at first: they are probably the reason.
///
/// # Errors
/// [`ShareError`]
pub(super) async fn with(
    gateway: &Gateway,
    user: UserId,
    wanted: &[UserId],
    first: &[ConversationId],
) -> Result<Vec<Shared>, ShareError> {
    let direct = |other: &UserId| ConversationId::direct(user, *other);
    let directs: Vec<ConversationId> = wanted.iter().map(direct).collect();
    let spoken = gateway.inbox.spoken(&directs).await?;
    let mut shares: Vec<Shared> = Vec::with_capacity(wanted.len());
    let mut rest: HashSet<UserId> = HashSet::new();
    for other in wanted {
        if *other == user || spoken.contains(&direct(other)) {
            shares.push((*other, direct(other)));
        } else {
            rest.insert(*other);
        }
    }
    if rest.is_empty() {
        return Ok(shares);
    }
    let mut groups = gateway.router.groups_of(user);
    groups.sort_unstable_by_key(|group| !first.contains(group));
    for group in groups.into_iter().take(GROUPS_MAX) {
        if rest.is_empty() {
            break;
        }
        let state = match gateway.groups.known(group) {
            Some(state) => state,
            None => gateway.groups.vouch(group).await?.group,
        };
        if state.members().len() > limit::PRESENCE_TOLD_MEMBERS_MAX || state.member(user).is_none()
        {
            continue;
        }
        rest.retain(|other| {
            let is_member = state.member(*other).is_some();
            if is_member {
                shares.push((*other, group));
            }
            !is_member
        });
    }
    Ok(shares)
}
