//! Any interleaving of devices, gateways, reconnects and deaths: what is stored in the end is the
//! furthest that was ever sent, and nobody ever saw a mark go back.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};

use crate::harness::{
    DEADLINE, Dice, Patience, Roles, Session, Signal, Socket, couple, message, setting, signal,
};
use crate::receipts::{counts, path};

/// How long a device may look for a gateway, and an observer for the end.
const OUTAGE: Duration = Duration::from_secs(40);

/// The furthest of each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Furthest {
    delivered: u64,
    read: u64,
    own: u64,
}

impl Furthest {
    fn raise(&mut self, other: Self) {
        self.delivered = self.delivered.max(other.delivered);
        self.read = self.read.max(other.read);
        self.own = self.own.max(other.own);
    }
}

/// One of ben's devices: it sends receipts of any kind, in any order, by any gateway.
struct Device {
    session: Session,
    gateways: Vec<SocketAddr>,
    conversation: String,
    dice: Dice,
    socket: Option<Socket>,
    said: Furthest,
    refs: u64,
}

impl Device {
    /// Says this many receipts about these events; what was the furthest.
    async fn run(mut self, seqs: Vec<u64>, count: u64, progress: watch::Sender<u64>) -> Furthest {
        for _ in 0..count {
            let seq = *self.dice.one_of(&seqs);
            let said = match self.dice.below(5) {
                0 | 1 => json!({"delivered": seq}),
                2 | 3 => json!({"read": seq}),
                _ => json!({"read": seq, "private": true}),
            };
            let is_private = said["private"] == true;
            let public = said["read"].as_u64().filter(|_| !is_private).unwrap_or(0);
            self.said.raise(Furthest {
                delivered: said["delivered"].as_u64().unwrap_or(public),
                read: public,
                own: said["read"].as_u64().unwrap_or(0),
            });
            if self.dice.below(5) == 0 {
                self.socket = None;
            }
            self.say(&said).await;
            progress.send_modify(|count| *count += 1);
        }
        // Once more on a new connection, as a client does that was interrupted.
        self.socket = None;
        self.connected().await;
        self.said
    }

    /// Says something until it is answered, or repeats all marks on another connection.
    async fn say(&mut self, said: &Value) {
        self.connected().await;
        if !self.answered(said).await {
            self.connected().await;
        }
    }

    /// Connects somewhere, and repeats the furthest marks there, until that is answered.
    async fn connected(&mut self) {
        let patience = Patience::of(OUTAGE);
        while self.socket.is_none() {
            let session = self.session.at(*self.dice.one_of(&self.gateways));
            let Ok(Some(socket)) = timeout(OUTAGE, session.try_resume(None)).await else {
                patience.look_again("a gateway").await;
                continue;
            };
            self.socket = Some(socket);
            let Furthest { delivered, read, own } = self.said;
            let public = json!({"delivered": delivered, "read": read});
            let _ = self.answered(&public).await
                && self.answered(&json!({"read": own, "private": true})).await;
        }
    }

    /// Says something and waits for the answer; `false`: the connection ended first.
    async fn answered(&mut self, said: &Value) -> bool {
        let patience = Patience::of(OUTAGE);
        let Some(socket) = &mut self.socket else { return false };
        loop {
            self.refs += 1;
            let mut frame =
                json!({"type": "receipt", "ref": self.refs, "conversation": self.conversation});
            frame.as_object_mut().unwrap().extend(said.as_object().unwrap().clone());
            socket.send(&frame).await;
            let answer = loop {
                match timeout(OUTAGE, socket.next()).await {
                    Ok(Ok(frame)) if frame["ref"] == self.refs => break frame,
                    Ok(Ok(_)) => {}
                    Ok(Err(_)) => {
                        self.socket = None;
                        return false;
                    }
                    Err(_) => panic!("never answered: {said}"),
                }
            };
            if answer["type"] == "ok" {
                return true;
            }
            assert_eq!(answer["code"], "unavailable", "{answer}");
            patience.look_again("a mark that is stored").await;
        }
    }
}

/// Somebody who watches ben's marks on one gateway, with reconnects, until they are what is
/// expected; what they saw.
async fn observe(
    session: Session,
    of: String,
    mut expected: watch::Receiver<Option<(u64, u64)>>,
) -> Vec<(u64, u64)> {
    let (mut seen, mut cursor): (Vec<(u64, u64)>, Option<String>) = (Vec::new(), None);
    let patience = Patience::of(4 * OUTAGE);
    let mut deadline = Instant::now() + 4 * OUTAGE;
    loop {
        let resumed = timeout_at(deadline, session.try_resume(cursor.as_deref())).await;
        let Ok(Some(mut socket)) = resumed else {
            patience.look_again("a gateway").await;
            continue;
        };
        let mut looked = 0;
        loop {
            for frame in &socket.seen[looked..] {
                if frame["type"] == "receipt" && frame["user"] == *of {
                    let mark = |name: &str| frame[name].as_u64().unwrap();
                    let marks = (mark("delivered"), mark("read"));
                    if let Some((delivered, read)) = seen.last() {
                        let is_back = marks.0 < *delivered || marks.1 < *read;
                        assert!(!is_back, "{marks:?} after {seen:?}");
                    }
                    seen.push(marks);
                }
                if let Some(now) = frame["cursor"].as_str() {
                    cursor = Some(now.to_owned());
                }
            }
            looked = socket.seen.len();
            let wanted = *expected.borrow_and_update();
            if wanted.is_some() && wanted == seen.last().copied() {
                return seen;
            }
            tokio::select! {
                frame = timeout_at(deadline, socket.next()) => match frame {
                    Ok(Ok(_)) => {}
                    Ok(Err(_)) => break,
                    Err(_) => panic!("{wanted:?} never came after {seen:?}"),
                },
                _ = expected.changed() => deadline = Instant::now() + DEADLINE,
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_furthest_ever_sent_is_what_is_left_and_nobody_sees_a_step_back() {
    the_furthest_is_left(false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_a_group_as_well_the_furthest_ever_sent_is_what_everybody_sees() {
    the_furthest_is_left(true).await;
}

async fn the_furthest_is_left(is_group: bool) {
    let (receipts, kills) = (setting("RECEIPTS", 40), setting("KILLS", 3));
    let mut roles = Roles::start(2, 1).await;
    let gateways = roles.addresses();
    let mut dice = Dice::new();
    let (ana, ben, mut conversation) = couple(gateways[0]).await;
    if is_group {
        conversation = ana.create_group("marks", &[&ben.user]).await;
    }
    let mut seqs = Vec::new();
    for number in 0..30 {
        seqs.push(ana.store(&conversation, &message(&number.to_string())).await);
    }

    let (told, others) = watch::channel(None);
    let (kept, own) = watch::channel(None);
    let mut observers = Vec::new();
    for address in &gateways {
        for (session, expected) in [(ana.again().await, &others), (ben.again().await, &own)] {
            let (session, expected) = (session.at(*address), expected.clone());
            observers.push(tokio::spawn(observe(session, ben.user.clone(), expected)));
        }
    }
    let (progress, mut said) = watch::channel(0);
    let mut devices = Vec::new();
    for _ in 0..3 {
        let device = Device {
            session: ben.again().await,
            gateways: gateways.clone(),
            conversation: conversation.clone(),
            dice: dice.another(),
            socket: None,
            said: Furthest::default(),
            refs: 0,
        };
        devices.push(tokio::spawn(device.run(seqs.clone(), receipts, progress.clone())));
    }
    for kill in 1..=kills {
        let at = 3 * receipts * kill / (kills + 1);
        said.wait_for(|count| *count >= at).await.unwrap();
        println!("after {at} receipts, death {kill}");
        if kill % 3 == 0 {
            // The stream is not synced: it may lose the last of what it has acknowledged.
            signal(roles.data.nats_pid().unwrap(), Signal::Kill);
        } else {
            let index = usize::try_from(dice.below(2)).unwrap();
            roles.gateways[index].process.kill().await;
            roles.restart_gateway(index).await;
        }
    }
    let mut furthest = Furthest::default();
    for device in devices {
        furthest.raise(device.await.unwrap());
    }
    println!("the devices are done: {furthest:?}");
    let Furthest { delivered, read, own } = furthest;
    told.send_replace(Some((delivered, read)));
    kept.send_replace(Some((delivered.max(own), own)));
    for observer in observers {
        let seen = observer.await.unwrap();
        assert!(seen.len() > 1, "{seen:?}");
    }
    for address in &gateways {
        let list = ana.at(*address).http.get(&path(&conversation, "receipts")).await;
        let item = &list["items"][0];
        assert_eq!((&item["delivered"], &item["read"]), (&json!(delivered), &json!(read)));
        let (is_read, unread, _) = counts(&ben.at(*address), &conversation).await;
        let after = seqs.iter().filter(|seq| **seq > own).count() as u64;
        assert_eq!((is_read, unread), (own, after));
    }
}
