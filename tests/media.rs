//! Files, from outside: the real binary, the SDK, the terminal, and a client that others wrote.
//!
//! `wire` speaks HTTP with bytes and headers; `gate` stands before a gateway and lets so many bytes
//! through; `terminal` is `hansard chat`.

mod arrival;
mod bench;
mod gate;
mod hostile;
mod kills;
mod s3;
mod terminal;
mod tus;
mod wire;

#[path = "../media/processing/tests/processing/files.rs"]
#[expect(dead_code, reason = "the processing's own tests use all of it")]
mod files;
#[path = "../media/processing/tests/processing/hostile_files.rs"]
mod hostile_files;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hansard_client::media::Unfinished;
use hansard_client::{Http, Media, Store};
use hansard_model::UploadId;
use hansard_model::media::Declared;
use hansard_protocol::media::{MediaInfo, MediaState};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::harness::{DataDir, Dice, Patience, Session};

/// How long the work on a file may take here, in a build that is not optimized.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// The SDK's transfers of somebody, by this address.
fn media_of(session: &Session, address: SocketAddr, store: Store) -> Media {
    let http = Http::new(address.to_string().parse().unwrap());
    http.set_token(Some(session.token.clone()));
    Media::new(http, store)
}

/// The same, where nothing is kept.
fn media_at(session: &Session, address: SocketAddr) -> Media {
    media_of(session, address, Store::none())
}

/// A file of noise, which nobody has stored before.
fn noise(dice: &mut Dice, bytes: usize) -> Vec<u8> {
    let mut noise: Vec<u8> = Vec::with_capacity(bytes + 8);
    while noise.len() < bytes {
        noise.extend_from_slice(&dice.below(u64::MAX).to_le_bytes());
    }
    noise.truncate(bytes);
    noise
}

fn write(directory: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = directory.join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

/// Prepares the upload of a file.
async fn prepared(media: &Media, path: &Path) -> Unfinished {
    let name = path.file_name().map(|name| name.to_str().unwrap().to_owned());
    media.prepare(path, Declared { name, ..Declared::default() }, None).await.unwrap()
}

/// Waits until a file is ready.
async fn ready(media: &Media, upload: UploadId) -> MediaInfo {
    let patience = Patience::of(READY_WITHIN);
    loop {
        match media.info(upload).await {
            Ok(info) if info.state == MediaState::Ready => return info,
            Ok(_) => {}
            Err(error) => println!("{upload} is not there: {error}"),
        }
        patience.look_again("a file that is ready").await;
    }
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A message with a file.
fn with_file(text: &str, info: &MediaInfo) -> Value {
    let media = json!({"id": info.id, "type": info.media_type, "size": info.size});
    json!({"kind": "message", "text": text, "media": [media]})
}

/// Objects of files that a deployment has in its directory, by their names.
fn stored(data: &DataDir) -> Vec<String> {
    let mut names = Vec::new();
    let mut folders = vec![data.objects().join("media")];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(folder) else { continue };
        for entry in entries.flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => folders.push(entry.path()),
                _ => names.push(entry.path().display().to_string()),
            }
        }
    }
    names
}
