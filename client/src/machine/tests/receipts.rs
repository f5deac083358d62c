//! Receipts: what the server was told in the end, whatever was lost on the way.

use super::*;

impl World {
    pub(super) fn receive(&mut self, receipt: &hansard_protocol::client::Receipt) {
        let reference = serde_json::to_string(&receipt.reference).expect("json");
        if let Some(refusal) = self.refuse_next.take() {
            self.to_client.push_back(format!(r#"{{"type":"error","ref":{reference},{refusal}}}"#));
            return;
        }
        let (last, _) = self.disk.timelines.get(&receipt.conversation).copied().unwrap_or_default();
        assert!(receipt.delivered.is_none_or(|seq| seq <= last), "not written down: {receipt:?}");
        let marks = self.told.entry(receipt.conversation).or_default();
        marks.delivered = marks.delivered.max(receipt.delivered.unwrap_or_default());
        let read = receipt.read.unwrap_or_default();
        marks.own = marks.own.max(read);
        if !receipt.private {
            marks.read = marks.read.max(read);
        }
        self.to_client.push_back(format!(r#"{{"type":"ok","ref":{reference}}}"#));
    }

    /// The person reads what is shown.
    pub(super) fn reads_up_to(&mut self, conversation: ConversationId, private: bool) {
        let shown = self.shown.get(&conversation).and_then(|shown| shown.last());
        let Some(seq) = shown.copied().map(Seq) else { return };
        self.machine.read(self.now, conversation, seq, private);
        self.turn();
        let read = self.read.entry(conversation).or_default();
        read.own = read.own.max(seq);
        if !private {
            read.read = read.read.max(seq);
        }
    }

    /// The server knows how far this person has got, and no further.
    pub(super) fn everything_was_told(&self) {
        for n in 0..CONVERSATIONS {
            let told = self.told.get(&group(n)).copied().unwrap_or_default();
            let last = (1..=self.log.len()).rev().find(|seq| {
                let entry = &self.log[seq - 1];
                entry.conversation == group(n) && entry.sender == user(7)
            });
            let last = Seq(last.unwrap_or(0) as u64);
            assert!(told.delivered >= last, "{told:?}, and {last} is here");
            let read = self.read.get(&group(n)).copied().unwrap_or_default();
            assert_eq!((told.own, told.read), (read.own, read.read));
        }
    }
}

fn receipts(world: &World) -> Vec<hansard_protocol::client::Receipt> {
    let frames = world.to_server.iter().filter(|text| text.contains(r#""receipt""#));
    frames.map(|text| serde_json::from_str(text).expect("a receipt")).collect()
}

#[test]
fn receipts_of_a_moment_go_out_as_one_and_only_what_is_new() {
    let mut world = online();
    for _ in 0..5 {
        world.other_sends(group(0));
        world.deliver_one(false);
    }
    assert!(receipts(&world).is_empty(), "gathered");
    world.reads_up_to(group(0), false);
    world.advance(1_000);
    let sent = receipts(&world);
    assert_eq!(sent.len(), 1);
    assert_eq!(
        (sent[0].delivered, sent[0].read, sent[0].private),
        (Some(Seq(5)), Some(Seq(5)), false)
    );
    for _ in 0..100 {
        world.serve_one();
        world.deliver_one(false);
        world.advance(20);
    }
    assert!(!world.machine.receipts_pending());
    world.reads_up_to(group(0), false);
    world.reads_up_to(group(0), true);
    world.advance(1_000);
    assert!(receipts(&world).is_empty(), "it is known");
}

#[test]
fn what_was_stored_just_now_is_said_again_on_the_next_connection() {
    let mut world = online();
    world.other_sends(group(0));
    world.settle();
    world.reads_up_to(group(0), false);
    world.settle();
    let before = std::mem::take(&mut world.told);
    world.step(&Step::Drop);
    world.settle();
    assert_eq!(world.told[&group(0)].read, before[&group(0)].read);
}

#[test]
fn whoever_reads_in_private_tells_nobody() {
    let mut world = World::new();
    let options = Options { receipts: ReceiptPolicy::PrivateReads, ..options() };
    world.machine = Machine::new(options, Snapshot::default());
    world.advance(0);
    world.settle();
    world.reads_up_to(group(0), false);
    world.settle();
    let told = world.told[&group(0)];
    assert!(told.own > Seq::ZERO && told.delivered > Seq::ZERO);
    assert_eq!(told.read, Seq::ZERO);
}

#[test]
fn what_was_written_down_is_said_on_only_as_far_as_the_policy_goes() {
    let mark =
        |delivered, read, own| Marks { delivered: Seq(delivered), read: Seq(read), own: Seq(own) };
    let restored = |policy| {
        let known = vec![(group(0), mark(9, 8, 8), mark(5, 5, 5))];
        let timelines = [(group(0), Seq(9), Seq::ZERO), (group(1), Seq(4), Seq::ZERO)];
        let mut receipts = Receipts::restore(policy, known, &timelines);
        receipts.release(World::new().now);
        let mut out = Vec::new();
        receipts.pump(World::new().now, &mut out);
        let mut said: Vec<String> = out
            .into_iter()
            .map(|action| match action {
                Action::Transmit(text) => text,
                other => panic!("{other:?}"),
            })
            .collect();
        said.sort_unstable();
        said
    };
    assert_eq!(restored(ReceiptPolicy::Nothing), Vec::<String>::new());
    let all = restored(ReceiptPolicy::All);
    assert!(all.len() == 2 && all.iter().any(|text| text.contains(r#""read":8"#)), "{all:?}");
    let private = restored(ReceiptPolicy::PrivateReads);
    assert_eq!(private.len(), 2, "{private:?}");
    assert!(private.iter().all(|text| !text.contains(r#""read":8"#)), "{private:?}");
}
