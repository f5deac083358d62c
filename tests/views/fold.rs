//! What every view must say, worked out from the log by the test: an implementation of its own,
//! of the contract in `docs/protocol.md`, for members who were there from the beginning.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::pages::assert_pages;
use crate::harness::{DataDir, Replayed, Roles, Session, eventually, seq_of};

/// A conversation as one member must see it.
pub(crate) struct Expected {
    /// What `/events` lists.
    pub(crate) events: Vec<Value>,
    /// What `/messages` lists.
    pub(crate) messages: Vec<Value>,
    /// Fields of the inbox entry.
    pub(crate) entry: Value,
}

/// A message and what became of it.
#[derive(Default)]
struct Message {
    edits: Vec<usize>,
    deleted: Option<Value>,
    /// By emoji, in the order of the first: who.
    reactions: Vec<(String, Vec<String>)>,
    pinned: bool,
    replies: Vec<u64>,
}

struct Fold<'a> {
    reader: &'a str,
    frames: Vec<Value>,
    /// By seq.
    messages: BTreeMap<u64, Message>,
    /// Of `frames`, those that `/messages` lists.
    listed: Vec<usize>,
    members: Vec<String>,
    title: Option<String>,
    read: u64,
    read_n: u64,
}

/// Folds the records of a conversation, void ones included, as `reader` must see it.
pub(crate) fn expected(conversation: &str, records: &[Replayed], reader: &str) -> Expected {
    let mut fold = Fold {
        reader,
        frames: Vec::new(),
        messages: BTreeMap::new(),
        listed: Vec::new(),
        members: conversation.split('.').filter(|part| *part != "g").map(str::to_owned).collect(),
        title: None,
        read: 0,
        read_n: 0,
    };
    if conversation.starts_with("g.") {
        fold.members.clear();
    }
    fold.members.dedup();
    let (mut prev, mut n) = (0, 0);
    for record in records.iter().filter(|record| !record.void) {
        n += u64::from(record.body["event"]["kind"] == "message");
        fold.frames.push(json!({
            "type": "event",
            "conversation": conversation,
            "seq": record.seq,
            "prev": prev,
            "n": n,
            "ts": record.ts,
            "body": record.body,
        }));
        fold.apply(fold.frames.len() - 1, n);
        prev = record.seq;
    }
    fold.finish(n)
}

impl Fold<'_> {
    fn apply(&mut self, index: usize, n: u64) {
        let frame = self.frames[index].clone();
        let (seq, event) = (seq_of(&frame), &frame["body"]["event"]);
        let sender = frame["body"]["sender"].as_str().unwrap_or_default().to_owned();
        let kind = event["kind"].as_str().unwrap_or_default();
        match kind {
            "message" => {
                self.listed.push(index);
                self.messages.insert(seq, Message::default());
                let root = event["thread"].as_u64();
                if let Some(root) = root.and_then(|root| self.messages.get_mut(&root)) {
                    root.replies.push(seq);
                }
                if sender == self.reader {
                    (self.read, self.read_n) = (seq, n);
                }
            }
            "create" => {
                self.listed.push(index);
                self.title = event["title"].as_str().map(str::to_owned);
                let members = event["members"].as_array().into_iter().flatten();
                self.members = members.map(|user| user.as_str().unwrap().to_owned()).collect();
                self.join(sender, seq, n);
                if self.members.iter().any(|user| user == self.reader) {
                    (self.read, self.read_n) = (seq, n);
                }
            }
            "title" => {
                self.listed.push(index);
                self.title = event["title"].as_str().map(str::to_owned);
            }
            "member" => {
                self.listed.push(index);
                let user = event["user"].as_str().unwrap().to_owned();
                match event["op"].as_str().unwrap() {
                    "add" => self.join(user, seq, n),
                    "role" => {}
                    _ => self.members.retain(|member| *member != user),
                }
            }
            "edit" | "delete" | "reaction" | "pin" => self.refer(index, kind, &sender),
            other => panic!("the fold of the test does not know {other}"),
        }
    }

    fn join(&mut self, user: String, seq: u64, n: u64) {
        if user == self.reader {
            (self.read, self.read_n) = (seq, n);
        }
        if !self.members.contains(&user) {
            self.members.push(user);
        }
    }

    fn refer(&mut self, index: usize, kind: &str, sender: &str) {
        let frame = self.frames[index].clone();
        let event = &frame["body"]["event"];
        let target = event["target"].as_u64().unwrap();
        let Some(message) = self.messages.get_mut(&target) else { return };
        if message.deleted.is_some() {
            if kind == "edit" {
                self.frames[index]["body"]["event"] =
                    json!({"kind": "edit", "target": target, "deleted": true});
            }
            return;
        }
        match kind {
            "edit" => message.edits.push(index),
            "delete" => {
                let seq = seq_of(&frame);
                let deleted = json!({"seq": seq, "ts": frame["ts"], "by": sender});
                let edits = std::mem::take(&mut message.edits);
                *message = Message {
                    deleted: Some(deleted),
                    replies: std::mem::take(&mut message.replies),
                    ..Message::default()
                };
                for edit in edits {
                    self.frames[edit]["body"]["event"] =
                        json!({"kind": "edit", "target": target, "deleted": true});
                }
                let gone = self.frames.iter_mut().find(|frame| seq_of(frame) == target).unwrap();
                gone["body"]["event"] = json!({"kind": "message", "deleted": true});
            }
            "reaction" => {
                let emoji = event["emoji"].as_str().unwrap();
                let add = event["op"] == "add";
                let known = message.reactions.iter_mut().find(|(of, _)| of == emoji);
                match known {
                    Some((_, by)) if add && !by.iter().any(|user| user == sender) => {
                        by.push(sender.to_owned());
                    }
                    Some((_, by)) if !add => by.retain(|user| user != sender),
                    None if add => {
                        message.reactions.push((emoji.to_owned(), vec![sender.to_owned()]));
                    }
                    Some(_) | None => {}
                }
                message.reactions.retain(|(_, by)| !by.is_empty());
            }
            _ => message.pinned = event["op"] == "add",
        }
    }

    /// A listed frame with what the later ones made of it.
    fn folded(&self, index: usize) -> Value {
        let mut item = self.frames[index].clone();
        let Some(message) = self.messages.get(&seq_of(&item)) else { return item };
        let mut state = Map::new();
        if let Some(edit) = message.edits.last() {
            let edit = &self.frames[*edit];
            for name in ["text", "mentions", "media"] {
                let content = &edit["body"]["event"][name];
                let event = item["body"]["event"].as_object_mut().unwrap();
                event.remove(name);
                if !content.is_null() {
                    event.insert(name.to_owned(), content.clone());
                }
            }
            state.insert("edited".to_owned(), json!({"seq": edit["seq"], "ts": edit["ts"]}));
        }
        if let Some(deleted) = &message.deleted {
            state.insert("deleted".to_owned(), deleted.clone());
        }
        let reactions = message.reactions.iter().map(|(emoji, by)| {
            let me = by.iter().any(|user| user == self.reader);
            json!({"emoji": emoji, "count": by.len(), "me": me})
        });
        let reactions: Vec<Value> = reactions.collect();
        if !reactions.is_empty() {
            state.insert("reactions".to_owned(), reactions.into());
        }
        if let Some(last) = message.replies.last() {
            let thread = json!({"count": message.replies.len(), "last": last});
            state.insert("thread".to_owned(), thread);
        }
        if message.pinned {
            state.insert("pinned".to_owned(), json!(true));
        }
        if !state.is_empty() {
            item["state"] = Value::Object(state);
        }
        item
    }

    fn mentions_reader(&self, item: &Value) -> bool {
        let event = &item["body"]["event"];
        let mut mentions = event["mentions"].as_array().into_iter().flatten();
        item["body"]["sender"] != self.reader
            && mentions.any(|user| user == self.reader || user == "all")
    }

    fn finish(self, n: u64) -> Expected {
        let messages: Vec<Value> = self.listed.iter().map(|index| self.folded(*index)).collect();
        let is_message = |item: &&Value| item["body"]["event"]["kind"] == "message";
        let unread = || messages.iter().filter(is_message).filter(|item| seq_of(item) > self.read);
        let last =
            messages.iter().rfind(is_message).map_or(Value::Null, |last| last["seq"].clone());
        let mentions = unread().filter(|item| self.mentions_reader(item)).count();
        let entry = json!({
            "title": self.title,
            "member_count": self.members.len(),
            "read": self.read,
            "unread": n - self.read_n,
            "mentions": mentions,
            "last": last,
        });
        Expected { events: self.frames, messages, entry }
    }
}

/// Checks every view of these conversations, as each of these members sees them, against the log.
/// Returns how many events there are.
pub(crate) async fn assert_views_equal_the_log(
    data: &DataDir,
    members: &[Session],
    conversations: &[String],
) -> usize {
    let mut count = 0;
    for conversation in conversations {
        let records = data.replay(conversation).await;
        count += records.iter().filter(|record| !record.void).count();
        let is_direct = !conversation.starts_with("g.");
        let members =
            members.iter().filter(|member| !is_direct || conversation.contains(&member.user));
        for member in members {
            let expected = expected(conversation, &records, &member.user);
            assert_same("events", &member.events(conversation).await, &expected.events);
            let listed = all_messages(member, conversation).await;
            assert_same("messages", &listed, &expected.messages);
            assert_pages(member, conversation, &expected.messages).await;
            assert_entry(member, conversation, &expected.entry).await;
        }
    }
    assert!(count > 0, "there is nothing to compare");
    count
}

fn assert_same(what: &str, found: &[Value], expected: &[Value]) {
    for (found, expected) in found.iter().zip(expected) {
        assert_eq!(found, expected, "{what}: the view, and the log");
    }
    assert_eq!(found.len(), expected.len(), "{what}: how many");
}

/// The inbox follows at its own pace; what a read says of the conversation it was asked for is
/// exact at once.
async fn assert_entry(member: &Session, conversation: &str, expected: &Value) {
    let entry = member.in_inbox(conversation).await;
    let entry = entry.unwrap_or_else(|| panic!("{conversation} is not in the inbox"));
    let found = json!({
        "title": entry["title"],
        "member_count": entry["member_count"],
        "read": entry["read"],
        "unread": entry["unread"],
        "mentions": entry["mentions"],
        "last": entry["last"]["seq"],
    });
    assert_eq!(&found, expected, "the inbox, and the log");
}

/// Every page of `/messages`, oldest first; each must meet the one before.
pub(crate) async fn all_messages(member: &Session, conversation: &str) -> Vec<Value> {
    let mut all: Vec<Value> = Vec::new();
    loop {
        let after = all.last().map_or(0, seq_of);
        let page = member.messages_page(conversation, &format!("after={after}&limit=100")).await;
        let items = page["items"].as_array().unwrap();
        all.extend(items.iter().cloned());
        if page["more_after"] != true {
            return all;
        }
        assert!(!items.is_empty(), "an empty page says that there is more");
    }
}

/// Waits until the entries of the bucket itself are written: what is left then is what a reader
/// finds there who asks nobody.
pub(crate) async fn bucket_is_written(roles: &Roles) {
    eventually("the inbox bucket", async || {
        let mut stale = 0.0;
        for projector in &roles.projectors {
            stale += projector.metric("hansard_projector_inbox_stale").await;
        }
        stale == 0.0
    })
    .await;
}
