//! An event on its way in: what a client sent, read and bounded, and stored as sent.

use std::fmt;

use serde::de::{self, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
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
        let Plain(fields) = serde_json::from_str(json)
            .map_err(|_| Rejection::BadEvent("not JSON, or not kept exactly"))?;
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
        // What is stored: numbers may print longer than they were sent.
        if fields.to_string().len() > limit::EVENT_BYTES_MAX {
            return Err(Rejection::TooLarge("event"));
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

/// JSON that is kept as it was sent. `serde_json`'s own reading of a [`Value`] takes one key for a
/// sign of its own (`RawValue`), lets the last of two equal keys win, and rounds large numbers.
struct Plain(Value);

/// Integers up to here are exact as floating-point numbers.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

impl<'de> Deserialize<'de> for Plain {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PlainVisitor).map(Plain)
    }
}

struct PlainVisitor;

impl<'de> Visitor<'de> for PlainVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        if value.abs() < EXACT_MAX { Ok(value.into()) } else { Err(E::custom("number too large")) }
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Plain(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some((name, Plain(value))) = fields.next_entry::<String, Plain>()? {
            if map.insert(name, value).is_some() {
                return Err(de::Error::custom("a field twice"));
            }
        }
        Ok(Value::Object(map))
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
    fn what_is_stored_says_what_was_sent() {
        let magic =
            r#"{"data":{"k":{"$serde_json::private::RawValue":"{}"}},"kind":"message","text":"x"}"#;
        assert_eq!(Draft::parse(magic).map(|draft| draft.to_json()).as_deref(), Ok(magic));
        for json in [
            r#"{"kind":"message","text":"x","data":{"order":12345678901234567890123}}"#,
            r#"{"kind":"message","text":"x","text":"y"}"#,
        ] {
            let exactly = Rejection::BadEvent("not JSON, or not kept exactly");
            assert_eq!(Draft::parse(json), Err(exactly), "{json}");
        }
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
            (&abyss, Rejection::BadEvent("not JSON, or not kept exactly")),
            (&data, Rejection::TooLarge("data")),
        ];
        for (json, rejection) in cases {
            assert_eq!(Draft::parse(json), Err(rejection), "{}", &json[..json.len().min(80)]);
        }
    }
}
