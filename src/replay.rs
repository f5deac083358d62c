//! `hansard replay`: a conversation as the log holds it, straight from the archive's segments and
//! JetStream, void events included; no view and no gateway in between.
//!
//! The stock `nats` CLI reads what JetStream holds; `zstdcat` and `jq` read segments. The conversation `<a>.<b>` is in the stream `EVENTS_<p>` on
//! `ev.<p>.<a>.<b>.msg` and `.meta`, where p is its partition, which `hansard replay --where` prints
//! together with the command:
//!
//! ```text
//! nats stream subjects EVENTS_<p> --filter 'ev.<p>.<a>.<b>.*'
//! nats sub --all 'ev.<p>.<a>.<b>.*'
//! ```
//!
//! An event is void, and every reader skips it, when the stream stored it after its header
//! `Vouch-Until` (milliseconds since the Unix epoch), or when it has no such header. This is the
//! only rule by which anything in the log is skipped.

use std::io::{ErrorKind, Write as _};

use anyhow::Context;
use bytes::Bytes;
use hansard_archive::Archive;
use hansard_model::event::EventClass;
use hansard_model::subject::event_filter;
use hansard_model::{ConversationId, Record, Seq};
use hansard_nats::{Log, LogClock, deployment, streams};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::settings::{NatsArgs, ObjectStoreArgs};

#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(flatten)]
    nats: NatsArgs,
    #[command(flatten)]
    objects: ObjectStoreArgs,
    /// The conversation's id: `<user>.<user>` or `g.<group>`.
    conversation: ConversationId,
    /// First sequence to print.
    #[arg(long, default_value_t = 1)]
    from: u64,
    /// Last sequence to print. Default: the last there is.
    #[arg(long)]
    to: Option<u64>,
    /// Go on with what is stored from now on.
    #[arg(long)]
    follow: bool,
    /// One JSON object a line: `{seq, ts, void, class, body}`.
    #[arg(long)]
    json: bool,
    /// Print where the conversation is and how the stock `nats` CLI reads it, and nothing else.
    #[arg(long = "where")]
    location: bool,
}

/// `hansard replay`
pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    let connection = args.nats.connect_operator().await?;
    let deployment = deployment::open(&connection).await?;
    let log = Log::open(&connection, &deployment, LogClock::new());
    let partition = log.partition_of(args.conversation);
    if args.location {
        let filter = event_filter(partition, args.conversation);
        let stream = streams::events(partition);
        let text = format!("{stream} {filter}\nnats sub --all '{filter}'\n");
        return std::io::stdout().write_all(text.as_bytes()).context("standard output");
    }
    let after = Seq(args.from.saturating_sub(1));
    let mut any = false;
    let objects = args.objects.open(&args.nats.data)?;
    let archive = Archive::open(objects, &connection, &deployment);
    let mut records = archive.replay(&log, args.conversation, after, args.follow).await?;
    let mut out = std::io::BufWriter::with_capacity(1 << 16, std::io::stdout());
    loop {
        // Whoever follows wants to see what is there, a pipe wants whole blocks.
        let record = match records.try_recv() {
            Ok(record) => Some(record),
            Err(_) => {
                if let Err(error) = out.flush() {
                    return reader_gone(error);
                }
                records.recv().await
            }
        };
        let Some(record) = record else { break };
        let record = record.context(
            "the log cannot be read further; name the --object-store if it is not in --data",
        )?;
        any = true;
        if args.to.is_some_and(|to| record.seq.0 > to) {
            break;
        }
        let line = if args.json { json(&record)? } else { readable(&record) };
        if let Err(error) = writeln!(out, "{line}") {
            return reader_gone(error);
        }
        if args.to == Some(record.seq.0) {
            break;
        }
    }
    out.flush().or_else(|error| reader_gone(error).map_err(std::io::Error::other))?;
    // Whoever asked for the end of a conversation may have asked for a part that is not there yet.
    anyhow::ensure!(any || after > Seq::ZERO, "nothing is stored in {}", args.conversation);
    Ok(())
}

/// A reader that has seen enough (`| head`) is no failure.
fn reader_gone(error: std::io::Error) -> anyhow::Result<()> {
    if error.kind() == ErrorKind::BrokenPipe {
        Ok(())
    } else {
        Err(error).context("standard output")
    }
}

#[derive(Serialize)]
struct JsonLine<'a> {
    seq: Seq,
    ts: String,
    void: bool,
    class: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<&'a RawValue>,
}

fn json(record: &Record<Bytes>) -> anyhow::Result<String> {
    let line = JsonLine {
        seq: record.seq,
        ts: record.ts.to_string(),
        void: record.is_void(),
        class: class(record),
        body: serde_json::from_slice(&record.payload).ok(),
    };
    Ok(serde_json::to_string(&line)?)
}

fn readable(record: &Record<Bytes>) -> String {
    let body: serde_json::Value = serde_json::from_slice(&record.payload).unwrap_or_default();
    let event = &body["event"];
    let kind = event["kind"].as_str().unwrap_or("(unreadable)");
    let detail = match event["text"].as_str() {
        Some(text) => text.to_owned(),
        None => match event.as_object() {
            Some(fields) => fields
                .iter()
                .filter(|(name, _)| *name != "kind")
                .map(|(name, value)| format!("{name}={value}"))
                .collect::<Vec<_>>()
                .join(" "),
            None => String::new(),
        },
    };
    let void = if record.is_void() { " VOID" } else { "" };
    let sender = body["sender"].as_str().unwrap_or("?");
    one_line(&format!("{} {} {sender} {kind}{void}: {detail}", record.seq, record.ts))
}

fn class(record: &Record<Bytes>) -> &'static str {
    match record.class {
        EventClass::Msg => "msg",
        EventClass::Meta => "meta",
    }
}

/// What somebody wrote must not move the reader's cursor, nor turn the text around.
fn one_line(text: &str) -> String {
    let is_bidi = |c: char| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}');
    text.chars().map(|c| if c.is_control() || is_bidi(c) { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use hansard_model::{GroupId, LogTime};

    use super::*;

    fn record(ts: u64, event: &str) -> Record<Bytes> {
        Record {
            seq: Seq(7),
            ts: LogTime::from_millis(ts),
            conversation: ConversationId::Group(GroupId::from_entropy([1; 20])),
            class: EventClass::Msg,
            vouch_until: Some(LogTime::from_millis(10)),
            key: None,
            payload: format!(r#"{{"v":1,"sender":"ana","event":{event}}}"#).into(),
        }
    }

    #[test]
    fn an_event_stored_too_late_is_shown_as_void() {
        let event = r#"{"kind":"message","text":"hi"}"#;
        assert_eq!(readable(&record(10, event)), "7 1970-01-01T00:00:00.010Z ana message: hi");
        assert_eq!(readable(&record(11, event)), "7 1970-01-01T00:00:00.011Z ana message VOID: hi");
        let json = json(&record(11, event)).expect("json");
        assert!(json.starts_with(r#"{"seq":7,"ts":"1970-01-01T00:00:00.011Z","void":true,"class":"msg","body":{"v":1"#), "{json}");
    }

    #[test]
    fn text_cannot_move_the_cursor() {
        let line = readable(&record(1, r#"{"kind":"message","text":"a\u001b[2J\nb\u202e"}"#));
        assert!(!line.chars().any(|c| c.is_control() || c == '\u{202e}'), "{line:?}");
    }
}
