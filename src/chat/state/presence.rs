//! Who of the others in the open conversation is there.

use hansard_model::presence::PersonState;
use hansard_model::{ConversationId, LogTime, UserId};
use hansard_protocol::server::PresenceFrame;
use tokio::time::timeout;

use super::words::time_of_day;
use super::{Chat, Link, READ_TIMEOUT};

/// People who are named; of more, how many.
const NAMED_MAX: usize = 4;

impl Chat {
    /// Somebody came or went.
    pub(super) fn note_presence(&mut self, presence: PresenceFrame) {
        // Of whom the conversation before this one was: they are not in it.
        if let Some(known) = self.present.get_mut(&presence.user) {
            *known = presence;
        }
    }

    /// Learns who is there, and watches them; nothing when the server does not say now.
    pub(super) async fn look_up_presence(&mut self, conversation: ConversationId) {
        let http = self.client.http();
        let items = match timeout(READ_TIMEOUT, http.presence(conversation, None)).await {
            Ok(Ok(list)) => list.items,
            Ok(Err(_)) | Err(_) => Vec::new(),
        };
        self.present = items.into_iter().map(|item| (item.user, item)).collect();
        if let Some(other) = conversation.other(self.me.user).filter(|user| *user != self.me.user) {
            let (state, last_seen) = (PersonState::Offline, None);
            self.present.entry(other).or_insert(PresenceFrame { user: other, state, last_seen });
        }
        let watched: Vec<UserId> = self.present.keys().copied().collect();
        self.client.watch_users(watched).await;
    }

    /// Who is there, on one line; empty when nothing is known, as it is without a connection.
    pub(in crate::chat) fn present(&self) -> String {
        if !matches!(self.link, Link::CatchingUp | Link::Online) {
            return String::new();
        }
        let is_group = self.room.as_ref().is_some_and(|room| room.conversation.is_group());
        let people = self.present.values().map(|one| (self.name(one.user), one));
        words(is_group, people.collect())
    }
}

fn words(is_group: bool, mut people: Vec<(String, &PresenceFrame)>) -> String {
    if !is_group {
        let Some((_, one)) = people.first() else { return String::new() };
        let seen = |at: LogTime| format!("last seen {}", time_of_day(at));
        return match one.state {
            PersonState::Online => "online".to_owned(),
            PersonState::Away => "away".to_owned(),
            PersonState::Offline => one.last_seen.map(seen).unwrap_or_default(),
        };
    }
    people.retain(|(_, one)| one.state != PersonState::Offline);
    people.sort_by(|(one, _), (other, _)| one.cmp(other));
    let count = people.len();
    let named = people.into_iter().take(NAMED_MAX).map(|(name, one)| match one.state {
        PersonState::Away => format!("{name} (away)"),
        PersonState::Online | PersonState::Offline => name,
    });
    let mut named: Vec<String> = named.collect();
    if count > NAMED_MAX {
        named.push(format!("{} more", count - NAMED_MAX));
    }
    if named.is_empty() { String::new() } else { format!("here: {}", named.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(state: PersonState, last_seen: Option<LogTime>) -> PresenceFrame {
        PresenceFrame { user: UserId::from_entropy([1; 20]), state, last_seen }
    }

    #[test]
    fn who_is_there_is_one_line() {
        let (online, away) = (one(PersonState::Online, None), one(PersonState::Away, None));
        let gone = one(PersonState::Offline, Some(LogTime::from_millis(1_763_538_926_402)));
        let named = |names: &[&str]| -> Vec<(String, &PresenceFrame)> {
            names.iter().map(|name| ((*name).to_owned(), &online)).collect()
        };
        assert_eq!(words(false, vec![("ana".to_owned(), &online)]), "online");
        assert!(words(false, vec![("ana".to_owned(), &gone)]).starts_with("last seen "));
        let mut three = named(&["cem", "ana"]);
        three.extend([("ben".to_owned(), &away), ("dan".to_owned(), &gone)]);
        assert_eq!(words(true, three), "here: ana, ben (away), cem");
        assert_eq!(words(true, named(&["a", "b", "c", "d", "e", "f"])), "here: a, b, c, d, 2 more");
        assert_eq!(words(true, vec![("dan".to_owned(), &gone)]), "");
    }
}
