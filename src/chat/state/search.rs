//! Searching: what a person typed, and lines of what was found.

use hansard_client::http::SearchQuery;
use hansard_client::{HttpError, Refusal};
use hansard_model::LogTime;
use hansard_protocol::ErrorCode;
use hansard_protocol::http::{SearchHit, Snippet};
use tokio::time::timeout;

use super::words::failure;
use super::{Chat, READ_TIMEOUT};
use crate::chat::text::clean_line;

/// Hits that are listed: what fits on a screen.
const HITS: usize = 20;

impl Chat {
    /// Finds messages in all conversations of the person, the best first.
    pub(super) async fn search_lines(&mut self, text: &str) -> anyhow::Result<Vec<String>> {
        let now = jiff::Zoned::now();
        let query = SearchQuery {
            text,
            limit: Some(HITS),
            utc_offset_minutes: i16::try_from(now.offset().seconds() / 60).unwrap_or(0),
            ..SearchQuery::default()
        };
        let found = match timeout(READ_TIMEOUT, self.client.http().search(query)).await {
            Ok(Ok(found)) => found,
            Ok(Err(HttpError::Refused(refusal))) => match mistake(text, &refusal) {
                Some(mistake) => anyhow::bail!(mistake),
                None => return Err(failure(HttpError::Refused(refusal))),
            },
            Ok(Err(error)) => return Err(failure(error)),
            Err(_) => anyhow::bail!("the server did not answer in time"),
        };
        let me = self.me.user;
        let others = found.items.iter().filter_map(|hit| hit.conversation.other(me));
        self.learn(found.items.iter().map(|hit| hit.sender).chain(others)).await;
        let mut lines: Vec<String> = found.items.iter().map(|hit| self.hit_line(hit)).collect();
        if lines.is_empty() {
            lines.push("nothing found".to_owned());
        }
        if found.next.is_some() {
            lines.push("… and more: add a word, from:, in:, before: or after:".to_owned());
        }
        if found.partial {
            lines.push("a part of the messages could not be searched: try again soon".to_owned());
        }
        Ok(lines)
    }

    fn hit_line(&self, hit: &SearchHit) -> String {
        let (title, sender) = (self.title(hit.conversation), self.name(hit.sender));
        format!("{}  {title} · {sender}: {}", day(hit.ts), excerpt(&hit.snippet))
    }
}

/// A local date.
fn day(ts: LogTime) -> String {
    let millis = i64::try_from(ts.as_millis()).unwrap_or(i64::MAX);
    let moment = jiff::Timestamp::from_millisecond(millis).unwrap_or_default();
    moment.to_zoned(jiff::tz::TimeZone::system()).strftime("%Y-%m-%d %H:%M").to_string()
}

/// A snippet on one line, with what was found between marks.
fn excerpt(snippet: &Snippet) -> String {
    let units: Vec<u16> = snippet.text.encode_utf16().collect();
    let text = |from: usize, to: usize| {
        String::from_utf16_lossy(units.get(from..to.min(units.len())).unwrap_or_default())
    };
    let mut out = String::new();
    let mut from = 0;
    for [begin, end] in &snippet.highlights {
        out.push_str(&text(from, *begin));
        out.push('‹');
        out.push_str(&text(*begin, *end));
        out.push('›');
        from = *end;
    }
    out.push_str(&text(from, units.len()));
    let (before, after) = (snippet.starts_at > 0, snippet.goes_on);
    let mark = |is_cut| if is_cut { "…" } else { "" };
    format!("{}{}{}", mark(before), clean_line(&out), mark(after))
}

/// What is the matter with a part of a query; `None` when that is not why it was refused.
fn mistake(text: &str, refusal: &Refusal) -> Option<String> {
    let [from, to] = refusal.at?;
    let units: Vec<u16> = text.encode_utf16().collect();
    let part = units.get(usize::from(from)..usize::from(to).min(units.len()))?;
    let part = clean_line(&String::from_utf16_lossy(part));
    Some(match refusal.known() {
        Some(ErrorCode::NotFound) => format!("nothing is called “{part}”"),
        Some(ErrorCode::Conflict) => format!("several are called “{part}”"),
        _ => format!("“{part}” cannot be searched"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_found_is_marked_in_its_place() {
        let snippet = Snippet {
            text: "🍰 the Käsekuchen\nis secret".to_owned(),
            starts_at: 40,
            goes_on: false,
            highlights: vec![[7, 17], [21, 27]],
        };
        assert_eq!(excerpt(&snippet), "…🍰 the ‹Käsekuchen› is ‹secret›");
    }

    #[test]
    fn a_mistake_is_shown_as_it_was_typed() {
        let refusal: Refusal = serde_json::from_str(
            r#"{"code":"not_found","message":"m","stored":"no","retry":"never","at":[9,15]}"#,
        )
        .expect("reads");
        let said = mistake("🍰x from:ulrike tea", &refusal);
        assert_eq!(said.as_deref(), Some("nothing is called “ulrike”"));
        assert_eq!(mistake("🍰", &Refusal { at: None, ..refusal }), None);
    }
}
