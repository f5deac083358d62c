//! Line by line: commands and messages in, `time handle: text ✓` out. For scripts and tests.
//!
//! Standard output carries messages and what commands print; the connection's state and errors
//! go to standard error. At the end of the input the outbox is waited for, bounded; the exit code
//! is 1 when a line failed.

use std::io::{BufRead, IsTerminal, Write, stderr, stdin, stdout};
use std::time::Duration;

use anyhow::{bail, ensure};
use hansard_client::{Content, StoredEvent, Updates};
use hansard_model::{ConversationId, LogTime, UserId};
use tokio::sync::mpsc;
use tokio::time::{Instant, interval};

use super::command::Input;
use super::editor::cut;
use super::room::Room;
use super::state::act::Done;
use super::state::words::time_of_day;
use super::state::{Chat, Link, News};
use super::text::clean_line;

/// Messages shown when a conversation is opened.
const SHOWN_MAX: usize = 20;
/// Lines read ahead.
const LINES_MAX: usize = 16;
/// A line is not taken before the one above it is stored and shown, as long as that takes no
/// longer than this: offline, lines go to the outbox.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often progress is shown.
const METER_EVERY: Duration = Duration::from_millis(200);
/// How long what is not sent yet is waited for at the end.
const LAST_WAIT: Duration = Duration::from_secs(30);

pub(super) async fn run(mut chat: Chat, mut updates: Updates) -> anyhow::Result<()> {
    let mut input = input()?;
    let mut end: Option<Instant> = None;
    let mut patient_until = Instant::now() + PATIENCE;
    let mut failed = 0;
    let meter = Meter { is_shown: stderr().is_terminal() };
    let mut moving = interval(METER_EVERY);
    loop {
        if end.is_some() && is_over(&chat).await {
            ensure!(failed == 0, "{failed} line(s) failed");
            return Ok(());
        }
        let waits = !chat.pending.is_empty() || !chat.files.are_still();
        let at_rest = !waits && chat.link == Link::Online;
        let takes_lines = end.is_none() && (at_rest || Instant::now() >= patient_until);
        let until = end.unwrap_or(patient_until);
        tokio::select! {
            biased;
            update = updates.next() => {
                let Some(update) = update else { bail!("the client has stopped") };
                let news = chat.update(update).await;
                failed += usize::from(matches!(news, News::Failed(_)));
                show(&chat, news)?;
                if let Link::Stopped(_) = chat.link {
                    bail!("{}", chat.link_words());
                }
            }
            ended = chat.files.ended() => {
                let news = chat.ended(ended).await;
                failed += usize::from(matches!(news, News::Failed(_)));
                show(&chat, news)?;
            }
            line = input.recv(), if takes_lines => {
                patient_until = Instant::now() + PATIENCE;
                let leaves = match line {
                    Some(line) => take(&mut chat, &line?, &mut failed).await?,
                    None => true,
                };
                if leaves {
                    end = Some(Instant::now() + LAST_WAIT);
                }
            }
            _ = moving.tick(), if meter.is_shown && !chat.files.are_still() => {
                meter.show(&chat.files.bars())?;
            }
            () = tokio::time::sleep_until(until), if end.is_some() || !takes_lines => {
                if end.is_none() {
                    continue;
                }
                if chat.files.moved() {
                    end = Some(Instant::now() + LAST_WAIT);
                    continue;
                }
                ensure!(chat.files.are_still(), "some files are not sent or saved yet");
                bail!("{} message(s) are not sent yet; they stay in the outbox", chat.pending.len());
            }
        }
    }
}

/// The progress of files on the last line, which the next message overwrites.
struct Meter {
    is_shown: bool,
}

impl Meter {
    fn show(&self, bars: &[String]) -> anyhow::Result<()> {
        let mut out = stderr().lock();
        write!(out, "\r\u{1b}[K{}\r", bars.join("  "))?;
        Ok(out.flush()?)
    }
}

/// Whether nothing is on its way any more.
async fn is_over(chat: &Chat) -> bool {
    chat.files.are_still() && chat.pending.is_empty() && chat.client.pending().await == 0
}

/// Reads lines on a thread of their own, which nobody waits for at the end.
fn input() -> anyhow::Result<mpsc::Receiver<std::io::Result<String>>> {
    let (queue, lines) = mpsc::channel(LINES_MAX);
    let read = move || {
        for line in stdin().lock().lines() {
            if queue.blocking_send(line).is_err() {
                return;
            }
        }
    };
    std::thread::Builder::new().name("hansard-lines".to_owned()).spawn(read)?;
    Ok(lines)
}

/// Does what a line says; `true` to leave.
async fn take(chat: &mut Chat, line: &str, failed: &mut usize) -> anyhow::Result<bool> {
    let mut input = Input::parse(line);
    if let Ok(Input::Say(text) | Input::Edit(text)) = &mut input
        && let (kept, Some(notice)) = cut(text)
    {
        // Something goes, not all that was said.
        *failed += 1;
        writeln!(stderr(), "! {notice}")?;
        *text = kept.to_owned();
    }
    let done = match input {
        Ok(input) => chat.act(input).await,
        Err(error) => Err(anyhow::anyhow!(error)),
    };
    match done {
        Ok(Done::Quit) => return Ok(true),
        Ok(Done::Quietly) => {}
        Ok(Done::Opened(notice)) => {
            if let Some(room) = &chat.room {
                writeln!(stderr(), "-- {notice}")?;
                history(chat, room)?;
            }
        }
        Ok(Done::Said(lines)) => {
            let mut out = stdout().lock();
            for line in lines {
                writeln!(out, "{line}")?;
            }
            out.flush()?;
        }
        Err(error) => {
            *failed += 1;
            writeln!(stderr(), "! {error:#}")?;
        }
    }
    Ok(false)
}

fn history(chat: &Chat, room: &Room) -> anyhow::Result<()> {
    let skipped = room.messages.len().saturating_sub(SHOWN_MAX);
    for message in room.messages.values().skip(skipped) {
        print(chat, room.conversation, message.sender, message.ts, &chat.say(message))?;
    }
    Ok(())
}

fn show(chat: &Chat, news: News) -> anyhow::Result<()> {
    match news {
        News::Event(event) => {
            if let Some(text) = words(chat, &event) {
                print(chat, event.conversation, event.sender, event.ts, &text)?;
            }
        }
        News::Link => writeln!(stderr(), "-- {}", chat.link_words())?,
        News::Failed(why) => writeln!(stderr(), "! {why}")?,
        News::Told(line) => writeln!(stderr(), "* {line}")?,
        News::Saved(path) => {
            let mut out = stdout().lock();
            writeln!(out, "saved {}", clean_line(&path.display().to_string()))?;
            out.flush()?;
        }
        News::Nothing => {}
    }
    Ok(())
}

fn words(chat: &Chat, event: &StoredEvent) -> Option<String> {
    let content: Content = event.content();
    if let Some(text) = chat.describe(&content) {
        return Some(text);
    }
    // A room of one event says it as a room of many would.
    let mut room = Room::new(event.conversation);
    room.event(event, chat.me.user);
    room.messages.values().next().map(|message| chat.say(message))
}

fn print(
    chat: &Chat,
    conversation: ConversationId,
    sender: UserId,
    ts: LogTime,
    text: &str,
) -> anyhow::Result<()> {
    let place = if chat.is_open(conversation) {
        String::new()
    } else {
        format!("[{}] ", chat.title(conversation))
    };
    // One line per message, whatever is in it.
    let text = text.replace('\n', " ⏎ ");
    let mark = if sender == chat.me.user { " ✓" } else { "" };
    let mut out = stdout().lock();
    writeln!(out, "{} {place}{}: {text}{mark}", time_of_day(ts), chat.name(sender))?;
    Ok(out.flush()?)
}
