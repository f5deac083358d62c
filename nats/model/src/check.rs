//! What a gateway checks before it vouches: pure functions from a state and a draft to a verdict.

use unicode_segmentation::UnicodeSegmentation;

use crate::event::{Event, GroupCreated, MemberChanged, MemberOp, MessageSent, Role};
use crate::group::Group;
use crate::id::{ConversationId, Seq, UserId};
use crate::limit;

/// Why an event is not accepted. Nothing was stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// The event is not of the shape that the protocol asks for.
    #[error("bad event: {0}")]
    BadEvent(&'static str),
    /// An unknown kind, or one that does not fit the conversation.
    #[error("this kind of event is not supported here")]
    Unsupported,
    /// The target, the user or the conversation does not exist.
    #[error("no such {0}")]
    NotFound(&'static str),
    /// The sender is not a member.
    #[error("not a member of the conversation")]
    NotAMember,
    /// The sender's role does not allow it.
    #[error("not allowed: {0}")]
    Forbidden(&'static str),
    /// A part is over its limit.
    #[error("{0} is too large")]
    TooLarge(&'static str),
    /// A part is empty.
    #[error("{0} is empty")]
    Empty(&'static str),
    /// The group has as many members as it may.
    #[error("the group is full")]
    GroupFull,
    /// It is so already.
    #[error("conflict: {0}")]
    Conflict(&'static str),
}

/// What a gateway read of the message that an event refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// Its position.
    pub seq: Seq,
    /// Who sent it.
    pub sender: UserId,
    /// The root of the thread it is in.
    pub thread: Option<Seq>,
}

/// What a deployment allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Members of a group.
    pub group_members: usize,
}

/// Checks everything that needs no state: lengths, emptiness, shape.
///
/// # Errors
/// The [`Rejection`] that the sender gets.
pub fn shape(event: &Event) -> Result<(), Rejection> {
    match event {
        Event::Message(message) => message_shape(message),
        Event::Edit(edit) => content(&edit.text, edit.mentions.len(), edit.media.len()),
        Event::Reaction(reaction) => emoji(&reaction.emoji),
        Event::Create(create) => create_shape(create),
        Event::Title(change) => title(&change.title),
        Event::Member(change) => member_shape(change),
        Event::Settings(change) if change.history.is_none() => Err(Rejection::Empty("settings")),
        Event::Delete(_) | Event::Pin(_) | Event::Settings(_) => Ok(()),
    }
}

fn message_shape(message: &MessageSent) -> Result<(), Rejection> {
    content(&message.text, message.mentions.len(), message.media.len())
}

fn content(text: &str, mentions: usize, media: usize) -> Result<(), Rejection> {
    if text.is_empty() && media == 0 {
        return Err(Rejection::Empty("text"));
    }
    if text.len() > limit::TEXT_BYTES_MAX {
        return Err(Rejection::TooLarge("text"));
    }
    if mentions > limit::MENTIONS_MAX {
        return Err(Rejection::TooLarge("mentions"));
    }
    if media > limit::MEDIA_MAX {
        return Err(Rejection::TooLarge("media"));
    }
    Ok(())
}

fn emoji(emoji: &str) -> Result<(), Rejection> {
    if emoji.len() > limit::EMOJI_BYTES_MAX {
        return Err(Rejection::TooLarge("emoji"));
    }
    if emoji.chars().any(|letter| letter.is_control() || letter.is_whitespace()) {
        return Err(Rejection::BadEvent("an emoji has no space or control character"));
    }
    match emoji.graphemes(true).count() {
        0 => Err(Rejection::Empty("emoji")),
        1 => Ok(()),
        _ => Err(Rejection::BadEvent("an emoji is one grapheme")),
    }
}

/// Checks a group title.
///
/// # Errors
/// [`Rejection::Empty`] or [`Rejection::TooLarge`].
pub fn title(title: &str) -> Result<(), Rejection> {
    if title.trim().is_empty() {
        return Err(Rejection::Empty("title"));
    }
    if title.len() > limit::TITLE_BYTES_MAX {
        return Err(Rejection::TooLarge("title"));
    }
    if title.chars().any(char::is_control) {
        return Err(Rejection::BadEvent("a title has no control characters"));
    }
    Ok(())
}

fn create_shape(create: &GroupCreated) -> Result<(), Rejection> {
    if create.members.len() > limit::CREATE_MEMBERS_MAX {
        return Err(Rejection::TooLarge("members"));
    }
    create.title.as_deref().map_or(Ok(()), title)
}

fn member_shape(change: &MemberChanged) -> Result<(), Rejection> {
    match (change.op, change.role) {
        (MemberOp::Role, None) => Err(Rejection::BadEvent("role is missing")),
        (MemberOp::Remove | MemberOp::Leave, Some(_)) => {
            Err(Rejection::BadEvent("role does not belong here"))
        }
        (MemberOp::Add | MemberOp::Role | MemberOp::Remove | MemberOp::Leave, _) => Ok(()),
    }
}

/// Checks an event for a direct conversation, whose members are its name. `targets` are what was
/// read of [`Event::targets`]; one that is missing does not exist.
///
/// # Errors
/// The [`Rejection`] that the sender gets.
pub fn direct(
    conversation: ConversationId,
    sender: UserId,
    event: &Event,
    targets: &[Target],
) -> Result<(), Rejection> {
    shape(event)?;
    if conversation.other(sender).is_none() {
        return Err(Rejection::NotAMember);
    }
    match event {
        Event::Message(_)
        | Event::Edit(_)
        | Event::Delete(_)
        | Event::Reaction(_)
        | Event::Pin(_) => references(sender, Role::Member, event, targets),
        Event::Create(_) | Event::Member(_) | Event::Title(_) | Event::Settings(_) => {
            Err(Rejection::Unsupported)
        }
    }
}

/// Checks an event for a group, against its state.
///
/// # Errors
/// The [`Rejection`] that the sender gets.
pub fn group(
    group: &Group,
    sender: UserId,
    event: &Event,
    targets: &[Target],
    limits: Limits,
) -> Result<(), Rejection> {
    shape(event)?;
    if let Event::Create(create) = event {
        return self::create(group, sender, create, limits);
    }
    if group.created().is_none() {
        // A stranger learns nothing: a group that does not exist answers like one of others.
        return Err(Rejection::NotAMember);
    }
    let role = group.member(sender).ok_or(Rejection::NotAMember)?.role;
    match event {
        Event::Message(_) | Event::Edit(_) | Event::Delete(_) | Event::Reaction(_) => {
            references(sender, role, event, targets)
        }
        Event::Pin(_) => {
            at_least(Role::Admin, role, "admins pin")?;
            references(sender, role, event, targets)
        }
        Event::Title(_) => at_least(Role::Admin, role, "admins set the title"),
        Event::Settings(_) => at_least(Role::Admin, role, "admins change the settings"),
        Event::Member(change) => member(group, sender, role, change, limits),
        Event::Create(_) => Err(Rejection::Unsupported),
    }
}

fn create(
    group: &Group,
    sender: UserId,
    create: &GroupCreated,
    limits: Limits,
) -> Result<(), Rejection> {
    if group.created().is_some() {
        return Err(Rejection::Conflict("the group exists"));
    }
    let mut members: Vec<UserId> = create.members.clone();
    members.push(sender);
    members.sort_unstable();
    members.dedup();
    if members.len() > limits.group_members {
        return Err(Rejection::GroupFull);
    }
    Ok(())
}

fn at_least(needed: Role, role: Role, rule: &'static str) -> Result<(), Rejection> {
    if role >= needed { Ok(()) } else { Err(Rejection::Forbidden(rule)) }
}

/// Rules for events that refer to messages.
fn references(
    sender: UserId,
    role: Role,
    event: &Event,
    targets: &[Target],
) -> Result<(), Rejection> {
    let find = |seq: Seq| {
        targets.iter().find(|target| target.seq == seq).ok_or(Rejection::NotFound("target"))
    };
    for seq in event.targets() {
        find(seq)?;
    }
    match event {
        Event::Message(message) => match message.thread {
            Some(root) if find(root)?.thread.is_some() => {
                Err(Rejection::BadEvent("the root of a thread is in no thread"))
            }
            Some(_) | None => Ok(()),
        },
        Event::Edit(edit) if find(edit.target)?.sender != sender => {
            Err(Rejection::Forbidden("only the author edits"))
        }
        Event::Delete(delete) if find(delete.target)?.sender != sender => {
            at_least(Role::Admin, role, "the author or an admin deletes")
        }
        Event::Edit(_)
        | Event::Delete(_)
        | Event::Reaction(_)
        | Event::Pin(_)
        | Event::Create(_)
        | Event::Member(_)
        | Event::Title(_)
        | Event::Settings(_) => Ok(()),
    }
}

fn member(
    group: &Group,
    sender: UserId,
    role: Role,
    change: &MemberChanged,
    limits: Limits,
) -> Result<(), Rejection> {
    let current = group.member(change.user).map(|membership| membership.role);
    let last_owner = current == Some(Role::Owner) && group.owner_count() == 1;
    match change.op {
        MemberOp::Add => {
            at_least(Role::Admin, role, "admins add members")?;
            if current.is_some() {
                return Err(Rejection::Conflict("already a member"));
            }
            if group.members().len() >= limits.group_members {
                return Err(Rejection::GroupFull);
            }
            if change.role.is_some_and(|given| given != Role::Member) {
                at_least(Role::Owner, role, "owners give roles")?;
            }
            Ok(())
        }
        MemberOp::Remove => {
            at_least(Role::Admin, role, "admins remove members")?;
            let current = current.ok_or(Rejection::NotFound("member"))?;
            if change.user == sender {
                return Err(Rejection::BadEvent("leave instead of removing yourself"));
            }
            if current >= Role::Admin {
                at_least(Role::Owner, role, "owners remove admins")?;
            }
            Ok(())
        }
        MemberOp::Role => {
            at_least(Role::Owner, role, "owners give roles")?;
            if current.is_none() {
                return Err(Rejection::NotFound("member"));
            }
            if last_owner && change.role != Some(Role::Owner) {
                return Err(Rejection::Forbidden("a group keeps an owner"));
            }
            Ok(())
        }
        MemberOp::Leave => {
            if change.user != sender {
                return Err(Rejection::Forbidden("you leave for yourself"));
            }
            if last_owner && group.members().len() > 1 {
                return Err(Rejection::Forbidden("make another member an owner first"));
            }
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests;
