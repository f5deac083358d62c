//! Bodies that are not the stored bytes: tombstones, messages as last edited, previews, and what
//! stands in for a payload that is no JSON object.

use bytes::Bytes;
use hansard_model::envelope::VERSION;
use hansard_model::record::EventKey;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

/// Longest text of a preview, in characters.
const PREVIEW_TEXT_CHARS_MAX: usize = 160;
/// Largest `media` of a preview, in bytes of JSON; a larger one is left out.
const PREVIEW_MEDIA_BYTES_MAX: usize = 1_024;

/// What is left of a message or an edit after the message was deleted.
pub(crate) fn tombstone(body: &[u8]) -> Bytes {
    rewrite(body, |event| {
        let mut left = Map::new();
        for name in ["kind", "target"] {
            if let Some(value) = event.remove(name) {
                left.insert(name.to_owned(), value);
            }
        }
        left.insert("deleted".to_owned(), Value::Bool(true));
        left
    })
}

/// A message with the content of an edit in place of its own.
pub(crate) fn edited(message: &[u8], edit: &[u8]) -> Bytes {
    let mut content = event_of(edit);
    rewrite(message, |event| {
        let mut event = std::mem::take(event);
        for name in ["text", "mentions", "media"] {
            match content.remove(name) {
                Some(value) => event.insert(name.to_owned(), value),
                None => event.remove(name),
            };
        }
        event
    })
}

/// A message cut to what an inbox shows of it.
pub(crate) fn preview(message: &[u8]) -> Bytes {
    rewrite(message, |event| {
        let mut shown = Map::new();
        for name in ["kind", "deleted", "reply_to", "thread"] {
            if let Some(value) = event.remove(name) {
                shown.insert(name.to_owned(), value);
            }
        }
        if let Some(Value::String(text)) = event.remove("text") {
            let cut: String = text.chars().take(PREVIEW_TEXT_CHARS_MAX).collect();
            shown.insert("text".to_owned(), Value::String(cut));
        }
        if let Some(media) = event.remove("media")
            && media.to_string().len() <= PREVIEW_MEDIA_BYTES_MAX
        {
            shown.insert("media".to_owned(), media);
        }
        shown
    })
}

/// What clients get of an event whose payload is not a JSON object: enough to advance their chain.
pub(crate) fn stand_in(key: Option<EventKey>) -> Bytes {
    let mut body = json!({"v": VERSION, "event": {"kind": "unreadable"}});
    if let (Value::Object(fields), Some(key)) = (&mut body, key) {
        fields.insert("id".to_owned(), Value::String(key.id.to_string()));
        fields.insert("sender".to_owned(), Value::String(key.sender.to_string()));
    }
    body.to_string().into()
}

/// The same envelope around another event.
fn rewrite(
    body: &[u8],
    change: impl FnOnce(&mut Map<String, Value>) -> Map<String, Value>,
) -> Bytes {
    let mut fields = fields_of(body);
    let mut event = match fields.remove("event") {
        Some(Value::Object(event)) => event,
        Some(_) | None => Map::new(),
    };
    let event = Value::Object(change(&mut event));
    let part = |name: &str| fields.get(name).unwrap_or(&Value::Null);
    Bytes::from(format!(
        r#"{{"v":{},"id":{},"sender":{},"device":{},"event":{event}}}"#,
        part("v"),
        part("id"),
        part("sender"),
        part("device"),
    ))
}

fn fields_of(body: &[u8]) -> Map<String, Value> {
    serde_json::from_slice(body).unwrap_or_default()
}

fn event_of(body: &[u8]) -> Map<String, Value> {
    match fields_of(body).remove("event") {
        Some(Value::Object(event)) => event,
        Some(_) | None => Map::new(),
    }
}

/// A body as answers carry it.
pub(crate) fn raw(body: &[u8]) -> Box<RawValue> {
    // Only JSON is kept; `null` is the harmless answer if it were not.
    serde_json::from_slice(body).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(event: &str) -> String {
        format!(r#"{{"v":1,"id":"i","sender":"s","device":"d","event":{event}}}"#)
    }

    #[test]
    fn a_tombstone_keeps_who_and_which_but_nothing_of_what() {
        let message =
            body(r#"{"kind":"message","text":"secret","data":{"x":1},"mentions":["all"]}"#);
        assert_eq!(tombstone(message.as_bytes()), body(r#"{"deleted":true,"kind":"message"}"#));
        let edit = body(r#"{"kind":"edit","target":7,"text":"secret"}"#);
        assert_eq!(
            tombstone(edit.as_bytes()),
            body(r#"{"deleted":true,"kind":"edit","target":7}"#)
        );
    }

    #[test]
    fn an_edit_replaces_text_mentions_and_media_and_keeps_the_rest() {
        let message =
            body(r#"{"data":{"x":1},"kind":"message","media":[{}],"text":"old","thread":3}"#);
        let edit = body(r#"{"kind":"edit","mentions":["all"],"target":7,"text":"new"}"#);
        let expected =
            body(r#"{"data":{"x":1},"kind":"message","mentions":["all"],"text":"new","thread":3}"#);
        assert_eq!(edited(message.as_bytes(), edit.as_bytes()), expected);
    }

    #[test]
    fn a_preview_is_short_whatever_the_message() {
        let long = "ß".repeat(10_000);
        let message = body(&format!(r#"{{"data":{{"x":1}},"kind":"message","text":"{long}"}}"#));
        let cut = "ß".repeat(PREVIEW_TEXT_CHARS_MAX);
        let expected = body(&format!(r#"{{"kind":"message","text":"{cut}"}}"#));
        assert_eq!(preview(message.as_bytes()), expected);
    }
}
