//! The loop against a socket that answers by hand.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use hansard_model::event::MessageSent;
use hansard_model::{Event, GroupId, UserId};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::{WebSocketStream, accept_hdr_async};

use super::*;
use crate::backoff::Backoff;
use crate::client::{Client, ClientOptions, Updates};

const PATIENCE: Duration = Duration::from_secs(20);

async fn accept(listener: &TcpListener) -> WebSocketStream<TcpStream> {
    let (stream, _) = listener.accept().await.expect("a connection");
    #[expect(clippy::result_large_err, reason = "the library's signature")]
    let choose = |_: &Request, mut response: Response| {
        let protocol = hansard_protocol::SUBPROTOCOL.parse().expect("a header");
        response.headers_mut().insert("sec-websocket-protocol", protocol);
        Ok(response)
    };
    let mut socket = accept_hdr_async(stream, choose).await.expect("an upgrade");
    assert!(read(&mut socket).await.contains(r#""type":"hello""#));
    let (user, device) = (user(), "d".repeat(20));
    let welcome = format!(
        r#"{{"type":"welcome","user":"{user}","device":"{device}","server_time":"2035-01-01T00:00:00.000Z","heartbeat_s":30,"durability":"fsync","limits":{{"text_bytes":1,"frame_bytes":1,"group":1,"catch_up":1,"page":1,"in_flight":9}},"features":[]}}"#
    );
    write(&mut socket, &welcome).await;
    write(&mut socket, r#"{"type":"synced","cursor":"c1","complete":true,"reset":false}"#).await;
    socket
}

async fn read(socket: &mut WebSocketStream<TcpStream>) -> String {
    loop {
        match socket.next().await.expect("a frame").expect("a frame") {
            Message::Text(text) => return text.as_str().to_owned(),
            _ => continue,
        }
    }
}

async fn write(socket: &mut WebSocketStream<TcpStream>, text: &str) {
    socket.send(Message::text(text)).await.expect("written");
}

fn user() -> UserId {
    UserId::from_entropy([1; 20])
}

fn group() -> ConversationId {
    ConversationId::Group(GroupId::from_entropy([2; 20]))
}

fn message() -> Event {
    Event::Message(MessageSent { text: "hi".to_owned(), ..MessageSent::default() })
}

async fn start(listener: &TcpListener, store: Store) -> (Client, Updates) {
    let address = listener.local_addr().expect("an address");
    let gateway = address.to_string().parse().expect("an address");
    let backoff = Backoff { base_ms: 1, cap_ms: 5 };
    let options = ClientOptions { backoff, ..ClientOptions::new(gateway, "t".to_owned()) };
    // The listener of the tests speaks nothing but WebSocket.
    let options = ClientOptions { discover: false, ..options };
    Client::connect(options, store).await.expect("starts")
}

/// The first update that is an ack.
async fn ack(updates: &mut Updates) -> MessageId {
    loop {
        let update = tokio::time::timeout(PATIENCE, updates.next()).await.expect("in time");
        if let Update::Ack { id, .. } = update.expect("an update") {
            return id;
        }
    }
}

fn ack_of(send: &str) -> String {
    let send: hansard_protocol::client::Send = serde_json::from_str(send).expect("a send");
    let reference = serde_json::to_string(&send.reference).expect("json");
    format!(
        r#"{{"type":"ack","ref":{reference},"conversation":"{}","id":"{}","seq":7,"duplicate":false}}"#,
        send.conversation, send.id
    )
}

#[tokio::test]
async fn a_send_whose_connection_breaks_goes_out_again_with_the_same_id() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let (client, mut updates) = start(&listener, Store::in_memory().await.expect("opens")).await;
    let id = client.send(group(), &message()).await.expect("taken");
    let mut first = accept(&listener).await;
    let sent = read(&mut first).await;
    assert!(sent.contains(&id.to_string()));
    drop(first);
    let mut second = accept(&listener).await;
    assert_eq!(read(&mut second).await, sent);
    write(&mut second, &ack_of(&sent)).await;
    assert_eq!(ack(&mut updates).await, id);
    assert_eq!(client.pending().await, 0);
    assert!(client.store().outbox().await.expect("reads").is_empty());
    assert_eq!(client.store().load().await.expect("reads").cursor.as_deref(), Some("c1"));
}

#[tokio::test]
async fn a_send_made_offline_goes_out_after_a_restart() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("ana.db");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let (client, updates) = start(&listener, Store::open(&path).await.expect("opens")).await;
    let id = client.send(group(), &message()).await.expect("taken");
    drop((client, updates));
    let store = loop {
        match Store::open(&path).await {
            Ok(store) => break store,
            Err(StoreError::InUse) => tokio::task::yield_now().await,
            Err(error) => panic!("{error}"),
        }
    };
    // The first client may have got as far as the listener's queue: only the second one speaks.
    let (_client, mut updates) = start(&listener, store).await;
    let mut socket = loop {
        let attempt = tokio::time::timeout(Duration::from_secs(1), accept_checked(&listener)).await;
        if let Ok(Some(socket)) = attempt {
            break socket;
        }
    };
    let sent = read(&mut socket).await;
    assert!(sent.contains(&id.to_string()), "{sent}");
    write(&mut socket, &ack_of(&sent)).await;
    assert_eq!(ack(&mut updates).await, id);
}

/// As [`accept`], but a connection that is gone already is passed over.
async fn accept_checked(listener: &TcpListener) -> Option<WebSocketStream<TcpStream>> {
    let alive = async { accept(listener).await };
    futures_util::FutureExt::catch_unwind(std::panic::AssertUnwindSafe(alive)).await.ok()
}

#[tokio::test]
async fn one_task_may_send_without_taking_its_updates() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let (client, _updates) = start(&listener, Store::in_memory().await.expect("opens")).await;
    let mut socket = accept(&listener).await;
    for n in 0..2_000 {
        let typing =
            format!(r#"{{"type":"typing","conversation":"{}","user":"{}"}}"#, group(), user());
        write(&mut socket, &typing).await;
        if n % 100 == 0 {
            let event = message();
            let send = client.send(group(), &event);
            tokio::time::timeout(PATIENCE, send).await.expect("in time").expect("taken");
        }
    }
    assert_eq!(client.pending().await, 20);
}
