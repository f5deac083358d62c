//! The comparison: the log, the gateways' answers and the clients' journals.

use std::collections::{BTreeMap, HashMap};

use hansard_client::http::EventsQuery;
use hansard_client::{Gateway, Http, StoredEvent};
use hansard_model::{ConversationId, MessageId, Seq, UserId};

use super::fleet::Fleet;
use super::journal::{Journal, Seen};

/// Findings that are shown at most.
const EXAMPLES_MAX: usize = 20;
/// Events of a page.
const PAGE: usize = 500;

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    /// Accepted or acknowledged and not in the log where it was said to be; in the log and missing
    /// at a member or in a gateway's answer.
    pub(super) lost: usize,
    /// Stored, shown or acknowledged twice.
    pub(super) doubled: usize,
    /// Against the order of the log, or of its sender.
    pub(super) reordered: usize,
    /// Anything else that differs: an event nobody stored, a chain that does not fit.
    pub(super) differences: usize,
    pub(super) messages: usize,
    pub(super) accepted: usize,
    pub(super) acknowledged: usize,
    pub(super) refused: usize,
    pub(super) void: usize,
    pub(super) examples: Vec<String>,
}

/// A conversation as the log has it: valid events, with the chain.
struct Chain {
    events: BTreeMap<Seq, Seen>,
    by_key: HashMap<(UserId, MessageId), Vec<Seq>>,
}

impl Verdict {
    pub(super) fn is_clean(&self) -> bool {
        self.lost + self.doubled + self.reordered + self.differences == 0
    }

    fn example(&mut self, finding: String) {
        if self.examples.len() < EXAMPLES_MAX {
            self.examples.push(finding);
        }
    }

    fn lost(&mut self, finding: String) {
        self.lost += 1;
        self.example(format!("lost: {finding}"));
    }

    fn doubled(&mut self, finding: String) {
        self.doubled += 1;
        self.example(format!("doubled: {finding}"));
    }

    fn reordered(&mut self, finding: String) {
        self.reordered += 1;
        self.example(format!("reordered: {finding}"));
    }

    fn different(&mut self, finding: String) {
        self.differences += 1;
        self.example(format!("different: {finding}"));
    }
}

/// Compares everything.
pub(super) async fn judge(fleet: &Fleet) -> anyhow::Result<Verdict> {
    let mut verdict = Verdict::default();
    let mut chains = HashMap::new();
    for (conversation, _) in &fleet.conversations {
        let chain = read(fleet, *conversation, &mut verdict).await?;
        chains.insert(*conversation, chain);
    }
    for client in &fleet.clients {
        let journal = client.journal();
        judge_promises(&mut verdict, client.person.user, &journal, &chains);
    }
    for (conversation, members) in &fleet.conversations {
        let Some(chain) = chains.get(conversation) else { continue };
        for index in members {
            let client = &fleet.clients[*index];
            let shown = client.journal().timelines.get(conversation).cloned().unwrap_or_default();
            compare(&mut verdict, &format!("client {index}"), *conversation, chain, &shown);
            for (number, gateway) in fleet.bench.gateways.iter().enumerate() {
                let address = format!("http://{}", gateway.address).parse()?;
                let answer = ask(address, &client.person.token, *conversation).await?;
                let who = format!("gateway {number} for client {index}");
                compare(&mut verdict, &who, *conversation, chain, &answer);
            }
        }
    }
    Ok(verdict)
}

/// The log's own account of a conversation.
async fn read(
    fleet: &Fleet,
    conversation: ConversationId,
    verdict: &mut Verdict,
) -> anyhow::Result<Chain> {
    let mut records = fleet.bench.log.replay(conversation, Seq::ZERO, false).await?;
    let mut chain = Chain { events: BTreeMap::new(), by_key: HashMap::new() };
    let mut prev = Seq::ZERO;
    while let Some(record) = records.recv().await {
        if record.is_void() {
            verdict.void += 1;
            continue;
        }
        let Some(key) = record.key else {
            verdict.different(format!("an event without identity at {}", record.seq));
            continue;
        };
        let (id, sender) = (key.id, key.sender);
        chain.events.insert(record.seq, Seen { conversation, seq: record.seq, prev, id, sender });
        chain.by_key.entry((sender, id)).or_default().push(record.seq);
        prev = record.seq;
    }
    for (key, seqs) in chain.by_key.iter().filter(|(_, seqs)| seqs.len() > 1) {
        verdict.doubled(format!("stored at {seqs:?}: {conversation} {key:?}"));
    }
    verdict.messages += chain.events.len();
    Ok(chain)
}

/// What the outbox accepted and what was acknowledged is in the log, once, in the order of sending.
fn judge_promises(
    verdict: &mut Verdict,
    sender: UserId,
    journal: &Journal,
    chains: &HashMap<ConversationId, Chain>,
) {
    for ((conversation, id), seq) in &journal.acked {
        verdict.acknowledged += 1;
        let stored = chains.get(conversation).and_then(|chain| chain.events.get(seq));
        if !stored.is_some_and(|stored| stored.id == *id && stored.sender == sender) {
            verdict.lost(format!("acknowledged at {seq}: {conversation} {id}"));
        }
    }
    for (conversation, ids) in &journal.accepted {
        let mut last = Seq::ZERO;
        for id in ids {
            verdict.accepted += 1;
            let stored =
                chains.get(conversation).and_then(|chain| chain.by_key.get(&(sender, *id)));
            match stored.and_then(|seqs| seqs.first()) {
                None => verdict.lost(format!("accepted: {conversation} {id}")),
                Some(seq) if *seq < last => {
                    verdict.reordered(format!("sent after what is at {last}, stored at {seq}"));
                }
                Some(seq) => last = *seq,
            }
        }
    }
    verdict.refused += journal.refused.len();
    for refused in &journal.refused {
        verdict.different(format!("refused for good: {refused}"));
    }
    for finding in &journal.doubled {
        verdict.doubled(finding.clone());
    }
    for finding in &journal.reordered {
        verdict.reordered(finding.clone());
    }
    for finding in &journal.contradictions {
        verdict.different(finding.clone());
    }
}

/// A view of a conversation is the log's, event by event and link by link.
fn compare(
    verdict: &mut Verdict,
    who: &str,
    conversation: ConversationId,
    chain: &Chain,
    view: &BTreeMap<Seq, Seen>,
) {
    for (seq, stored) in &chain.events {
        match view.get(seq) {
            None => verdict.lost(format!("{who} has not {seq} of {conversation}")),
            Some(seen) if seen != stored => {
                verdict.different(format!("{who} has {seen:?}, the log {stored:?}"));
            }
            Some(_) => {}
        }
    }
    for (seq, seen) in view {
        if !chain.events.contains_key(seq) {
            verdict.different(format!("{who} has what the log has not: {seen:?}"));
        }
    }
}

/// All events of a conversation, as a gateway answers a member.
async fn ask(
    gateway: Gateway,
    token: &str,
    conversation: ConversationId,
) -> anyhow::Result<BTreeMap<Seq, Seen>> {
    let http = Http::new(gateway);
    http.set_token(Some(token.to_owned()));
    let (mut view, mut after) = (BTreeMap::new(), Seq::ZERO);
    loop {
        let query = EventsQuery { after: Some(after), limit: Some(PAGE), ..EventsQuery::default() };
        let page = http.events(conversation, query).await?;
        for frame in page.items {
            let StoredEvent { conversation, seq, prev, id, sender, .. } = StoredEvent::of(frame)?;
            after = seq;
            view.insert(seq, Seen { conversation, seq, prev, id, sender });
        }
        if !page.more {
            return Ok(view);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(seq: u64, prev: u64) -> Seen {
        let user = UserId::from_entropy([1; 20]);
        let conversation = ConversationId::direct(user, user);
        let id = MessageId::new(seq, [0; 10]);
        Seen { conversation, seq: Seq(seq), prev: Seq(prev), id, sender: user }
    }

    fn chain() -> Chain {
        let events: BTreeMap<Seq, Seen> =
            [seen(1, 0), seen(2, 1), seen(5, 2)].map(|seen| (seen.seq, seen)).into();
        let by_key = events.values().map(|seen| ((seen.sender, seen.id), vec![seen.seq])).collect();
        Chain { events, by_key }
    }

    #[test]
    fn a_view_that_lacks_an_event_or_has_another_chain_is_found_out() {
        let (chain, conversation) = (chain(), seen(1, 0).conversation);
        let judged = |view: &[Seen]| {
            let mut verdict = Verdict::default();
            let view = view.iter().map(|seen| (seen.seq, *seen)).collect();
            compare(&mut verdict, "somebody", conversation, &chain, &view);
            (verdict.lost, verdict.differences)
        };
        assert_eq!(judged(&[seen(1, 0), seen(2, 1), seen(5, 2)]), (0, 0));
        assert_eq!(judged(&[seen(1, 0), seen(5, 2)]), (1, 0));
        assert_eq!(judged(&[seen(1, 0), seen(2, 1), seen(5, 1)]), (0, 1));
        assert_eq!(judged(&[seen(1, 0), seen(2, 1), seen(5, 2), seen(6, 5)]), (0, 1));
    }

    #[test]
    fn a_promise_that_the_log_does_not_hold_is_lost() {
        let (conversation, sender) = (seen(1, 0).conversation, seen(1, 0).sender);
        let chains = HashMap::from([(conversation, chain())]);
        let mut journal = Journal::default();
        let ids = |seqs: &[u64]| seqs.iter().map(|seq| seen(*seq, 0).id).collect::<Vec<_>>();
        journal.accepted.insert(conversation, ids(&[1, 5, 2, 9]));
        journal.acked.insert((conversation, seen(1, 0).id), Seq(2));
        let mut verdict = Verdict::default();
        judge_promises(&mut verdict, sender, &journal, &chains);
        assert_eq!((verdict.lost, verdict.reordered, verdict.accepted), (2, 1, 4));
    }
}
