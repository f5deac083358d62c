//! Full screen: the inbox at the left, the open conversation, a state line, the input.

mod draw;

use std::io::stdout;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossterm::cursor::Show;
use crossterm::event::{
    DisableBracketedPaste, EnableBracketedPaste, Event, KeyCode, KeyEvent, KeyEventKind,
    KeyModifiers, poll, read,
};
use crossterm::execute;
use crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use hansard_client::Updates;
use tokio::sync::mpsc;
use tokio::time::{Instant, interval};

use super::command::Input;
use super::editor::Editor;
use super::state::act::Done;
use super::state::{Chat, News};

/// Keys that wait to be looked at.
const KEYS_MAX: usize = 256;
/// How often the key thread looks whether it is still wanted.
const KEY_POLL: Duration = Duration::from_millis(100);
/// Between two signs that the person is typing.
const TYPING_EVERY: Duration = Duration::from_secs(3);
/// How often progress is drawn.
const BARS_EVERY: Duration = Duration::from_millis(200);
/// Updates taken before the screen is drawn again.
const UPDATES_PER_DRAW: usize = 64;

/// What the screen shows besides the chat itself.
pub(super) struct View {
    editor: Editor,
    /// Rows scrolled up from the newest.
    scrolled: usize,
    /// What a command said, or a mistake; gone at the next key.
    notice: Vec<String>,
    typed_at: Option<Instant>,
}

impl View {
    fn note(&mut self, news: News) {
        match news {
            News::Failed(line) | News::Told(line) => self.notice = vec![line],
            News::Saved(path) => self.notice = vec![format!("saved {}", path.display())],
            News::Event(_) | News::Link | News::Nothing => {}
        }
    }
}

/// The terminal as it was, when this goes, however it goes.
struct Restore(Arc<AtomicBool>);

impl Drop for Restore {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
        // Nothing can be done about a terminal that is gone.
        let _ = execute!(stdout(), DisableBracketedPaste, LeaveAlternateScreen, Show);
        let _ = disable_raw_mode();
    }
}

pub(super) async fn run(mut chat: Chat, mut updates: Updates) -> anyhow::Result<()> {
    let over = Arc::new(AtomicBool::new(false));
    enable_raw_mode()?;
    let _restore = Restore(Arc::clone(&over));
    execute!(stdout(), EnterAlternateScreen, EnableBracketedPaste)?;
    let mut keys = keys(over)?;
    let mut second = interval(Duration::from_secs(1));
    let mut moving = interval(BARS_EVERY);
    let notice = vec!["/open <handle> begins a conversation, /help lists the rest".to_owned()];
    let mut view = View { editor: Editor::default(), scrolled: 0, notice, typed_at: None };
    loop {
        draw::draw(&mut chat, &mut view)?;
        tokio::select! {
            update = updates.next() => {
                let Some(update) = update else { anyhow::bail!("{}", chat.link_words()) };
                let mut next = Some(update);
                for _ in 0..UPDATES_PER_DRAW {
                    let Some(update) = next.take() else { break };
                    let news = chat.update(update).await;
                    view.note(news);
                    next = updates.try_next();
                }
                if let Some(update) = next {
                    chat.update(update).await;
                }
            }
            event = keys.recv() => {
                let Some(event) = event else { return Ok(()) };
                if key(&mut chat, &mut view, event).await {
                    return Ok(());
                }
            }
            ended = chat.files.ended() => {
                let news = chat.ended(ended).await;
                view.note(news);
            }
            _ = second.tick() => {}
            _ = moving.tick(), if !chat.files.are_still() => {}
        }
    }
}

/// Reads keys on a thread of their own: reading blocks.
fn keys(over: Arc<AtomicBool>) -> anyhow::Result<mpsc::Receiver<Event>> {
    let (queue, keys) = mpsc::channel(KEYS_MAX);
    let read_keys = move || {
        while !over.load(Ordering::Relaxed) {
            match poll(KEY_POLL) {
                Ok(false) => {}
                Ok(true) => match read() {
                    Ok(event) => {
                        if queue.blocking_send(event).is_err() {
                            return;
                        }
                    }
                    Err(_) => return,
                },
                Err(_) => return,
            }
        }
    };
    std::thread::Builder::new().name("hansard-keys".to_owned()).spawn(read_keys)?;
    Ok(keys)
}

/// Does what a key says; `true` to leave.
async fn key(chat: &mut Chat, view: &mut View, event: Event) -> bool {
    match event {
        Event::Key(key) if key.kind != KeyEventKind::Release => {
            view.notice.clear();
            press(chat, view, key).await
        }
        Event::Paste(text) => {
            view.notice = view.editor.insert(&text).into_iter().collect();
            false
        }
        _ => false,
    }
}

async fn press(chat: &mut Chat, view: &mut View, key: KeyEvent) -> bool {
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    match key.code {
        KeyCode::Char('c' | 'd') if control => return true,
        KeyCode::Char('w') if control => view.editor.delete_word(),
        KeyCode::Char('u') if control => view.editor.clear(),
        KeyCode::Char('a') if control => view.editor.home(),
        KeyCode::Char('e') if control => view.editor.end(),
        KeyCode::Char(character) if !control => {
            view.notice =
                view.editor.insert(character.encode_utf8(&mut [0; 4])).into_iter().collect();
            show_typing(chat, view).await;
        }
        KeyCode::Backspace => view.editor.backspace(),
        KeyCode::Delete => view.editor.delete(),
        KeyCode::Left => view.editor.left(),
        KeyCode::Right => view.editor.right(),
        KeyCode::Home => view.editor.home(),
        KeyCode::End => {
            view.editor.end();
            view.scrolled = 0;
        }
        KeyCode::Up => view.editor.recall(true),
        KeyCode::Down => view.editor.recall(false),
        KeyCode::PageUp => {
            let rows = draw::message_rows();
            view.scrolled += rows / 2;
            // Near the oldest message that is here: fetch what is before it.
            if view.scrolled + rows >= draw::height(chat) {
                chat.load_earlier().await;
            }
        }
        KeyCode::PageDown => {
            view.scrolled = view.scrolled.saturating_sub(draw::message_rows() / 2);
        }
        KeyCode::Esc => view.scrolled = 0,
        KeyCode::Enter => return enter(chat, view).await,
        _ => {}
    }
    false
}

async fn show_typing(chat: &Chat, view: &mut View) {
    let due = view.typed_at.is_none_or(|at| at.elapsed() >= TYPING_EVERY);
    if due
        && view.editor.is_message()
        && let Some(room) = &chat.room
    {
        view.typed_at = Some(Instant::now());
        chat.client.typing(room.conversation).await;
    }
}

async fn enter(chat: &mut Chat, view: &mut View) -> bool {
    let line = view.editor.take();
    let done = match Input::parse(&line) {
        Ok(input) => chat.act(input).await,
        Err(error) => Err(anyhow::anyhow!(error)),
    };
    view.typed_at = None;
    match done {
        Ok(Done::Quit) => return true,
        Ok(Done::Quietly) => view.scrolled = 0,
        Ok(Done::Opened(notice)) => (view.scrolled, view.notice) = (0, vec![notice]),
        Ok(Done::Said(lines)) => view.notice = lines,
        Err(error) => view.notice = vec![format!("{error:#}")],
    }
    false
}
