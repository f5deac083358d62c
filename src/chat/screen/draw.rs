//! Drawing: everything anew, in one synchronized update.

use std::io::{Write, stdout};

use crossterm::cursor::MoveTo;
use crossterm::queue;
use crossterm::style::{Attribute, Color, Print, ResetColor, SetAttribute, SetForegroundColor};
use crossterm::terminal::{BeginSynchronizedUpdate, Clear, ClearType, EndSynchronizedUpdate, size};

use super::View;
use crate::chat::room::Said;
use crate::chat::state::words::time_of_day;
use crate::chat::state::{Chat, Link};
use crate::chat::text::{clean, clean_line, fit, width, wrap};

/// Columns of the inbox; narrower terminals do without.
const INBOX_COLUMNS: usize = 26;
/// Columns from which the inbox is shown.
const WIDE_COLUMNS: usize = 76;
/// Rows that are not messages: title, state line, input.
const OTHER_ROWS: usize = 3;

/// A row of the conversation.
struct Row {
    text: String,
    color: Option<Color>,
    dim: bool,
}

fn columns_and_rows() -> (usize, usize) {
    let (columns, rows) = size().unwrap_or((80, 24));
    (usize::from(columns).max(20), usize::from(rows).max(6))
}

fn left_columns(columns: usize) -> usize {
    if columns >= WIDE_COLUMNS { INBOX_COLUMNS } else { 0 }
}

/// Rows that messages have.
pub(super) fn message_rows() -> usize {
    columns_and_rows().1 - OTHER_ROWS
}

/// Rows that all messages here would take.
pub(super) fn height(chat: &Chat) -> usize {
    let (columns, _) = columns_and_rows();
    rows(chat, columns - left_columns(columns)).len()
}

pub(super) fn draw(chat: &mut Chat, view: &mut View) -> std::io::Result<()> {
    let (columns, height) = columns_and_rows();
    let left = left_columns(columns);
    let mut out = stdout().lock();
    queue!(
        out,
        BeginSynchronizedUpdate,
        ResetColor,
        SetAttribute(Attribute::Reset),
        Clear(ClearType::All)
    )?;
    title(&mut out, chat, columns)?;
    if left > 0 {
        inbox(&mut out, chat, left, height - OTHER_ROWS)?;
    }
    let space = height - OTHER_ROWS;
    let mut rows = rows(chat, columns - left);
    let notice = view.notice.iter().flat_map(|line| wrap(&clean(line), columns - left));
    let notice: Vec<_> =
        notice.map(|text| Row { text, color: Some(Color::Yellow), dim: false }).collect();
    view.scrolled = view.scrolled.min(rows.len().saturating_sub(space.min(rows.len())));
    rows.truncate(rows.len() - view.scrolled);
    rows.extend(notice);
    let bars = chat.files.bars().into_iter().map(|bar| fit(&bar, columns - left));
    rows.extend(bars.map(|text| Row { text, color: Some(Color::Cyan), dim: false }));
    let first = rows.len().saturating_sub(space);
    let top = 1 + space - (rows.len() - first);
    for (index, row) in rows[first..].iter().enumerate() {
        put(&mut out, left, top + index, row)?;
    }
    state_line(&mut out, chat, view, columns, height - 2)?;
    let (typed, cursor) = view.editor.window(columns - 3);
    queue!(out, at(0, height - 1), Print("> "), Print(typed), at(2 + cursor, height - 1))?;
    queue!(out, EndSynchronizedUpdate)?;
    out.flush()
}

fn at(column: usize, row: usize) -> MoveTo {
    MoveTo(u16::try_from(column).unwrap_or(u16::MAX), u16::try_from(row).unwrap_or(u16::MAX))
}

fn put(out: &mut impl Write, column: usize, line: usize, row: &Row) -> std::io::Result<()> {
    queue!(out, at(column, line))?;
    if let Some(color) = row.color {
        queue!(out, SetForegroundColor(color))?;
    }
    if row.dim {
        queue!(out, SetAttribute(Attribute::Dim))?;
    }
    queue!(out, Print(&row.text), ResetColor, SetAttribute(Attribute::Reset))
}

fn title(out: &mut impl Write, chat: &Chat, columns: usize) -> std::io::Result<()> {
    let room = chat.room.as_ref().map(|room| chat.title(room.conversation));
    let room = room.map_or_else(String::new, |title| format!(" · {title}"));
    let state = chat.link_words();
    let name = fit(
        &format!(" hansard · {}{room}", chat.me.handle),
        columns.saturating_sub(width(&state) + 2),
    );
    let gap = columns.saturating_sub(width(&name) + width(&state) + 1);
    queue!(out, at(0, 0), SetAttribute(Attribute::Reverse))?;
    queue!(out, Print(fit(&format!("{name}{}{state} ", " ".repeat(gap)), columns)))?;
    queue!(out, SetAttribute(Attribute::Reset))
}

fn inbox(out: &mut impl Write, chat: &Chat, columns: usize, rows: usize) -> std::io::Result<()> {
    for (index, row) in chat.rows().iter().take(rows).enumerate() {
        let unread = row.marks();
        let mark = if row.open { "▌" } else { " " };
        let title = fit(&row.title, columns.saturating_sub(6 + width(&unread)));
        let text = format!("{mark}{:>2} {title}{unread}", index + 1);
        let color = (row.unread > 0).then_some(Color::Cyan);
        put(out, 0, 1 + index, &Row { text, color, dim: !row.open && row.unread == 0 })?;
    }
    Ok(())
}

fn state_line(
    out: &mut impl Write,
    chat: &mut Chat,
    view: &View,
    columns: usize,
    row: usize,
) -> std::io::Result<()> {
    let typing = chat.typing();
    let text = if view.scrolled > 0 {
        "earlier messages: PgDn or Esc for the newest".to_owned()
    } else if !typing.is_empty() {
        format!("{} typing…", typing.join(", "))
    } else {
        chat.present()
    };
    let waiting = chat.pending.iter().filter(|pending| !pending.stored).count();
    let text = match (waiting, chat.link == Link::Online) {
        (1.., false) => format!("{waiting} waiting to be sent  {text}"),
        _ => text,
    };
    put(out, 0, row, &Row { text: fit(&text, columns), color: Some(Color::DarkGrey), dim: false })
}

/// The conversation as rows: messages, then what is not stored yet.
fn rows(chat: &Chat, columns: usize) -> Vec<Row> {
    let Some(room) = &chat.room else { return Vec::new() };
    let mut rows = Vec::new();
    if room.more_before {
        rows.push(Row { text: "  (PgUp for earlier messages)".to_owned(), color: None, dim: true });
    }
    for (seq, message) in &room.messages {
        let mine = message.sender == chat.me.user;
        let notice = !matches!(message.content, Said::Text(_));
        let mark =
            if mine && !notice { format!(" {}", chat.got_mark(*seq)) } else { String::new() };
        let who = chat.name(message.sender);
        let color = if mine { Color::Green } else { Color::Blue };
        let text = format!("{}{mark}", chat.say(message));
        block(
            &mut rows,
            columns,
            &format!("{} {who}: ", time_of_day(message.ts)),
            &text,
            Some(color),
            notice,
        );
    }
    for pending in chat.pending.iter().filter(|pending| pending.conversation == room.conversation) {
        let mark = if pending.stored { "✓" } else { "…" };
        let text = format!("{} {mark}", clean(&pending.text));
        block(
            &mut rows,
            columns,
            &format!("      {}: ", clean_line(chat.me.handle.as_str())),
            &text,
            None,
            true,
        );
    }
    rows
}

/// A message under its head; rows after the first are indented.
fn block(
    rows: &mut Vec<Row>,
    columns: usize,
    head: &str,
    text: &str,
    color: Option<Color>,
    dim: bool,
) {
    let indent = width(head).min(columns / 2);
    for (index, line) in wrap(text, columns.saturating_sub(indent + 1)).into_iter().enumerate() {
        let text = if index == 0 {
            format!("{head}{line}")
        } else {
            format!("{}{line}", " ".repeat(indent))
        };
        let color = if index == 0 { color } else { None };
        rows.push(Row { text: fit(&text, columns), color, dim });
    }
}
