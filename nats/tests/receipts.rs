//! Receipts against a real nats-server.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::time::Duration;

use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use hansard_model::receipt::{Audience, Mark, Marks};
use hansard_model::{ConversationId, GroupId, LogTime, PartitionCount, Seq, UserId};
use hansard_nats::deployment::{self, ProvisionOptions};
use hansard_nats::embedded::{self, EmbeddedOptions};
use hansard_nats::receipts::{Receipts, Wanted};
use hansard_nats::server::Server;
use hansard_nats::{Connection, Durability, ServiceRole};
use tempfile::TempDir;

const DEADLINE: Duration = Duration::from_secs(30);

struct Rig {
    gateways: [Receipts; 2],
    _server: Server,
    _dir: TempDir,
}

async fn rig() -> Rig {
    let dir = TempDir::new().unwrap();
    let options =
        EmbeddedOptions { data_dir: dir.path().to_owned(), durability: Durability::Fsync, port: 0 };
    let (server, endpoint) = embedded::start(options).await.unwrap();
    let operator = Connection::connect(&endpoint, ServiceRole::Operator).await.unwrap();
    let options = ProvisionOptions { partitions: PartitionCount::new(1), replicas: 1 };
    let (_, drift) = deployment::provision(&operator, options).await.unwrap();
    assert_eq!(drift, Vec::<String>::new());
    let gateway = async || {
        let connection = Connection::connect(&endpoint, ServiceRole::Gateway).await.unwrap();
        Receipts::open(&connection)
    };
    Rig { gateways: [gateway().await, gateway().await], _server: server, _dir: dir }
}

fn user(byte: u8) -> UserId {
    UserId::from_entropy([byte; 20])
}

fn group(byte: u8) -> ConversationId {
    ConversationId::Group(GroupId::from_entropy([byte; 20]))
}

fn said(delivered: u64, read: u64, private: bool) -> Marks {
    let mark = |seq| Some(Mark { seq: Seq(seq), n: seq, ts: LogTime::from_millis(seq) });
    Marks::said(1, mark(delivered), mark(read), private, false)
}

#[tokio::test]
async fn marks_raised_at_once_by_two_gateways_end_at_the_furthest_and_never_go_back() {
    let rig = rig().await;
    let (ana, home) = (user(1), group(1));
    let mut reader = rig.gateways[0].follow(Seq::ZERO);
    let raises = (1..=40_u64).map(|n| {
        // Up and down, in private and not, the even ones through one gateway.
        let (seq, private) = ((n * 7) % 41, n % 3 == 0);
        let receipts = &rig.gateways[usize::from(n % 2 == 0)];
        async move {
            let said = said(seq + 1, seq, private);
            loop {
                match receipts.raise(home, ana, said, None).await {
                    Ok(stored) => return assert!(said.is_within(&stored.marks)),
                    // Forty at once are more than a person has devices.
                    Err(error) => eprintln!("again: {error}"),
                }
            }
        }
    });
    tokio::time::timeout(DEADLINE, join_all(raises)).await.unwrap();
    let last = rig.gateways[1].last(home, ana).await.unwrap().unwrap();
    let told = (1..=40_u64).map(|n| (n * 7) % 41).zip(1..).filter(|(_, n)| n % 3 != 0);
    let told = told.map(|(seq, _)| seq).max().unwrap();
    assert_eq!((last.marks.own.seq, last.marks.delivered.seq), (Seq(40), Seq(41)));
    assert_eq!(last.marks.read.seq, Seq(told));

    let mut before = Marks::default();
    let seen = async {
        loop {
            let stored = reader.next().await;
            assert!(before.is_within(&stored.marks), "{before:?} then {stored:?}");
            let is_told = stored.marks.differs_for_others(&before);
            assert!(!is_told || stored.key.audience == Audience::Members || before.epoch == 0);
            before = stored.marks;
            if stored == last {
                return;
            }
        }
    };
    tokio::time::timeout(DEADLINE, seen).await.unwrap();
}

#[tokio::test]
async fn the_later_of_what_was_told_and_not_told_counts_for_the_user_alone() {
    let rig = rig().await;
    let [one, two] = &rig.gateways;
    let (ana, ben, home) = (user(1), user(2), group(1));
    let first = one.raise(home, ana, said(5, 5, false), None).await.unwrap();
    let private = two.raise(home, ana, said(0, 9, true), None).await.unwrap();
    assert_eq!(private.key.audience, Audience::Own);
    // What this gateway knows is of before: it finds out.
    let told = one.raise(home, ana, said(7, 6, false), Some(first)).await.unwrap();
    assert_eq!((told.key.audience, told.marks.own.seq), (Audience::Members, Seq(9)));
    assert!(told.seq > private.seq);
    let again = one.raise(home, ana, said(3, 2, false), Some(told)).await.unwrap();
    assert_eq!(again, told, "nothing to write");

    let own = one.of_user(ana, [home, group(2)]).await.unwrap();
    assert_eq!(own.len(), 1);
    assert_eq!(own[&home], told);
    let members = two.of_members(home, &[ana, ben]).await.unwrap();
    assert_eq!(members.len(), 1);
    assert_eq!((members[&ana].read.seq, members[&ana].delivered.seq), (Seq(6), Seq(7)));

    two.raise(home, ben, said(0, 9, true), None).await.unwrap();
    let wanted = [Wanted { conversation: home, members: 2 }];
    let seen = one.changed(ana, &wanted, Seq::ZERO).await.unwrap().marks;
    assert_eq!(seen.iter().filter(|stored| stored.key.user == ben).count(), 0, "it is ben's own");
    assert_eq!(seen.last(), Some(&told));
    assert_eq!(two.changed(ben, &wanted, told.seq).await.unwrap().marks.len(), 1);
    assert_eq!(one.changed(ana, &wanted, told.seq).await.unwrap().marks, []);
}

#[tokio::test]
async fn however_many_have_left_their_marks_what_changed_is_found() {
    let rig = rig().await;
    let receipts = &rig.gateways[0];
    let (ana, ben) = (user(1), user(2));
    let former = |n: u64| {
        let mut entropy = [9; 20];
        // Each byte of entropy gives five bits only.
        (0..4).for_each(|place| entropy[place] = (n >> (5 * place)) as u8 & 31);
        UserId::from_entropy(entropy)
    };
    let raises = (0..1_100).map(|n| receipts.raise(group(1), former(n), said(3, 3, false), None));
    let raised = stream::iter(raises).buffer_unordered(64).try_collect::<Vec<_>>();
    assert_eq!(tokio::time::timeout(DEADLINE, raised).await.unwrap().unwrap().len(), 1_100);
    let mut others = Vec::new();
    for byte in 1..5 {
        others.push(receipts.raise(group(byte), ben, said(7, 7, false), None).await.unwrap());
    }
    let crowded = others.remove(0);
    let wanted: Vec<Wanted> =
        (1..5).map(|byte| Wanted { conversation: group(byte), members: 2 }).collect();
    let changed = receipts.changed(ana, &wanted, Seq::ZERO).await.unwrap();
    assert_eq!((changed.marks, changed.crowded), (others, vec![group(1)]));
    let private = receipts.raise(group(1), ana, said(0, 9, true), None).await.unwrap();
    let members = receipts.changed_of(ana, group(1), &[ana, ben], Seq::ZERO).await.unwrap();
    assert_eq!(members, [crowded, private]);
    let later = receipts.changed_of(ana, group(1), &[ana, ben], crowded.seq).await.unwrap();
    assert_eq!(later, [private]);
}
