//! What a group's event does to its roster, read from the event itself.

pub(crate) use hansard_model::envelope::may_be_meta as is_meta;
use hansard_model::event::MemberOp;
use hansard_model::{Envelope, Event, UserId};

/// A change of a roster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// These are members from this event on.
    Added(Vec<UserId>),
    /// This one is none after this event.
    Removed(UserId),
}

/// Whose view of a group an event changes: those who are members from it on or no more, and who
/// gets another role.
pub(crate) fn whose_view(payload: &[u8]) -> Vec<UserId> {
    match Envelope::decode(payload).map(|envelope| (envelope.sender, envelope.event)) {
        Ok((sender, Event::Create(create))) => {
            let mut users = create.members;
            users.push(sender);
            users
        }
        Ok((_, Event::Member(member))) => vec![member.user],
        Ok(_) | Err(_) => Vec::new(),
    }
}

impl Change {
    /// The change in the payload of a group's event; `None` for every other event.
    pub(crate) fn of(payload: &[u8]) -> Option<Self> {
        if !is_meta(payload) {
            return None;
        }
        // One that cannot be read is parked by the projector and changes nothing for anybody.
        let envelope = Envelope::decode(payload).ok()?;
        match envelope.event {
            Event::Create(create) => {
                let mut users = create.members;
                users.push(envelope.sender);
                users.sort_unstable();
                users.dedup();
                Some(Self::Added(users))
            }
            Event::Member(member) => match member.op {
                MemberOp::Add => Some(Self::Added(vec![member.user])),
                MemberOp::Remove | MemberOp::Leave => Some(Self::Removed(member.user)),
                MemberOp::Role => None,
            },
            Event::Message(_)
            | Event::Edit(_)
            | Event::Delete(_)
            | Event::Reaction(_)
            | Event::Pin(_)
            | Event::Title(_)
            | Event::Settings(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use hansard_model::draft::Draft;
    use hansard_model::{DeviceId, MessageId, envelope};

    use super::*;

    fn user(byte: u8) -> UserId {
        UserId::from_entropy([byte; 20])
    }

    fn stored(event: &str) -> String {
        let draft = Draft::parse(event).expect("valid");
        envelope::encode(
            MessageId::new(1, [0; 10]),
            user(1),
            DeviceId::from_entropy([1; 20]),
            &draft,
        )
    }

    #[test]
    fn rosters_change_by_creation_and_membership() {
        let create = format!(r#"{{"kind":"create","members":["{}"]}}"#, user(2));
        assert_eq!(
            Change::of(stored(&create).as_bytes()),
            Some(Change::Added(vec![user(1), user(2)]))
        );
        for (op, change) in [
            ("add", Some(Change::Added(vec![user(2)]))),
            ("remove", Some(Change::Removed(user(2)))),
            ("leave", Some(Change::Removed(user(2)))),
        ] {
            // `data` sorts before `kind`: the kind is not always the first field.
            let event =
                format!(r#"{{"data":{{"x":1}},"kind":"member","op":"{op}","user":"{}"}}"#, user(2));
            assert_eq!(Change::of(stored(&event).as_bytes()), change, "{op}");
        }
    }

    #[test]
    fn a_message_that_quotes_a_change_is_none() {
        let text = format!(r#"{{"kind":"message","text":"\"kind\":\"member\" {}"}}"#, user(2));
        assert!(!is_meta(stored(&text).as_bytes()));
        let data = format!(
            r#"{{"data":{{"kind":"member","op":"remove","user":"{}"}},"kind":"message","text":"x"}}"#,
            user(2)
        );
        assert!(is_meta(stored(&data).as_bytes()));
        assert_eq!(Change::of(stored(&data).as_bytes()), None);
    }
}
