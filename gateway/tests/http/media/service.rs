//! What stands where a media service does: real HTTP, records written by the test, and a memory of
//! everything that was asked.

use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use hansard_model::media::{
    Allows, Content, Declared, Facts, Grant, Home, MediaKey, Position, Reconciled, Sha256, State,
    Upload, Variant,
};
use hansard_model::{ConversationId, LogTime, PartitionId, Seq, UploadId, UserId};
use hansard_nats::grant::{self, GRANT_HEADER};
use hansard_nats::media::{GrantSecret, MediaBucket};
use hansard_nats::{Connection, ServiceRole, deployment};
use http::{HeaderMap, Method, Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::rig::Rig;

/// How often the service says where it is.
const ANNOUNCE_EVERY: Duration = Duration::from_secs(1);

/// The records of files, and a service for their bytes.
pub(crate) struct Files {
    pub(crate) bucket: MediaBucket,
    epoch: u64,
    heard: Arc<Mutex<Vec<Heard>>>,
    /// Bodies are read only while there is a place.
    pub(crate) gate: Arc<Semaphore>,
    /// Requests of which the head has come.
    pub(crate) begun: Arc<AtomicUsize>,
    _tasks: JoinSet<()>,
}

/// A request as the service got it.
#[derive(Clone, Debug)]
pub(crate) struct Heard {
    pub(crate) method: Method,
    pub(crate) target: String,
    pub(crate) headers: HeaderMap,
    pub(crate) grant: Option<Grant>,
    /// Bytes of its body; `None`: it broke off.
    pub(crate) body: Option<usize>,
}

impl Files {
    /// Records, and a service that listens.
    pub(crate) async fn of(rig: &Rig) -> Self {
        let mut files = Self::without_service(rig).await;
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a listener");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let bucket = files.bucket.clone();
        bucket.announce_service("first", &url).await.expect("announced");
        files._tasks.spawn(async move {
            let mut beats = tokio::time::interval(ANNOUNCE_EVERY);
            loop {
                beats.tick().await;
                // The test may be over.
                let _ = bucket.announce_service("first", &url).await;
            }
        });
        let secret = files.bucket.grant_secret().await.expect("a secret");
        let (heard, gate) = (files.heard.clone(), files.gate.clone());
        let begun = files.begun.clone();
        files._tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.expect("a connection");
                let (secret, heard, gate) = (secret.clone(), heard.clone(), gate.clone());
                let begun = begun.clone();
                let service = hyper::service::service_fn(move |request| {
                    begun.fetch_add(1, Ordering::SeqCst);
                    let (secret, heard, gate) = (secret.clone(), heard.clone(), gate.clone());
                    async move {
                        let answer = hear(request, &secret, &heard, &gate).await;
                        Ok::<_, Infallible>(answer)
                    }
                });
                connections.spawn(async move {
                    let connection = http1::Builder::new();
                    // It ends when the gateway closes it.
                    let _ = connection.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        files
    }

    /// Records alone.
    pub(crate) async fn without_service(rig: &Rig) -> Self {
        let connection = Connection::connect(rig.endpoint(), ServiceRole::Operator).await;
        let connection = connection.expect("connected");
        let deployment = deployment::open(&connection).await.expect("a deployment");
        Self {
            bucket: MediaBucket::open(&connection),
            epoch: deployment.epoch,
            heard: Arc::default(),
            begun: Arc::default(),
            gate: Arc::new(Semaphore::new(Semaphore::MAX_PERMITS)),
            _tasks: JoinSet::new(),
        }
    }

    /// What was asked since this was last called.
    pub(crate) fn heard(&self) -> Vec<Heard> {
        std::mem::take(&mut self.heard.lock().expect("a lock"))
    }

    /// Writes the record of an upload.
    pub(crate) async fn write(&self, upload: &Upload) {
        self.bucket.overwrite(MediaKey::Upload(upload.id), upload).await.expect("written");
    }

    /// The record of an upload.
    pub(crate) async fn read(&self, id: UploadId) -> Upload {
        let found = self.bucket.get(MediaKey::Upload(id)).await.expect("an answer");
        found.0.expect("a record")
    }

    /// A picture that its uploader may send.
    pub(crate) async fn picture(&self, uploader: &str, of: u8) -> UploadId {
        let upload = picture(uploader, of);
        self.write(&upload).await;
        upload.id
    }

    /// A picture that messages of a conversation have.
    pub(crate) async fn sent(
        &self,
        uploader: &str,
        of: u8,
        conversation: &str,
        references: &[u64],
    ) -> UploadId {
        let home: ConversationId = conversation.parse().expect("an id");
        let references = references.iter().copied().map(Seq).collect();
        let home = Home::Conversation(home);
        let upload = Upload { home, references, ..picture(uploader, of) };
        self.write(&upload).await;
        upload.id
    }

    /// Says how far the records were compared with the log of an epoch.
    pub(crate) async fn settle(&mut self, epoch: u64, swept: bool) {
        self.epoch = epoch;
        let reconciled = Reconciled { epoch, swept };
        self.bucket.overwrite(MediaKey::Epoch, &reconciled).await.expect("written");
    }

    /// Says that the records have everything that was said so far.
    pub(crate) async fn catch_up(&self) {
        for partition in [0, 1].map(PartitionId) {
            let position = Position { seq: Seq(1_000_000), epoch: self.epoch };
            let key = MediaKey::Position(partition);
            self.bucket.overwrite(key, &position).await.expect("written");
        }
    }
}

/// The record of a picture that is ready.
pub(crate) fn picture(uploader: &str, of: u8) -> Upload {
    let content = |blob, size, media_type: &str| Content {
        blob: Sha256([blob; 32]),
        sha256: None,
        size,
        media_type: media_type.to_owned(),
        inline: true,
        width: Some(4),
        height: Some(3),
    };
    Upload {
        id: UploadId::from_entropy([of; 20]),
        uploader: uploader.parse().expect("a user"),
        length: 9,
        declared: Declared { name: Some("cat.jpg".to_owned()), ..Declared::default() },
        state: State::Ready,
        created: LogTime::default(),
        keep_until: LogTime::default(),
        generation: 1,
        parts: Vec::new(),
        sha256: Some(Sha256([1; 32])),
        original: None,
        contents: [
            (Variant::File, content(1, 9, "image/jpeg")),
            (Variant::Thumb, content(2, 5, "image/webp")),
        ]
        .into(),
        facts: Facts::default(),
        home: Home::Uploader,
        claimed: None,
        references: [].into(),
        edits: [].into(),
        attempts: 1,
        faults: 0,
        missing: 0,
        withheld: false,
    }
}

/// What a grant lets somebody do.
pub(crate) fn granted(heard: &Heard) -> (UserId, Allows) {
    let grant = heard.grant.as_ref().expect("a grant");
    (grant.user, grant.allows)
}

async fn hear(
    request: Request<Incoming>,
    secret: &GrantSecret,
    heard: &Mutex<Vec<Heard>>,
    gate: &Semaphore,
) -> Response<Full<Bytes>> {
    let (parts, body) = request.into_parts();
    let grant = parts.headers.get(GRANT_HEADER).map(|grant| {
        let text = grant.to_str().expect("text");
        grant::open(secret, text, LogTime::default()).expect("a grant of this deployment")
    });
    let place = gate.acquire().await.expect("a gate");
    let body = body.collect().await.ok().map(|body| body.to_bytes().len());
    drop(place);
    let target = parts.uri.path_and_query().expect("a path").to_string();
    let answer = answer(&parts.method, grant.as_ref(), &parts.headers, body.unwrap_or_default());
    let (method, headers) = (parts.method, parts.headers);
    heard.lock().expect("a lock").push(Heard { method, target, headers, grant, body });
    answer
}

fn answer(
    method: &Method,
    grant: Option<&Grant>,
    headers: &HeaderMap,
    received: usize,
) -> Response<Full<Bytes>> {
    let response = Response::builder().header("tus-resumable", "1.0.0");
    let empty = Full::new(Bytes::new());
    let answer = match (method.as_str(), grant.map(|grant| grant.allows)) {
        ("OPTIONS", None) => response.status(204).header("tus-version", "1.0.0").body(empty),
        ("POST", Some(Allows::Upload)) => {
            let location = format!("/v1/media/{}", UploadId::from_entropy([9; 20]));
            let response = response.header("location", location).header("set-cookie", "a=b");
            response.status(201).body(empty)
        }
        ("PATCH", Some(Allows::Upload)) => {
            response.status(204).header("upload-offset", received).body(empty)
        }
        ("HEAD", Some(Allows::Upload)) => {
            response.status(200).header("upload-offset", 5).body(empty)
        }
        ("DELETE", Some(Allows::Upload)) => response.status(204).body(empty),
        ("GET" | "HEAD", Some(Allows::Read(_, variant))) => {
            let response = response.header("etag", "\"e\"").header("content-type", "text/plain");
            let status = if headers.contains_key("range") { 206 } else { 200 };
            response.status(status).body(Full::new(Bytes::from(format!("{variant:?}"))))
        }
        (method, allowed) => panic!("{method} with {allowed:?}"),
    };
    answer.expect("a response")
}
