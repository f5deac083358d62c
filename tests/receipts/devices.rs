//! The SDK on both sides: what arrives is delivered and what is looked at is read without a word of
//! the application, and the sender is shown it.

use hansard_client::{Client, ClientOptions, ReceiptPolicy, Store, Update, Updates};
use hansard_model::event::MessageSent;
use hansard_model::{ConversationId, Event, Seq};
use hansard_protocol::server::ReceiptFrame;
use serde_json::json;
use tokio::time::timeout;

use crate::harness::{DEADLINE, Roles, Session, couple, eventually};
use crate::receipts::counts;

/// An SDK client of a session, at all gateways.
async fn client(session: &Session, roles: &Roles, policy: ReceiptPolicy) -> (Client, Updates) {
    let mut gateways = roles.addresses().into_iter().map(|at| at.to_string().parse().unwrap());
    let first = gateways.next().unwrap();
    let mut options = ClientOptions::new(first, session.token.clone());
    options.gateways.extend(gateways);
    options.receipts = policy;
    Client::connect(options, Store::in_memory().await.unwrap()).await.unwrap()
}

/// The first update of which something is made.
async fn until<T>(updates: &mut Updates, mut take: impl FnMut(Update) -> Option<T>) -> T {
    let found = async {
        loop {
            if let Some(found) = take(updates.next().await.unwrap()) {
                return found;
            }
        }
    };
    timeout(DEADLINE, found).await.expect("in time")
}

/// Sends a message; its place once it is stored.
async fn say(client: &Client, updates: &mut Updates, to: ConversationId, text: &str) -> Seq {
    let message = MessageSent { text: text.to_owned(), ..MessageSent::default() };
    let sent = client.send(to, &Event::Message(message)).await.unwrap();
    until(updates, |update| match update {
        Update::Ack { id, seq, .. } if id == sent => Some(seq),
        _ => None,
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sdk_says_what_is_delivered_and_read_by_itself_also_when_its_gateway_dies() {
    let mut roles = Roles::start(2, 1).await;
    let (ana, ben, conversation) = couple(roles.gateways[0].address).await;
    let to: ConversationId = conversation.parse().unwrap();
    let (hers, mut her_updates) = client(&ana, &roles, ReceiptPolicy::All).await;
    let (his, mut his_updates) = client(&ben, &roles, ReceiptPolicy::All).await;
    let is_his = |update: Update| match update {
        Update::Receipt(receipt) if receipt.user.to_string() == ben.user => Some(receipt),
        _ => None,
    };
    let mut last = Seq::ZERO;
    for number in 0..5 {
        last = say(&hers, &mut her_updates, to, &number.to_string()).await;
    }
    let seen = until(&mut his_updates, |update| match update {
        Update::Event(event) if event.seq == last => Some(event.seq),
        _ => None,
    });
    assert_eq!(seen.await, last);
    let reached = |wanted: (Seq, Seq)| {
        move |update| is_his(update).filter(|r| (r.delivered, r.read) == wanted)
    };
    until(&mut her_updates, reached((last, Seq::ZERO))).await;

    // His gateway dies with what he has just read: it is said by the other one.
    roles.gateways[0].process.kill().await;
    his.read(to, last).await;
    let told: ReceiptFrame = until(&mut her_updates, reached((last, last))).await;
    assert!(told.read_ts.is_some());
    eventually("nothing to say", async || !his.has_receipts_pending().await).await;
    let ben = ben.at(roles.gateways[1].address);
    assert_eq!(counts(&ben, &conversation).await.1, 0);

    // On a device that reads in private she is told what is delivered, and no more.
    drop((his, his_updates));
    let device = ben.again().await;
    let (secret, mut secretly) = client(&device, &roles, ReceiptPolicy::PrivateReads).await;
    let next = say(&hers, &mut her_updates, to, "in private").await;
    until(&mut secretly, |update| match update {
        Update::Event(event) if event.seq == next => Some(()),
        _ => None,
    })
    .await;
    secret.read(to, next).await;
    until(&mut her_updates, reached((next, last))).await;
    eventually("nothing to say", async || !secret.has_receipts_pending().await).await;
    assert_eq!(counts(&ben, &conversation).await.1, 0);
    let path = format!("/v1/conversations/{conversation}/receipts");
    let list = ana.at(roles.gateways[1].address).http.get(&path).await;
    assert_eq!(list["items"][0]["read"], json!(last.0));
}
