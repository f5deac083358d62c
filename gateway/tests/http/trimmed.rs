//! What a gateway does when the streams have lost their oldest events. The owners are stand-ins
//! that know what was there, as a projector knows it from the archive.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use hansard_model::query::{
    FeedReply, GroupReply, GroupRequest, LookupReply, LookupRequest, QueryError, RecordRequest,
    StoredRecord,
};
use hansard_model::record::EventKey;
use hansard_model::subject::QueryVerb;
use hansard_model::{Envelope, Group, PartitionId, Record, Seq};
use hansard_nats::query::{Question, serve};
use hansard_nats::streams::StreamName;
use hansard_nats::{Connection, Log, LogClock, ServiceRole, deployment};
use serde_json::{Value, json};

use crate::client::Client;
use crate::rig::{Rig, minted_ago, new_id};

/// Everything that a partition held when its stream was trimmed.
struct Owner {
    records: BTreeMap<Seq, Record<Bytes>>,
    as_of: Seq,
}

impl Owner {
    async fn of(log: &Log, partition: PartitionId) -> Self {
        let as_of = log.last_seq(partition).await.expect("a leader");
        let mut records = BTreeMap::new();
        for seq in (1..=as_of.0).map(Seq) {
            if let Some(record) = log.read(partition, seq).await.expect("a leader") {
                records.insert(seq, record);
            }
        }
        Self { records, as_of }
    }

    async fn answer(self: Arc<Self>, connection: Connection, partition: PartitionId) {
        let mut questions = serve(&connection, partition).await.expect("a subscription");
        while let Some(question) = questions.next().await {
            match question.verb {
                QueryVerb::Feed => {
                    let reply = FeedReply { items: Vec::new(), as_of: self.as_of, more: false };
                    question.respond(&Ok(reply)).await;
                }
                QueryVerb::Lookup => question.respond(&Ok(self.lookup(&question))).await,
                QueryVerb::Group => question.respond(&Ok(self.group(&question))).await,
                QueryVerb::Record => {
                    let RecordRequest { seq } = question.read().expect("a request");
                    let found = self.records.get(&seq).map(StoredRecord::of);
                    question.respond(&Ok(found)).await;
                }
                _ => question.respond::<()>(&Err(QueryError::BadRequest)).await,
            }
        }
    }

    fn lookup(&self, question: &Question) -> LookupReply {
        let LookupRequest { conversation, sender, id } = question.read().expect("a request");
        let key = Some(EventKey { conversation, sender, id });
        let found = self.records.values().find(|record| record.key == key && !record.is_void());
        LookupReply { seq: found.map(|record| record.seq), void: Vec::new(), as_of: self.as_of }
    }

    fn group(&self, question: &Question) -> GroupReply {
        let GroupRequest { conversation, min_seq } = question.read().expect("a request");
        assert!(min_seq <= Some(self.as_of), "{min_seq:?}");
        let mut group = Group::default();
        let of = self.records.values().filter(|record| record.conversation == conversation);
        for record in of.filter(|record| !record.is_void()) {
            let envelope = Envelope::decode(&record.payload).expect("readable");
            group.apply(record.seq, envelope.sender, &envelope.event);
        }
        GroupReply { group, as_of: self.as_of }
    }
}

/// Ends the projector, trims every stream to nothing and answers in its place.
async fn trim_everything(rig: &Rig) {
    let operator =
        Connection::connect(rig.endpoint(), ServiceRole::Operator).await.expect("connected");
    let deployment = deployment::open(&operator).await.expect("a deployment");
    let log = Log::open(&operator, &deployment, LogClock::new());
    rig.end_projector().await;
    for partition in deployment.partitions.partitions() {
        let owner = Arc::new(Owner::of(&log, partition).await);
        let stream = StreamName::Events(partition);
        log.trim(stream, owner.as_of).await.expect("trimmed");
        let extent = log.extent(stream).await.expect("a leader");
        assert_eq!(extent.first, owner.as_of.next());
        let connection = Connection::connect(rig.endpoint(), ServiceRole::Projector);
        let connection = connection.await.expect("connected");
        tokio::spawn(owner.answer(connection, partition));
    }
}

async fn send(client: &Client, conversation: &str, event: &Value) -> crate::client::Answer {
    let path = format!("/v1/conversations/{conversation}/messages");
    client.post(&path, &json!({"id": new_id(), "event": event})).await
}

fn member(op: &str, user: &str) -> Value {
    json!({"kind": "member", "op": op, "user": user})
}

#[tokio::test]
async fn groups_go_on_when_their_beginning_has_left_the_stream() {
    let mut rig = Rig::start().await;
    let (ana, ben, cleo) =
        (rig.person("ana").await, rig.person("ben").await, rig.person("cleo").await);
    let group = ana.found("tea", &[&ben]).await;
    let request = json!({"id": new_id(), "kind": "group", "title": "milk", "members": []});
    ana.client.post("/v1/conversations", &request).await.expecting(201);
    trim_everything(&rig).await;
    let elsewhere = rig.add_gateway(|_| {}).await;
    let text = json!({"kind": "message", "text": "hi"});

    // One gateway has the fold in memory, the other has nothing.
    for (round, first, second) in [(0, &ana.client, &elsewhere), (1, &elsewhere, &ana.client)] {
        let of = |client: &Client, person: &crate::rig::Person| {
            client.with_token(person.client.token.as_deref().expect("a token"))
        };
        send(&of(second, &ben), &group, &text).await.expecting(201);
        send(&of(second, &cleo), &group, &text).await.refused(403, "not_a_member");
        send(&of(first, &ana), &group, &member("add", &cleo.user)).await.expecting(201);
        send(&of(second, &cleo), &group, &text).await.expecting(201);
        let title = json!({"kind": "title", "title": format!("tea {round}")});
        send(&of(second, &ana), &group, &title).await.expecting(201);
        send(&of(first, &ana), &group, &member("remove", &cleo.user)).await.expecting(201);
        send(&of(second, &cleo), &group, &text).await.refused(403, "not_a_member");
    }
    let nowhere = format!("g.{}", "a".repeat(20));
    send(&ana.client, &nowhere, &text).await.refused(403, "not_a_member");
    rig.stop().await;
}

#[tokio::test]
async fn messages_that_have_left_the_stream_are_targets_and_are_stored_once() {
    let mut rig = Rig::start().await;
    let (ana, ben) = (rig.person("ana").await, rig.person("ben").await);
    let talk = ana.with(&ben);
    let path = format!("/v1/conversations/{talk}/messages");
    let event = json!({"kind": "message", "text": "hi"});
    let young = json!({"id": new_id(), "event": event});
    // Of ten minutes ago: the stream would not know it again, the index does.
    let old = json!({"id": minted_ago(std::time::Duration::from_secs(600)), "event": event});
    let mut stored = Vec::new();
    for message in [&young, &old] {
        stored.push(ana.client.post(&path, message).await.expecting(201)["seq"].clone());
    }
    trim_everything(&rig).await;
    let elsewhere = rig.add_gateway(|_| {}).await;
    let of = |person: &crate::rig::Person| {
        elsewhere.with_token(person.client.token.as_deref().expect("a token"))
    };
    for (message, seq) in [&young, &old].into_iter().zip(&stored) {
        let again = of(&ana).post(&path, message).await.expecting(201);
        assert_eq!(again, json!({"seq": seq, "duplicate": true}));
        let other = json!({"id": message["id"], "event": {"kind": "message", "text": "ho"}});
        of(&ana).post(&path, &other).await.refused(409, "id_reused");
        let edit = json!({"kind": "edit", "target": seq, "text": "ho"});
        send(&of(&ben), &talk, &edit).await.refused(403, "forbidden");
        send(&of(&ana), &talk, &edit).await.expecting(201);
        let reply = json!({"kind": "message", "text": "yes", "reply_to": seq});
        send(&of(&ben), &talk, &reply).await.expecting(201);
    }
    let nothing = json!({"kind": "delete", "target": 999_999});
    send(&of(&ana), &talk, &nothing).await.refused(404, "not_found");
    rig.stop().await;
}
