//! How a suggestion is written in a query, so that it means exactly this.

use std::collections::HashMap;

use hansard_model::{ConversationId, UserId};
use hansard_protocol::http::{Suggested, User};
use hansard_search_language::query::{Awaited, written};

/// What names mean to one reader.
pub(super) struct Wording {
    reader: UserId,
    /// How many of their groups have a title, as `in:` compares them.
    titles: HashMap<String, usize>,
}

impl Wording {
    /// For a reader who is in groups of these titles, in lower case.
    pub(super) fn new(reader: UserId, titles: impl IntoIterator<Item = String>) -> Self {
        let mut counted = HashMap::new();
        for title in titles {
            *counted.entry(title).or_default() += 1;
        }
        Self { reader, titles: counted }
    }

    /// The filter that a suggestion is, where so much is known already.
    pub(super) fn text(&self, about: &Suggested, awaited: Awaited) -> String {
        match about {
            Suggested::Person { .. } if awaited == Awaited::Me => "mentions:me".to_owned(),
            Suggested::Person { user } => {
                format!("from:{}", self.name(user).unwrap_or(user.user.as_str()))
            }
            Suggested::Group { conversation, title } => self.of_group(*conversation, title),
            Suggested::Direct { conversation, user } => {
                // Behind `in:` a title is before a person.
                let name = self.name(user).filter(|name| !self.titles.contains_key(*name));
                name.map_or_else(|| format!("in:{conversation}"), |name| format!("in:{name}"))
            }
        }
    }

    /// What a person is called in a query; `None` when that is somebody else there.
    fn name<'a>(&self, user: &'a User) -> Option<&'a str> {
        if user.user == self.reader {
            return Some("me");
        }
        Some(user.handle.as_str()).filter(|handle| *handle != "me")
    }

    fn of_group(&self, conversation: ConversationId, title: &str) -> String {
        let is_one = self.titles.get(&title.to_lowercase()) == Some(&1);
        // An id is one, whatever is called so.
        let is_title = is_one && title.parse::<ConversationId>().is_err();
        let name = written(title).filter(|_| is_title);
        name.map_or_else(|| format!("in:{conversation}"), |name| format!("in:{name}"))
    }
}

#[cfg(test)]
mod tests {
    use hansard_model::GroupId;

    use super::*;

    fn user(of: u8, handle: &str) -> User {
        let (user, handle) = (UserId::from_entropy([of; 20]), handle.parse().expect("a handle"));
        User { user, handle, name: "x".to_owned(), avatar: None }
    }

    fn wording(titles: &[&str]) -> Wording {
        Wording::new(user(0, "ana").user, titles.iter().map(|title| title.to_lowercase()))
    }

    fn direct(user: User) -> Suggested {
        let conversation = ConversationId::direct(UserId::from_entropy([0; 20]), user.user);
        Suggested::Direct { conversation, user }
    }

    fn group(title: &str) -> (Suggested, ConversationId) {
        let conversation = ConversationId::Group(GroupId::from_entropy([9; 20]));
        (Suggested::Group { conversation, title: title.to_owned() }, conversation)
    }

    #[test]
    fn people_are_called_by_their_handles_and_oneself_is_me() {
        let wording = wording(&["ben"]);
        let text =
            |of: &User, awaited| wording.text(&Suggested::Person { user: of.clone() }, awaited);
        let (ana, ben, me) = (user(0, "ana"), user(1, "ben"), user(2, "me"));
        assert_eq!(text(&ben, Awaited::Either), "from:ben");
        assert_eq!(text(&ana, Awaited::Person), "from:me");
        assert_eq!(text(&ana, Awaited::Me), "mentions:me");
        assert_eq!(text(&me, Awaited::Person), format!("from:{}", me.user));
    }

    #[test]
    fn a_conversation_that_a_name_does_not_tell_from_others_has_its_id() {
        let wording = wording(&["Tea time", "Plans", "plans", "ben", "a \"b\"", "Solo"]);
        let text = |about: &Suggested| wording.text(about, Awaited::Either);
        let id = group("x").1;
        for (title, expected) in [
            ("Tea time", "in:\"Tea time\"".to_owned()),
            ("Solo", "in:Solo".to_owned()),
            ("Plans", format!("in:{id}")),
            ("a \"b\"", format!("in:{id}")),
        ] {
            assert_eq!(text(&group(title).0), expected, "{title}");
        }
        assert_eq!(text(&direct(user(1, "cem"))), "in:cem");
        assert_eq!(text(&direct(user(0, "ana"))), "in:me");
        let ben = direct(user(1, "ben"));
        let Suggested::Direct { conversation, .. } = &ben else { unreachable!() };
        assert_eq!(text(&ben), format!("in:{conversation}"), "a group is called so");
    }
}
