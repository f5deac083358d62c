//! An event on its way in: what a client sent, read and bounded, and stored as sent.

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::check::Rejection;
use crate::event::Event;
use crate::id::UserId;
use crate::limit;

/// An event as a client sent it: read, bounded, and ready to be stored as sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Draft {
    event: Event,
    fields: Value,
}

/// Names in an event that only the server writes.
const RESERVED: [&str; 4] = ["deleted", "target_sender", "state", "fallback"];

impl Draft {
    /// Reads an event that a client sent.
    ///
    /// # Errors
    /// [`Rejection::Unsupported`] for an unknown kind; [`Rejection::BadEvent`] for a missing or
    /// mistyped field, a reserved one, or nesting over [`limit::EVENT_DEPTH_MAX`];
    /// [`Rejection::TooLarge`] for an event over [`limit::EVENT_BYTES_MAX`] or `data` over
    /// [`limit::DATA_BYTES_MAX`].
    pub fn parse(json: &str) -> Result<Self, Rejection> {
        if json.len() > limit::EVENT_BYTES_MAX {
            return Err(Rejection::TooLarge("event"));
        }
        let fields: Value =
            serde_json::from_str(json).map_err(|_| Rejection::BadEvent("not JSON"))?;
        Self::from_fields(fields)
    }

    fn from_fields(fields: Value) -> Result<Self, Rejection> {
        let Value::Object(map) = &fields else { return Err(Rejection::BadEvent("not an object")) };
        if RESERVED.iter().any(|name| map.contains_key(*name)) {
            return Err(Rejection::BadEvent("a field of the server's"));
        }
        if depth(&fields) > limit::EVENT_DEPTH_MAX {
            return Err(Rejection::BadEvent("nested too deep"));
        }
        if let Some(data) = map.get("data") {
            if !data.is_object() {
                return Err(Rejection::BadEvent("data is not an object"));
            }
            if data.to_string().len() > limit::DATA_BYTES_MAX {
                return Err(Rejection::TooLarge("data"));
            }
        }
        let event = Event::deserialize(&fields).map_err(|_| {
            let kind = map.get("kind").and_then(Value::as_str);
            match kind {
                Some(kind) if !KINDS.contains(&kind) => Rejection::Unsupported,
                Some(_) => Rejection::BadEvent("a field is missing or of the wrong type"),
                None => Rejection::BadEvent("no kind"),
            }
        })?;
        Ok(Self { event, fields })
    }

    /// A draft of the server's own making (creation of a group, import).
    pub fn of(event: Event) -> Self {
        let fields = serde_json::to_value(&event).unwrap_or_default();
        Self { event, fields }
    }

    /// Adds the application's own `data`.
    #[must_use]
    pub fn with_data(mut self, data: Map<String, Value>) -> Self {
        if let Value::Object(map) = &mut self.fields {
            map.insert("data".to_owned(), Value::Object(data));
        }
        self
    }

    /// Writes the target's sender into an edit or a delete.
    #[must_use]
    pub fn with_target_sender(mut self, sender: UserId) -> Self {
        match &mut self.event {
            Event::Edit(edit) => edit.target_sender = Some(sender),
            Event::Delete(delete) => delete.target_sender = Some(sender),
            Event::Message(_)
            | Event::Reaction(_)
            | Event::Pin(_)
            | Event::Create(_)
            | Event::Member(_)
            | Event::Title(_)
            | Event::Settings(_) => return self,
        }
        if let Value::Object(map) = &mut self.fields {
            map.insert("target_sender".to_owned(), Value::String(sender.to_string()));
        }
        self
    }

    /// What it says.
    pub fn event(&self) -> &Event {
        &self.event
    }

    /// Canonical JSON: what is stored, and what "the same content" means.
    pub fn to_json(&self) -> String {
        self.fields.to_string()
    }
}

const KINDS: [&str; 9] =
    ["message", "edit", "delete", "reaction", "pin", "create", "member", "title", "settings"];

/// Nesting of a value: 1 for a scalar. `serde_json` has bounded it to 128 already.
fn depth(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(depth).max().unwrap_or(0),
        Value::Object(map) => map.values().map(depth).max().unwrap_or(0),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_fields_are_kept_and_canonical() {
        let draft =
            Draft::parse(r#" {"text":"hi", "zeta":[1, 2],"kind":"message","data":{"b":1,"a":2}} "#)
                .expect("valid");
        assert_eq!(
            draft.to_json(),
            r#"{"data":{"a":2,"b":1},"kind":"message","text":"hi","zeta":[1,2]}"#
        );
    }

    #[test]
    fn hostile_events_are_rejected() {
        let deep =
            format!(r#"{{"kind":"message","text":"x","a":{}1{}}}"#, "[".repeat(50), "]".repeat(50));
        let abyss = format!(r#"{{"kind":"message","text":"x","a":{}}}"#, "[".repeat(40_000));
        let data =
            format!(r#"{{"kind":"message","text":"x","data":{{"a":"{}"}}}}"#, "x".repeat(5_000));
        let cases = [
            ("[]", Rejection::BadEvent("not an object")),
            ("{}", Rejection::BadEvent("no kind")),
            (r#"{"kind":"poll"}"#, Rejection::Unsupported),
            (
                r#"{"kind":"message"}"#,
                Rejection::BadEvent("a field is missing or of the wrong type"),
            ),
            (
                r#"{"kind":"message","text":7}"#,
                Rejection::BadEvent("a field is missing or of the wrong type"),
            ),
            (
                r#"{"kind":"message","text":"x","deleted":true}"#,
                Rejection::BadEvent("a field of the server's"),
            ),
            (
                r#"{"kind":"message","text":"x","data":7}"#,
                Rejection::BadEvent("data is not an object"),
            ),
            (&deep, Rejection::BadEvent("nested too deep")),
            (&abyss, Rejection::BadEvent("not JSON")),
            (&data, Rejection::TooLarge("data")),
        ];
        for (json, rejection) in cases {
            assert_eq!(Draft::parse(json), Err(rejection), "{}", &json[..json.len().min(80)]);
        }
    }
}
