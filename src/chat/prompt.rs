//! Questions before the chat begins.

use std::io::{IsTerminal, Write, stderr, stdin};

use anyhow::{Context, bail};
use crossterm::event::{Event, KeyCode, KeyEventKind, KeyModifiers, read};
use crossterm::terminal::{disable_raw_mode, enable_raw_mode};

/// Asks for a line.
pub(super) fn line(question: &str) -> anyhow::Result<String> {
    if !stdin().is_terminal() {
        bail!("give --handle: there is no terminal to ask at");
    }
    write!(stderr(), "{question}")?;
    stderr().flush()?;
    let mut line = String::new();
    stdin().read_line(&mut line).context("reading the answer")?;
    Ok(line.trim().to_owned())
}

/// Asks yes or no; no is the default.
pub(super) fn yes(question: &str) -> anyhow::Result<bool> {
    Ok(line(question)?.to_lowercase().starts_with('y'))
}

/// Says a line between two questions.
pub(super) fn say(text: &str) -> anyhow::Result<()> {
    Ok(writeln!(stderr(), "{text}")?)
}

/// Asks for a password without showing it.
pub(super) fn password(question: &str) -> anyhow::Result<String> {
    if !stdin().is_terminal() {
        bail!("set HANSARD_PASSWORD: there is no terminal to ask at");
    }
    write!(stderr(), "{question}")?;
    stderr().flush()?;
    enable_raw_mode().context("hiding the password")?;
    let typed = read_hidden();
    disable_raw_mode()?;
    writeln!(stderr())?;
    typed
}

fn read_hidden() -> anyhow::Result<String> {
    let mut typed = String::new();
    loop {
        match read()? {
            Event::Key(key) if key.kind == KeyEventKind::Press => match key.code {
                KeyCode::Enter => return Ok(typed),
                KeyCode::Backspace => drop(typed.pop()),
                KeyCode::Char('c' | 'd') if key.modifiers.contains(KeyModifiers::CONTROL) => {
                    bail!("not logged in")
                }
                KeyCode::Char(character) => typed.push(character),
                _ => {}
            },
            Event::Paste(text) => typed.push_str(text.trim_end()),
            _ => {}
        }
    }
}
