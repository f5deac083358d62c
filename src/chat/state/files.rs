//! Files of messages: what they are called here, and those on their way.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use hansard_client::media::{Draft, Media, Progress, Unfinished, safe_name};
use hansard_client::{Content, MediaError};
use hansard_model::media::{Declared, Variant};
use hansard_model::{ConversationId, Event, UploadId};
use hansard_protocol::media::MediaInfo;
use hansard_protocol::server::MediaFrame;
use serde_json::{Map, Value};
use tokio::sync::{mpsc, watch};
use tokio_util::task::AbortOnDropHandle;

use super::words::failure;
use super::{Chat, News, Pending};
use crate::chat::text::{clean_line, fit};

/// Files that `/get` knows; of older ones nothing is known until they are shown again.
const SHOWN_MAX: usize = 1_000;
/// Transfers at once; more are refused.
const TRANSFERS_MAX: usize = 16;
/// Columns of a file's name.
const NAME_COLUMNS: usize = 48;
/// How long a sent picture waits for its measures, which go into the message.
const MEASURES_WITHIN: Duration = Duration::from_secs(3);
/// The reason of a file whose bytes the server has lost.
const LOST: &str = "lost";
/// Cells of a progress bar.
const BAR_CELLS: u64 = 20;

/// Directories of the person's.
pub(in crate::chat) struct Places {
    /// Where what is fetched goes.
    pub(in crate::chat) downloads: PathBuf,
    /// What `~` means, if the environment says so.
    pub(in crate::chat) home: Option<PathBuf>,
}

impl Places {
    /// A path as it was typed: no shell has looked at it.
    fn path(&self, typed: &str) -> PathBuf {
        match (typed.strip_prefix('~'), &self.home) {
            (Some(""), Some(home)) => home.clone(),
            (Some(rest), Some(home)) if rest.starts_with('/') => {
                home.join(rest.trim_start_matches('/'))
            }
            _ => PathBuf::from(typed),
        }
    }
}

/// The files of this terminal.
pub(in crate::chat) struct Files {
    places: Places,
    /// By the number that `/get` takes.
    shown: BTreeMap<usize, Shown>,
    transfers: Vec<Transfer>,
    ended: mpsc::Receiver<Ended>,
    tell: mpsc::Sender<Ended>,
}

#[derive(Clone)]
struct Shown {
    upload: UploadId,
    name: String,
}

struct Transfer {
    what: What,
    name: String,
    progress: watch::Receiver<Progress>,
    _task: AbortOnDropHandle<()>,
}

/// Which transfer.
#[derive(Clone, Debug, PartialEq, Eq)]
enum What {
    /// This upload of the journal.
    Up(u64),
    /// To this path.
    Down(PathBuf),
}

/// A transfer came to its end.
pub(in crate::chat) struct Ended {
    what: What,
    outcome: Outcome,
}

enum Outcome {
    Uploaded(Unfinished, Box<MediaInfo>),
    NotUploaded(Unfinished, MediaError),
    Fetched(PathBuf),
    NotFetched(MediaError),
}

impl Files {
    pub(super) fn new(places: Places) -> Self {
        let (tell, ended) = mpsc::channel(TRANSFERS_MAX);
        Self { places, shown: BTreeMap::new(), transfers: Vec::new(), ended, tell }
    }

    /// The next transfer that comes to its end.
    pub(in crate::chat) async fn ended(&mut self) -> Ended {
        match self.ended.recv().await {
            Some(ended) => ended,
            // Never: there is a sender here.
            None => std::future::pending().await,
        }
    }

    /// Whether nothing is on its way.
    pub(in crate::chat) fn are_still(&self) -> bool {
        self.transfers.is_empty()
    }

    /// Whether something has moved since this was asked last.
    pub(in crate::chat) fn moved(&mut self) -> bool {
        self.transfers.iter_mut().fold(false, |moved, transfer| {
            let changed = transfer.progress.has_changed().unwrap_or(false);
            transfer.progress.mark_unchanged();
            moved | changed
        })
    }

    /// A line for each transfer, with its progress.
    pub(in crate::chat) fn bars(&self) -> Vec<String> {
        self.transfers.iter().map(|one| bar(&one.name, *one.progress.borrow())).collect()
    }

    fn runs(&self, what: &What) -> bool {
        self.transfers.iter().any(|transfer| &transfer.what == what)
    }

    /// The number of a file of a message, a new one the first time.
    fn note(&mut self, file: &Map<String, Value>) {
        let Some(upload) = upload_of(file) else { return };
        if self.shown.values().any(|shown| shown.upload == upload) {
            return;
        }
        let number = self.shown.last_key_value().map_or(1, |(last, _)| last + 1);
        self.shown.insert(number, Shown { upload, name: text(file, "name").to_owned() });
        if self.shown.len() > SHOWN_MAX {
            self.shown.pop_first();
        }
    }

    fn number(&self, upload: UploadId) -> Option<usize> {
        self.shown.iter().find(|(_, shown)| shown.upload == upload).map(|(number, _)| *number)
    }

    /// How a file of a message is shown: what it is, its name, its size, how to get it.
    pub(super) fn label(&self, file: &Map<String, Value>) -> String {
        let mut label = describe(file);
        if let Some(number) = upload_of(file).and_then(|upload| self.number(upload)) {
            label.push_str(&format!(", /get {number}"));
        }
        format!("[{label}]")
    }

    fn begin(
        &mut self,
        what: What,
        name: String,
        progress: watch::Receiver<Progress>,
        outcome: impl Future<Output = Outcome> + Send + 'static,
    ) {
        let (tell, named) = (self.tell.clone(), what.clone());
        let run = async move {
            let ended = Ended { what: named, outcome: outcome.await };
            // Nobody listens any more when the chat ends.
            let _ = tell.send(ended).await;
        };
        let task = AbortOnDropHandle::new(tokio::spawn(run));
        self.transfers.push(Transfer { what, name, progress, _task: task });
    }
}

impl Chat {
    /// Numbers the files of a message that is about to be shown.
    pub(super) fn note_files(&mut self, content: &Content) {
        let files = match content {
            Content::Known(Event::Message(message)) => &message.media,
            Content::Known(Event::Edit(edit)) => &edit.media,
            _ => return,
        };
        files.iter().for_each(|file| self.files.note(file));
    }

    /// The same for all that the open conversation shows.
    pub(super) fn note_files_of_room(&mut self) {
        let Some(room) = &self.room else { return };
        for message in room.messages.values() {
            message.files.iter().for_each(|file| self.files.note(file));
        }
    }

    /// A file is ready: its message was written before that was known, and may say something else.
    pub(super) fn file_is_ready(&mut self, frame: &MediaFrame) -> News {
        let Some(room) = self.room.as_mut().filter(|room| room.conversation == frame.conversation)
        else {
            return News::Nothing;
        };
        let files = room.messages.values_mut().flat_map(|message| &mut message.files);
        let mut lost = None;
        for file in files.filter(|file| upload_of(file) == Some(frame.media.id)) {
            correct(file, &frame.media);
            lost = (frame.media.reason.as_deref() == Some(LOST)).then(|| describe(file));
        }
        match lost {
            Some(file) => News::Told(format!("{file} is lost: it has to be sent once more")),
            None => News::Nothing,
        }
    }

    /// Sends a file to the open conversation: it goes on at the next start if it has to.
    pub(super) async fn send_file(&mut self, path: &str, text: String) -> anyhow::Result<String> {
        let conversation = self.here()?;
        if self.files.transfers.len() >= TRANSFERS_MAX {
            bail!("{TRANSFERS_MAX} files are on their way already");
        }
        let path = &self.files.places.path(path);
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        let file = Declared { name, ..Declared::default() };
        let draft = Draft { conversation, text };
        let prepared = self.client.media().prepare(path, file, Some(draft)).await;
        let unfinished = prepared.with_context(|| path.display().to_string())?;
        let said = format!(
            "sending {} ({})",
            shown_name(&unfinished),
            size(unfinished.fingerprint.length)
        );
        self.go_on(unfinished);
        Ok(said)
    }

    /// Goes on with what was not finished: after the start, and when there is a connection again.
    pub(super) async fn go_on_with_files(&mut self) {
        let unfinished = match self.client.media().unfinished().await {
            Ok(unfinished) => unfinished,
            Err(error) => return tracing::debug!(%error, "files are not gone on with"),
        };
        for unfinished in unfinished {
            let runs = self.files.runs(&What::Up(unfinished.row));
            if !runs && self.files.transfers.len() < TRANSFERS_MAX {
                self.go_on(unfinished);
            }
        }
    }

    fn go_on(&mut self, unfinished: Unfinished) {
        let media = self.client.media();
        let upload = media.resume(unfinished.clone());
        let (what, name) = (What::Up(unfinished.row), shown_name(&unfinished));
        let progress = upload.progress();
        self.files.begin(what, name, progress, async move {
            match upload.done().await {
                Ok(info) => {
                    let info = measured(&media, info).await;
                    Outcome::Uploaded(unfinished, Box::new(info))
                }
                Err(error) => Outcome::NotUploaded(unfinished, error),
            }
        });
    }

    /// Fetches a file by its number; the newest without one.
    pub(super) fn get_file(
        &mut self,
        number: Option<usize>,
        path: Option<&str>,
    ) -> anyhow::Result<String> {
        let shown = match number {
            Some(number) => self.files.shown.get(&number),
            None => self.files.shown.last_key_value().map(|(_, shown)| shown),
        };
        let shown = shown.context("there is no such file: the number stands in its message")?;
        if self.files.transfers.len() >= TRANSFERS_MAX {
            bail!("{TRANSFERS_MAX} files are on their way already");
        }
        let (upload, name) = (shown.upload, safe_name(&shown.name));
        let path = match path.map(|path| self.files.places.path(path)) {
            Some(path) if path.is_dir() => path.join(&name),
            Some(path) => path,
            None => self.files.places.downloads.join(&name),
        };
        let what = What::Down(path.clone());
        if self.files.runs(&what) {
            bail!("{} is being fetched already", clean_line(&path.display().to_string()));
        }
        let download = self.client.media().download(upload, Variant::File, path);
        let progress = download.progress();
        let said = format!("fetching {}", clean_line(&name));
        self.files.begin(what, clean_line(&name), progress, async move {
            match download.done().await {
                Ok(path) => Outcome::Fetched(path),
                Err(error) => Outcome::NotFetched(error),
            }
        });
        Ok(said)
    }

    /// Stops everything on its way; what was being sent is not sent.
    pub(super) async fn stop_files(&mut self) -> anyhow::Result<usize> {
        let stopped = self.files.transfers.len();
        self.files.transfers.clear();
        let media = self.client.media();
        for unfinished in media.unfinished().await? {
            media.give_up(&unfinished).await?;
        }
        Ok(stopped)
    }

    /// Takes the end of a transfer.
    pub(in crate::chat) async fn ended(&mut self, ended: Ended) -> News {
        self.files.transfers.retain(|transfer| transfer.what != ended.what);
        match ended.outcome {
            Outcome::Uploaded(unfinished, info) => self.uploaded(&unfinished, &info).await,
            Outcome::NotUploaded(unfinished, error) => {
                let name = shown_name(&unfinished);
                if !error.is_final() {
                    return News::Failed(format!("{name} is sent later: {}", why(error)));
                }
                let media = self.client.media();
                if let Err(error) = media.give_up(&unfinished).await {
                    return News::Failed(format!("{name}: {error}"));
                }
                News::Failed(format!("{name}: {}", why(error)))
            }
            Outcome::Fetched(path) => News::Saved(path),
            Outcome::NotFetched(error) => News::Failed(why(error)),
        }
    }

    async fn uploaded(&mut self, unfinished: &Unfinished, info: &MediaInfo) -> News {
        let Some(draft) = &unfinished.message else { return News::Nothing };
        match self.client.send_file(unfinished, info).await {
            Ok(Some(id)) => {
                let name = shown_name(unfinished);
                let text = [format!("[{name}]"), draft.text.clone()].join(" ").trim().to_owned();
                let conversation: ConversationId = draft.conversation;
                self.pending.push(Pending { conversation, id, text, stored: false });
                News::Nothing
            }
            Ok(None) => News::Nothing,
            Err(error) => News::Failed(error.to_string()),
        }
    }
}

/// Has a file of a message say what the server found.
fn correct(file: &mut Map<String, Value>, info: &MediaInfo) {
    file.insert("type".to_owned(), info.media_type.clone().into());
    file.insert("size".to_owned(), info.size.into());
}

/// A moment for what a message is to say of a picture: how large it is.
async fn measured(media: &Media, info: MediaInfo) -> MediaInfo {
    if !info.media_type.starts_with("image/") {
        return info;
    }
    media.ready(info, MEASURES_WITHIN).await
}

fn shown_name(unfinished: &Unfinished) -> String {
    let name = unfinished.file.name.as_deref().unwrap_or("a file");
    fit(&clean_line(name), NAME_COLUMNS)
}

fn why(error: MediaError) -> String {
    match error {
        MediaError::Http(error) => failure(error).to_string(),
        MediaError::Read(error) | MediaError::Write(error) => error.to_string(),
        error => error.to_string(),
    }
}

fn upload_of(file: &Map<String, Value>) -> Option<UploadId> {
    text(file, "id").parse().ok()
}

fn text<'a>(file: &'a Map<String, Value>, field: &str) -> &'a str {
    file.get(field).and_then(Value::as_str).unwrap_or_default()
}

/// What a file of a message is: made of what its sender said, so harmless for a terminal.
pub(super) fn describe(file: &Map<String, Value>) -> String {
    let kind = match text(file, "type").split('/').next().unwrap_or_default() {
        "image" => "picture",
        "video" => "video",
        "audio" => "sound",
        _ => "file",
    };
    let mut words = vec![kind.to_owned()];
    let name = fit(&clean_line(text(file, "name")), NAME_COLUMNS);
    words.extend((!name.is_empty()).then_some(name));
    words.extend(file.get("size").and_then(Value::as_u64).map(size));
    words.join(" ")
}

/// Bytes as people say them.
#[expect(clippy::cast_precision_loss, reason = "it is rounded to one digit anyway")]
fn size(bytes: u64) -> String {
    const UNITS: [(&str, u64); 3] = [("GB", 1_000_000_000), ("MB", 1_000_000), ("kB", 1_000)];
    match UNITS.into_iter().find(|(_, unit)| bytes >= *unit) {
        Some((name, unit)) => format!("{:.1} {name}", bytes as f64 / unit as f64),
        None => format!("{bytes} B"),
    }
}

fn bar(name: &str, progress: Progress) -> String {
    let Progress { done, total } = progress;
    let of =
        |whole: u64| u128::from(done.min(total)) * u128::from(whole) / u128::from(total.max(1));
    let full = usize::try_from(of(BAR_CELLS)).unwrap_or_default();
    let empty = usize::try_from(BAR_CELLS).unwrap_or_default() - full;
    let (full, empty) = ("█".repeat(full), "░".repeat(empty));
    format!("{name} {full}{empty} {:>3} %  {} of {}", of(100), size(done), size(total))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(json: &str) -> Map<String, Value> {
        serde_json::from_str(json).expect("an object")
    }

    fn places(home: Option<&str>) -> Places {
        Places { downloads: PathBuf::new(), home: home.map(PathBuf::from) }
    }

    #[test]
    fn a_path_may_begin_with_the_home_directory() {
        let at_home = |typed| places(Some("/ana")).path(typed);
        for (typed, meant) in [
            ("~/cat.jpg", "/ana/cat.jpg"),
            ("~//cat.jpg", "/ana/cat.jpg"),
            ("~", "/ana"),
            ("~bo/cat.jpg", "~bo/cat.jpg"),
            ("a/~/cat.jpg", "a/~/cat.jpg"),
            ("/cat.jpg", "/cat.jpg"),
        ] {
            assert_eq!(at_home(typed), PathBuf::from(meant), "{typed}");
        }
        assert_eq!(places(None).path("~/cat.jpg"), PathBuf::from("~/cat.jpg"));
    }

    #[test]
    fn a_file_is_shown_as_the_server_found_it() {
        let mut cat = file(r#"{"id":"x","type":"text/plain","name":"cat.jpg","size":7,"x":1}"#);
        let info = serde_json::json!({
            "id": UploadId::from_entropy([7; 20]), "state": "ready", "type": "image/jpeg",
            "size": 1_234_567,
        });
        correct(&mut cat, &serde_json::from_value(info).expect("what is known"));
        assert_eq!(describe(&cat), "picture cat.jpg 1.2 MB");
        assert_eq!(cat["x"], 1);
    }

    #[test]
    fn a_file_is_shown_with_the_number_that_gets_it() {
        let mut files = Files::new(places(None));
        let id = UploadId::from_entropy([7; 20]);
        let cat = file(&format!(
            r#"{{"id":"{id}","type":"image/jpeg","name":"cat.jpg","size":1234567,"x":1}}"#
        ));
        assert_eq!(files.label(&cat), "[picture cat.jpg 1.2 MB]");
        files.note(&cat);
        files.note(&cat);
        assert_eq!(files.label(&cat), "[picture cat.jpg 1.2 MB, /get 1]");
        assert_eq!(files.shown.len(), 1);
    }

    #[test]
    fn what_a_stranger_says_of_a_file_harms_no_terminal() {
        let made_up =
            "{\"id\":\"..\",\"type\":7,\"name\":\"a\\u001b[2J\\u202egpj.exe\",\"size\":-1}";
        assert_eq!(describe(&file(made_up)), "file a\u{fffd}[2Jgpj.exe");
        let mut files = Files::new(places(None));
        files.note(&file(made_up));
        assert!(files.shown.is_empty());
    }

    #[test]
    fn sizes_and_bars_are_for_people() {
        assert_eq!(["0 B", "999 B"], [size(0), size(999)]);
        assert_eq!(["1.0 kB", "2.5 MB"], [size(1_000), size(2_500_000)]);
        let half = bar("cat.jpg", Progress { done: 50, total: 100 });
        assert_eq!(
            half,
            format!("cat.jpg {}{}  50 %  50 B of 100 B", "█".repeat(10), "░".repeat(10))
        );
        let unknown = bar("cat.jpg", Progress::default());
        assert!(unknown.contains("  0 %"), "{unknown}");
    }
}
