//! Files that hurt, under names that hurt, through the real service.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hansard_protocol::media::{MediaInfo, MediaState};
use serde_json::Value;

use super::hostile_files::{SHOWN, hostile};
use super::wire::{Answer, ask};
use super::{media_at, ready};
use crate::harness::{Serve, Session, couple};

/// What it is that may be shown in a browser.
const SHOWN_INLINE: [&str; 6] =
    ["image/jpeg", "image/png", "image/gif", "image/webp", "video/mp4", "application/ogg"];
/// Names that nobody would give a file in good faith.
const NAMES: [&str; 9] = [
    "../../etc/passwd",
    "..\\..\\boot.ini",
    "a\r\nSet-Cookie: session=1",
    "cat\u{202e}gpj.exe",
    "\"; filename=\"other.html",
    "nul\0byte.jpg",
    "名前🐈.jpg",
    "",
    ".htaccess",
];

/// Uploads by tus, with a name; the id, or the refusal.
async fn upload(session: &Session, name: &str, bytes: &[u8]) -> Result<String, Answer> {
    let metadata =
        format!("filename {},filetype {}", STANDARD.encode(name), STANDARD.encode("image/png"));
    let length = bytes.len().to_string();
    let tus = ("Tus-Resumable", "1.0.0");
    let create = [tus, ("Upload-Length", length.as_str()), ("Upload-Metadata", &metadata)];
    let created = ask(session, "POST", "/v1/media", &create, &[]).await;
    if created.status != 201 {
        return Err(created);
    }
    let path = created.header("location").to_owned();
    if !bytes.is_empty() {
        let append =
            [tus, ("Upload-Offset", "0"), ("Content-Type", "application/offset+octet-stream")];
        let appended = ask(session, "PATCH", &path, &append, bytes).await;
        if appended.status != 204 {
            return Err(appended);
        }
    }
    Ok(path.rsplit('/').next().unwrap().to_owned())
}

/// That whatever comes back cannot do harm in a browser.
fn assert_safe(name: &str, answer: &Answer) {
    assert_eq!(answer.header("x-content-type-options"), "nosniff", "{name}");
    assert_eq!(answer.header("content-security-policy"), "default-src 'none'; sandbox", "{name}");
    assert_eq!(answer.header("cross-origin-resource-policy"), "same-origin", "{name}");
    assert_eq!(answer.header("set-cookie"), "", "{name}");
    let (disposition, media_type) =
        (answer.header("content-disposition"), answer.header("content-type"));
    assert!(!disposition.contains("..") && !disposition.contains('/'), "{name}: {disposition}");
    let inline = disposition.starts_with("inline");
    let is_shown = SHOWN_INLINE.contains(&media_type)
        || media_type.starts_with("audio/")
        || media_type.starts_with("video/");
    assert!(disposition.starts_with("attachment") || inline, "{name}: {disposition}");
    assert!(!inline || is_shown, "{name}: {media_type} is shown");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_hostile_file_ends_in_a_refusal_or_in_a_harmless_download() {
    // As many as there are, one after the other, by one person.
    let serve = Serve::start().await;
    let (ana, _, _) = couple(serve.address).await;
    let media = media_at(&ana, serve.address);
    let files = hostile();
    assert!(files.len() >= 30, "only {}", files.len());
    let mut wrong = Vec::new();
    for (number, (what, bytes, expected)) in files.iter().enumerate() {
        let name = NAMES[number % NAMES.len()];
        let id = match upload(&ana, name, bytes).await {
            Ok(id) => id,
            Err(refusal) => {
                if !(bytes.is_empty() && refusal.code() == "empty") {
                    wrong.push(format!("{what}: {} {}", refusal.status, refusal.code()));
                }
                continue;
            }
        };
        let info: MediaInfo = ready(&media, id.parse().unwrap()).await;
        assert_eq!(info.state, MediaState::Ready);
        let ended = info.reason.as_deref().unwrap_or(SHOWN);
        // Where the programs are installed they find the same that nobody could look for.
        let is_right = ended == *expected || (*expected == "not_installed" && ended != SHOWN);
        if !is_right {
            wrong.push(format!("{what}: {ended:?}, not {expected:?}"));
        }
        assert!(
            !info
                .name
                .as_deref()
                .unwrap_or_default()
                .contains(['/', '\\', '\r', '\n', '\0', '\u{202e}'])
        );
        let path = format!("/v1/media/{id}");
        let file = ask(&ana, "GET", &path, &[], &[]).await;
        assert_eq!((file.status, file.body.len() as u64), (200, info.size), "{what}");
        assert_safe(what, &file);
        if !info.stripped {
            assert!(file.body == *bytes, "{what} came back as something else");
        }
        for variant in ["thumb", "preview"] {
            let picture = ask(&ana, "GET", &format!("{path}?variant={variant}"), &[], &[]).await;
            if expected == &SHOWN && info.waveform.is_none() {
                assert_eq!(picture.status, 200, "{what}: no {variant}");
                assert_safe(what, &picture);
                image::load_from_memory(&picture.body).unwrap();
            } else if ended != SHOWN {
                assert_eq!((picture.status, picture.code().as_str()), (404, "not_found"), "{what}");
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_encrypted_file_is_not_looked_at() {
    let serve = Serve::start().await;
    let (ana, _, _) = couple(serve.address).await;
    let media = media_at(&ana, serve.address);
    let picture = super::files::png(30, 20);
    let file = hansard_model::media::Declared { opaque: true, ..Default::default() };
    let info = media.upload(bytes::Bytes::from(picture.clone()), file).done().await.unwrap();
    let info = ready(&media, info.id).await;
    assert_eq!(info.media_type, "application/octet-stream");
    assert!(info.variants.is_empty() && info.width.is_none() && info.placeholder.is_none());
    let answer = ask(&ana, "GET", &format!("/v1/media/{}", info.id), &[], &[]).await;
    assert_eq!(answer.body, picture);
    assert_eq!(answer.header("content-type"), "application/octet-stream");
    assert!(answer.header("content-disposition").starts_with("attachment"));
    let _: Value = serde_json::to_value(&info).unwrap();
}
