//! Which suggestion is better.
//!
//! Names of which more words were typed come first, then those that were typed as a whole, those
//! that begin so, and those of which a later word does; among equals the last active.

use std::cmp::Reverse;

use hansard_model::account::Handle;
use hansard_model::{LogTime, UserId};
use hansard_protocol::http::Suggested;
use hansard_search_language::analysis::fold;
use hansard_search_language::name::{Fit, Folded, Typed};
use hansard_search_language::query::{Awaited, Unfinished};

/// What may be suggested.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    pub(super) about: Suggested,
    pub(super) closeness: Closeness,
}

/// How near somebody is to the reader, the nearest last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Closeness {
    /// In a group with the reader that was last active then.
    Shares(LogTime),
    /// In a conversation with the reader alone, or such a conversation or group itself.
    Talks(LogTime),
    /// The reader.
    Reader,
}

/// What may be a name, at the end of what was typed.
pub(super) struct End<'a> {
    pub(super) unfinished: Unfinished<'a>,
    typed: Typed,
}

impl<'a> End<'a> {
    pub(super) fn of(unfinished: Unfinished<'a>) -> Self {
        Self { unfinished, typed: Typed::read(unfinished.typed) }
    }

    /// Whether it may be the name of others than the reader.
    pub(super) fn may_be_person(&self) -> bool {
        match self.unfinished.awaited {
            Awaited::Person | Awaited::Either => true,
            Awaited::Conversation | Awaited::Me => false,
        }
    }

    /// How the handles begin that it may be the beginning of; `None` when it is none of a person,
    /// or nothing yet.
    pub(super) fn handle_prefix(&self) -> Option<String> {
        let typed = self.may_be_person() && !self.typed.is_blank();
        typed.then(|| fold(self.unfinished.typed.trim()))
    }

    /// Whether it may be this handle.
    pub(super) fn is_handle(&self, handle: &Handle) -> bool {
        self.typed.fit(&Folded::of(handle.as_str())).is_some()
    }

    fn awaits(&self, about: &Suggested, reader: UserId) -> bool {
        match (self.unfinished.awaited, about) {
            // Nobody begins a search with their own name.
            (Awaited::Either, Suggested::Person { user }) => {
                user.user != reader || !self.typed.is_blank()
            }
            (Awaited::Me, Suggested::Person { user }) => user.user == reader,
            (Awaited::Person, Suggested::Person { .. })
            | (
                Awaited::Conversation | Awaited::Either,
                Suggested::Group { .. } | Suggested::Direct { .. },
            ) => true,
            (Awaited::Person | Awaited::Me, Suggested::Group { .. } | Suggested::Direct { .. })
            | (Awaited::Conversation, Suggested::Person { .. }) => false,
        }
    }
}

/// The best of the candidates, each with the end that it is of, by its place among them.
pub(super) fn best(
    candidates: Vec<Candidate>,
    reader: UserId,
    ends: &[End<'_>],
    limit: usize,
) -> Vec<(Suggested, usize)> {
    let ranked = candidates.into_iter().filter_map(|candidate| {
        let (end, fit) = fit(&candidate.about, reader, ends)?;
        let (kind, id) = kind_and_id(&candidate.about);
        Some(((end, fit, Reverse(candidate.closeness), kind, id), candidate.about))
    });
    let mut ranked: Vec<_> = ranked.collect();
    ranked.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
    ranked.truncate(limit);
    ranked.into_iter().map(|((end, ..), about)| (about, end)).collect()
}

/// Persons before conversations with them.
fn kind_and_id(about: &Suggested) -> (u8, String) {
    match about {
        Suggested::Person { user } => (0, user.user.to_string()),
        Suggested::Direct { conversation, .. } => (1, conversation.to_string()),
        Suggested::Group { conversation, .. } => (2, conversation.to_string()),
    }
}

/// The first end that may be one of the names, and how it fits.
fn fit(about: &Suggested, reader: UserId, ends: &[End<'_>]) -> Option<(usize, Fit)> {
    let names: Vec<Folded> = match about {
        Suggested::Person { user } | Suggested::Direct { user, .. } => {
            let own = (user.user == reader).then_some("me");
            let names = [user.handle.as_str(), user.name.as_str()].into_iter().chain(own);
            names.map(Folded::of).collect()
        }
        Suggested::Group { title, .. } => vec![Folded::of(title)],
    };
    let mut places = ends.iter().enumerate().filter(|(_, end)| end.awaits(about, reader));
    places.find_map(|(place, end)| {
        let fit = if end.typed.is_blank() {
            Some(Fit::Whole)
        } else {
            names.iter().filter_map(|name| end.typed.fit(name)).min()
        };
        Some((place, fit?))
    })
}

#[cfg(test)]
mod tests {
    use hansard_model::{ConversationId, GroupId};
    use hansard_protocol::http::User;
    use hansard_search_language::query::unfinished;

    use super::*;

    fn id(of: u8) -> UserId {
        UserId::from_entropy([of; 20])
    }

    fn user(of: u8, handle: &str, name: &str) -> User {
        let handle = handle.parse().expect("a handle");
        User { user: id(of), handle, name: name.to_owned(), avatar: None }
    }

    fn talks(at: u64) -> Closeness {
        Closeness::Talks(LogTime::from_millis(at))
    }

    fn person(user: User, closeness: Closeness) -> Candidate {
        Candidate { about: Suggested::Person { user }, closeness }
    }

    fn direct(user: User, at: u64) -> Candidate {
        let conversation = ConversationId::direct(id(0), user.user);
        Candidate { about: Suggested::Direct { conversation, user }, closeness: talks(at) }
    }

    fn group(of: u8, title: &str, at: u64) -> Candidate {
        let conversation = ConversationId::Group(GroupId::from_entropy([of; 20]));
        let about = Suggested::Group { conversation, title: title.to_owned() };
        Candidate { about, closeness: talks(at) }
    }

    /// What is suggested, as people see it, with the end that it is of.
    fn ranked(candidates: &[Candidate], typed: &str, limit: usize) -> Vec<String> {
        let ends: Vec<End<'_>> =
            unfinished(typed).expect("a query").into_iter().map(End::of).collect();
        let found = best(candidates.to_vec(), id(0), &ends, limit);
        let show = |(about, end): (Suggested, usize)| {
            let start = ends[end].unfinished.start;
            match about {
                Suggested::Person { user } => format!("{start} @{}", user.handle),
                Suggested::Direct { user, .. } => format!("{start} #{}", user.handle),
                Suggested::Group { title, .. } => format!("{start} {title}"),
            }
        };
        found.into_iter().map(show).collect()
    }

    #[test]
    fn whole_names_are_before_beginnings_and_those_before_later_words() {
        let candidates = [
            group(1, "Big tea", 9),
            group(2, "Team", 5),
            group(3, "Tea", 1),
            group(4, "Tea time", 4),
            group(5, "steam", 9),
            person(user(6, "tea", "Theodora"), Closeness::Shares(LogTime::from_millis(9))),
        ];
        let expected = ["0 Tea", "0 @tea", "0 Team", "0 Tea time", "0 Big tea"];
        assert_eq!(ranked(&candidates, "TEA", 9), expected);
        assert_eq!(ranked(&candidates, "TEA", 2), expected[..2]);
        // Of what has the words both, the conversation is meant; else it is about the last.
        assert_eq!(ranked(&candidates, "see tea ti", 9), ["4 Tea time"]);
        assert_eq!(ranked(&candidates, "see ste", 9), ["4 steam"]);
    }

    #[test]
    fn who_is_talked_with_is_before_who_is_only_met_and_the_last_first() {
        let shares = |at| Closeness::Shares(LogTime::from_millis(at));
        let candidates = [
            person(user(1, "ada-1", "x"), talks(3)),
            direct(user(1, "ada-1", "x"), 3),
            person(user(2, "ada-2", "x"), shares(9)),
            person(user(3, "ada-3", "x"), talks(5)),
            person(user(4, "bo", "Ada"), shares(1)),
        ];
        let expected = ["0 @bo", "0 @ada-3", "0 @ada-1", "0 #ada-1", "0 @ada-2"];
        assert_eq!(ranked(&candidates, "ada", 9), expected);
        let all = ["0 @ada-3", "0 @ada-1", "0 #ada-1", "0 @ada-2", "0 @bo"];
        assert_eq!(ranked(&candidates, "", 9), all);
    }

    #[test]
    fn behind_a_filter_there_is_only_what_fits_it() {
        let candidates = [
            person(user(0, "ana", "Ana"), Closeness::Reader),
            direct(user(0, "ana", "Ana"), 1),
            person(user(1, "mel", "Mel"), talks(3)),
            direct(user(1, "mel", "Mel"), 3),
            group(2, "Melons", 2),
        ];
        assert_eq!(ranked(&candidates, "from:me", 9), ["0 @ana", "0 @mel"]);
        assert_eq!(ranked(&candidates, "in:me", 9), ["0 #ana", "0 #mel", "0 Melons"]);
        assert_eq!(ranked(&candidates, "mentions:", 9), ["0 @ana"]);
        assert_eq!(ranked(&candidates, "mentions:an", 9), ["0 @ana"]);
        assert_eq!(ranked(&candidates, "mentions:mel", 9), [""; 0]);
        assert_eq!(ranked(&candidates, "has:", 9), [""; 0]);
        assert_eq!(ranked(&candidates, "from:", 9), ["0 @ana", "0 @mel"]);
        let all = ["0 @mel", "0 #mel", "0 Melons", "0 #ana"];
        assert_eq!(ranked(&candidates, "", 9), all, "all but oneself");
    }
}
