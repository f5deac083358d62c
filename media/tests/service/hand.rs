//! What a gateway does about files when messages are sent: claims, and events of the log.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use hansard_model::account::AccountEvent;
use hansard_model::draft::Draft;
use hansard_model::media::{Home, MediaKey, Position, Upload};
use hansard_model::record::EventKey;
use hansard_model::subject::Subject;
use hansard_model::{
    ConversationId, DeviceId, GroupId, LogTime, MessageId, Seq, UploadId, envelope,
};
use hansard_nats::accounts::AccountLog;
use hansard_nats::log::Append;
use hansard_nats::media::{Change, MediaBucket};
use hansard_nats::{Log, LogClock, deployment};
use serde_json::{Value, json};

use crate::rig::{Rig, user, within};

/// Somebody who writes to the log.
pub(crate) struct Hand {
    log: Log,
    accounts: AccountLog,
    bucket: MediaBucket,
    clock: LogClock,
}

/// Of all hands: the log knows what it has stored by its id.
static MINTED: AtomicU64 = AtomicU64::new(1);

pub(crate) fn group(number: u8) -> ConversationId {
    ConversationId::Group(GroupId::from_entropy([number; 20]))
}

/// Entries of a message.
pub(crate) fn entries(uploads: &[UploadId]) -> Value {
    uploads.iter().map(|upload| json!({"id": upload})).collect()
}

impl Hand {
    pub(crate) async fn of(rig: &Rig) -> Self {
        let deployment = deployment::open(&rig.operator).await.expect("a deployment");
        let log = Log::open(&rig.operator, &deployment, rig.clock.clone());
        let accounts = AccountLog::open(&rig.operator);
        let (bucket, clock) = (rig.bucket.clone(), rig.clock.clone());
        Self { log, accounts, bucket, clock }
    }

    /// Has an account name an avatar, or none. The record of the file stays as it is.
    pub(crate) async fn name_avatar(&self, number: u8, avatar: Option<UploadId>) {
        let event = AccountEvent::ProfileChanged {
            name: None,
            avatar: Some(avatar.map(|avatar| avatar.to_string()).unwrap_or_default()),
            presence: None,
            last_seen: None,
            read_receipts: None,
        };
        let subject = Subject::AccountUser(user(number));
        self.accounts.append(&subject, &event, None).await.expect("stored");
    }

    /// Claims an upload as a gateway does before it lets a message in; `false`: it may not be sent.
    pub(crate) async fn claim(&self, sender: u8, at: ConversationId, upload: UploadId) -> bool {
        let now = self.clock.now().expect("log time");
        let claim = |found: Option<&Upload>| match found {
            Some(found) if found.sendable(user(sender), at, now).is_some() => {
                let home = Home::Conversation(at);
                (Change::Put(Upload { home, claimed: Some(now), ..found.clone() }), true)
            }
            Some(_) | None => (Change::Keep, false),
        };
        self.bucket.update(MediaKey::Upload(upload), claim).await.expect("an answer").1
    }

    /// Claims and sends files in a message; `None`: one of them may not be sent.
    pub(crate) async fn send(
        &self,
        sender: u8,
        at: ConversationId,
        uploads: &[UploadId],
    ) -> Option<Seq> {
        for &upload in uploads {
            if !self.claim(sender, at, upload).await {
                return None;
            }
        }
        let event = json!({"kind": "message", "text": "", "media": entries(uploads)});
        Some(self.say(sender, at, event).await)
    }

    /// Claims files and edits a message to have them.
    pub(crate) async fn edit(
        &self,
        sender: u8,
        at: ConversationId,
        target: Seq,
        uploads: &[UploadId],
    ) -> Option<Seq> {
        for &upload in uploads {
            if !self.claim(sender, at, upload).await {
                return None;
            }
        }
        let event =
            json!({"kind": "edit", "target": target, "text": "x", "media": entries(uploads)});
        Some(self.say(sender, at, event).await)
    }

    pub(crate) async fn delete(&self, sender: u8, at: ConversationId, target: Seq) -> Seq {
        self.say(sender, at, json!({"kind": "delete", "target": target})).await
    }

    /// Stores an event, whatever it says.
    pub(crate) async fn say(&self, sender: u8, at: ConversationId, event: Value) -> Seq {
        let draft = Draft::parse(&event.to_string()).expect("an event");
        let device = DeviceId::from_entropy([sender; 20]);
        let id = MessageId::new(MINTED.fetch_add(1, Relaxed), [sender; 10]);
        let payload = envelope::encode(id, user(sender), device, &draft);
        let append = Append {
            key: EventKey { conversation: at, sender: user(sender), id },
            void: Vec::new(),
            class: draft.event().class(),
            kind: "test",
            vouch_until: LogTime::from_nanos(u64::MAX),
            expected: None,
            payload: payload.into(),
        };
        // The same id: stored once, however often it is tried.
        within("an acknowledgement", async || {
            let pending = self.log.append(append.clone()).await.ok()?;
            pending.await.ok().map(|stored| stored.seq)
        })
        .await
    }

    /// Waits until what messages refer to is known up to here.
    pub(crate) async fn read(&self, at: ConversationId, seq: Seq) {
        let key = MediaKey::Position(self.log.partition_of(at));
        within("the log to be read", async || {
            let (found, _) = self.bucket.get::<Position>(key).await.ok()?;
            (found?.seq >= seq).then_some(())
        })
        .await;
    }
}
