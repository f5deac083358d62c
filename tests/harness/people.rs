//! People and their devices.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::Duration;

use serde_json::{Value, json};

use super::{Http, Patience, Socket, direct, mint, seq_of};

/// Long enough; the same for all.
const PASSWORD: &str = "correct horse battery";

/// How long an outbox goes on: a restart of everything, on a busy machine.
const OUTAGE: Duration = Duration::from_secs(60);

/// Somebody with an account.
#[derive(Clone, Debug)]
pub(crate) struct Person {
    /// The handle.
    pub(crate) handle: String,
    /// The id.
    pub(crate) user: String,
}

/// A person logged in on a device.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    /// The person's handle.
    pub(crate) handle: String,
    /// Whose.
    pub(crate) user: String,
    /// On which device.
    pub(crate) device: String,
    /// The bearer token.
    pub(crate) token: String,
    /// The gateway it logged in at, with the token.
    pub(crate) http: Http,
}

/// The last event of each conversation of which this program was told that it is stored, by any
/// gateway and any device. Reads of other devices may be a moment behind unless they carry it.
static TOLD: Mutex<BTreeMap<String, u64>> = Mutex::new(BTreeMap::new());

/// Notes an acknowledgement.
pub(super) fn told(conversation: &str, seq: u64) {
    let mut told = TOLD.lock().unwrap();
    let last = told.entry(conversation.to_owned()).or_default();
    *last = seq.max(*last);
}

/// Forgets what was acknowledged in a conversation: the log was set back.
pub(crate) fn forget_acks(conversation: &str) {
    TOLD.lock().unwrap().remove(conversation);
}

/// The parameter by which a read includes all that was acknowledged.
pub(crate) fn including_acks(conversation: &str) -> String {
    let told = TOLD.lock().unwrap();
    told.get(conversation).map_or_else(String::new, |seq| format!("min_seq={conversation}:{seq}"))
}

/// Creates an account.
pub(crate) async fn sign_up(address: SocketAddr, handle: &str) -> Person {
    let request = json!({"id": mint(), "handle": handle, "password": PASSWORD});
    let user = Http::anonymous(address).post("/v1/users", &request).await;
    Person { handle: handle.to_owned(), user: user["user"].as_str().unwrap().to_owned() }
}

/// Two people, a device each, and the id of their conversation.
pub(crate) async fn couple(address: SocketAddr) -> (Session, Session, String) {
    let (ana, ben) = tokio::join!(sign_up(address, "ana"), sign_up(address, "ben"));
    let (ana, ben) = tokio::join!(ana.log_in(address), ben.log_in(address));
    let conversation = direct(&ana.user, &ben.user);
    (ana, ben, conversation)
}

impl Person {
    /// Logs in on a new device.
    pub(crate) async fn log_in(&self, address: SocketAddr) -> Session {
        let request = json!({"handle": self.handle, "password": PASSWORD});
        let opened = Http::anonymous(address).post("/v1/sessions", &request).await;
        let field = |name: &str| opened[name].as_str().unwrap().to_owned();
        assert_eq!(field("user"), self.user);
        let token = field("token");
        let http = Http { address, token: Some(token.clone()) };
        let handle = self.handle.clone();
        Session { handle, user: field("user"), device: field("device"), token, http }
    }
}

impl Session {
    /// The same session at another gateway.
    pub(crate) fn at(&self, address: SocketAddr) -> Self {
        Self { http: Http { address, ..self.http.clone() }, ..self.clone() }
    }

    /// The same person on another device.
    pub(crate) async fn again(&self) -> Self {
        let person = Person { handle: self.handle.clone(), user: self.user.clone() };
        person.log_in(self.http.address).await
    }

    /// A socket that has nothing, once it is caught up.
    pub(crate) async fn connect(&self) -> Socket {
        self.connect_with(json!({})).await
    }

    /// A socket that goes on from a cursor, once it is caught up.
    pub(crate) async fn resume(&self, cursor: &str) -> Socket {
        self.connect_with(json!({"cursor": cursor})).await
    }

    /// A socket that goes on from a cursor, if there is one, at a gateway that may not be there;
    /// `None` when it is not, or could not catch it up.
    pub(crate) async fn try_resume(&self, cursor: Option<&str>) -> Option<Socket> {
        let mut socket = Socket::try_open(self.http.address).await?;
        socket.send(&json!({"type": "hello", "token": self.token, "cursor": cursor})).await;
        loop {
            let frame = socket.next().await.ok()?;
            if frame["type"] == "synced" {
                // Else the contract says to resume again.
                return (frame["complete"] == true).then_some(socket);
            }
        }
    }

    /// A socket whose `hello` has these fields too, once it is caught up.
    pub(crate) async fn connect_with(&self, fields: Value) -> Socket {
        let mut socket = Socket::open(self.http.address).await;
        let mut hello = json!({"type": "hello", "token": self.token});
        hello.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        socket.send(&hello).await;
        let welcome = socket.frame("a welcome", |frame| frame["type"] == "welcome").await;
        assert_eq!(welcome["user"], *self.user);
        assert_eq!(welcome["device"], *self.device);
        socket.frame("synced", |frame| frame["type"] == "synced").await;
        socket
    }

    /// Creates a group with these members besides this one; its id.
    pub(crate) async fn create_group(&self, title: &str, members: &[&str]) -> String {
        let request = json!({"id": mint(), "kind": "group", "title": title, "members": members});
        let group = self.http.post("/v1/conversations", &request).await;
        group["conversation"].as_str().unwrap().to_owned()
    }

    /// Stores an event over HTTP; its seq.
    pub(crate) async fn store(&self, conversation: &str, event: &Value) -> u64 {
        let path = format!("/v1/conversations/{conversation}/messages");
        let sent = self.http.post(&path, &json!({"id": mint(), "event": event})).await;
        told(conversation, seq_of(&sent));
        seq_of(&sent)
    }

    /// Stores an event under an id as an outbox does: again and again, at one gateway after the
    /// other, for as long as it is told to; the seq.
    pub(crate) async fn store_at_last(
        &self,
        gateways: &[SocketAddr],
        conversation: &str,
        id: &str,
        event: &Value,
    ) -> u64 {
        let stored = self.try_to_store_at_last(gateways, conversation, id, event).await;
        stored.unwrap_or_else(|code| panic!("{event} is refused: {code}"))
    }

    /// The same; the code, when it is refused for good.
    pub(crate) async fn try_to_store_at_last(
        &self,
        gateways: &[SocketAddr],
        conversation: &str,
        id: &str,
        event: &Value,
    ) -> Result<u64, String> {
        let path = format!("/v1/conversations/{conversation}/messages");
        let body = json!({"id": id, "event": event});
        let patience = Patience::of(OUTAGE);
        for address in gateways.iter().cycle() {
            let answer = self.at(*address).http.exchange("POST", &path, Some(&body)).await;
            if let Ok(answer) = answer {
                if let Some(seq) = answer.body["seq"].as_u64() {
                    told(conversation, seq);
                    return Ok(seq);
                }
                if answer.body["error"]["retry"] != "same_id" {
                    return Err(answer.code().to_owned());
                }
            }
            patience.look_again("an ack").await;
        }
        unreachable!("there is a gateway")
    }

    /// Tries to store an event over HTTP; the code of the refusal.
    pub(crate) async fn refused(&self, conversation: &str, event: &Value) -> String {
        let path = format!("/v1/conversations/{conversation}/messages");
        let body = json!({"id": mint(), "event": event});
        let response = self.http.ask("POST", &path, Some(&body)).await;
        assert!(response.status >= 400, "accepted: {event}");
        response.code().to_owned()
    }

    /// The whole chain of a conversation, as this member sees it, page by page.
    pub(crate) async fn events(&self, conversation: &str) -> Vec<Value> {
        let mut all: Vec<Value> = Vec::new();
        loop {
            let (after, acks) = (all.last().map_or(0, seq_of), including_acks(conversation));
            let path =
                format!("/v1/conversations/{conversation}/events?after={after}&limit=500&{acks}");
            let page = self.http.get(&path).await;
            all.extend(page["items"].as_array().unwrap().iter().cloned());
            if page["more"] != true {
                return all;
            }
        }
    }

    /// The newest page of messages, with the others folded in.
    pub(crate) async fn messages(&self, conversation: &str) -> Vec<Value> {
        let acks = including_acks(conversation);
        let page =
            self.http.get(&format!("/v1/conversations/{conversation}/messages?{acks}")).await;
        page["items"].as_array().unwrap().clone()
    }

    /// A page of messages, with all that was acknowledged.
    pub(crate) async fn messages_page(&self, conversation: &str, query: &str) -> Value {
        let acks = including_acks(conversation);
        self.http.get(&format!("/v1/conversations/{conversation}/messages?{query}&{acks}")).await
    }

    /// The conversation in this person's inbox.
    pub(crate) async fn in_inbox(&self, conversation: &str) -> Option<Value> {
        let acks = including_acks(conversation);
        let inbox = self.http.get(&format!("/v1/conversations?{acks}")).await;
        let items = inbox["items"].as_array().unwrap();
        items.iter().find(|item| item["conversation"] == conversation).cloned()
    }
}
