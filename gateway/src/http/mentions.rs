//! `GET /v1/mentions`: the messages that mention the reader, newest first, of all partitions.
//!
//! Each owner lists those of its partition; the lists are merged by time. The cursor is a position
//! for each partition: what is not yet shown lies before it.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use futures_util::future::try_join_all;
use hansard_model::query::{FeedItem, MentionsReply, MentionsRequest};
use hansard_model::subject::QueryVerb;
use hansard_model::{ConversationId, PartitionCount, PartitionId, Seq, UserId};
use hansard_nats::query::{AskError, ask};
use http::StatusCode;

use super::error::{Failure, json_text};
use super::extract::{Authorized, Params};
use super::history::push_frame;
use crate::Gateway;
use crate::cursor::{Cursor, Start};

/// How long an owner may take.
const READ_WITHIN: Duration = Duration::from_secs(3);
/// Times that owners are asked on for one page; what is found until then is the page.
const ROUNDS_MAX: usize = 16;
/// Mentions that are asked of an owner at least: a question costs more than an item.
const ASKED_MIN: usize = 10;
/// What a cursor of this list begins with, so that no other is taken for one.
const MARK: char = 'm';

/// `GET /v1/mentions`
pub(crate) async fn list(
    State(gateway): State<Arc<Gateway>>,
    Authorized(identity): Authorized,
    params: Params,
) -> Result<Response, Failure> {
    let limit = params.limit()?;
    let (epoch, partitions) = (gateway.router.epoch(), gateway.deployment.partitions);
    let before = params.one("cursor")?.map(|text| parse_cursor(text, epoch, partitions));
    let mut min = params.min_seq()?;
    super::check_reachable(&gateway, &min).await?;
    min.extend(gateway.acks.all(identity.device));
    let required = gateway.inbox.required(&min);
    let mut merge = Merge::new(partitions, before.transpose()?);
    let ask_each = (2 * limit).div_ceil(usize::from(partitions.get())).max(ASKED_MIN).min(limit);
    let mut items = Vec::with_capacity(limit);
    for _ in 0..ROUNDS_MAX {
        merge.take(limit, &mut items);
        let wanted = merge.wanted();
        if items.len() == limit || wanted.is_empty() {
            break;
        }
        let asked = wanted.into_iter().map(|(partition, before)| {
            let min_seq = required.get(partition.index()).copied();
            let request = MentionsRequest { user: identity.user, before, limit: ask_each, min_seq };
            answered(&gateway, partition, request)
        });
        for (partition, reply) in try_join_all(asked).await? {
            merge.add(partition, reply);
        }
    }
    let next = merge.rest().map(|positions| print_cursor(epoch, positions));
    let items = only_readable(&gateway, identity.user, items).await?;
    let mut text = String::from(r#"{"items":["#);
    for (place, FeedItem { conversation, item }) in items.iter().enumerate() {
        if place > 0 {
            text.push(',');
        }
        push_frame(&mut text, *conversation, item);
    }
    text.push(']');
    if let Some(next) = next {
        text.push_str(r#","next":""#);
        text.push_str(&next);
        text.push('"');
    }
    text.push('}');
    Ok(json_text(StatusCode::OK, text))
}

async fn answered(
    gateway: &Gateway,
    partition: PartitionId,
    request: MentionsRequest,
) -> Result<(PartitionId, MentionsReply), AskError> {
    let (connection, verb) = (&gateway.connection, QueryVerb::Mentions);
    Ok((partition, ask(connection, partition, verb, &request, READ_WITHIN).await?))
}

/// Leaves out what the reader may not see now, by the log itself: a view can be behind a removal.
pub(super) async fn only_readable(
    gateway: &Gateway,
    user: UserId,
    items: Vec<FeedItem>,
) -> Result<Vec<FeedItem>, Failure> {
    let groups: BTreeSet<ConversationId> =
        items.iter().map(|item| item.conversation).filter(|c| c.is_group()).collect();
    let memberships = groups.into_iter().map(|group| async move {
        let membership = gateway.groups.membership(group, user).await?;
        Ok::<_, Failure>((group, membership.map(|membership| membership.view_from)))
    });
    let views: HashMap<ConversationId, Option<Seq>> =
        try_join_all(memberships).await?.into_iter().collect();
    let may_see = |FeedItem { conversation, item }: &FeedItem| match views.get(conversation) {
        Some(view_from) => view_from.is_some_and(|from| item.seq >= from),
        None => conversation.other(user).is_some(),
    };
    Ok(items.into_iter().filter(may_see).collect())
}

/// The lists of all partitions, as far as they were asked for.
struct Merge {
    sources: Vec<Source>,
}

#[derive(Default)]
struct Source {
    /// Not shown yet, newest first.
    items: VecDeque<FeedItem>,
    /// What comes after the items is before this; `None`: from the newest on.
    before: Option<Seq>,
    /// There is nothing more.
    ended: bool,
}

impl Merge {
    fn new(partitions: PartitionCount, before: Option<Vec<Seq>>) -> Self {
        let source = |place: usize| {
            let before = before.as_ref().map(|before| before[place]);
            Source { items: VecDeque::new(), before, ended: before == Some(Seq::ZERO) }
        };
        Self { sources: (0..usize::from(partitions.get())).map(source).collect() }
    }

    /// Takes the newest, as long as it is certain which one that is.
    fn take(&mut self, limit: usize, items: &mut Vec<FeedItem>) {
        while items.len() < limit && self.wanted().is_empty() {
            let newest = self
                .sources
                .iter_mut()
                .enumerate()
                .filter(|(_, source)| !source.items.is_empty())
                .max_by_key(|(place, source)| (source.items[0].item.ts, Reverse(*place)));
            let Some((_, source)) = newest else { return };
            items.extend(source.items.pop_front());
        }
    }

    /// The partitions whose next item is not known, and where to ask on.
    fn wanted(&self) -> Vec<(PartitionId, Option<Seq>)> {
        let unknown = |source: &&Source| source.items.is_empty() && !source.ended;
        (0..)
            .map(PartitionId)
            .zip(&self.sources)
            .filter(|(_, source)| unknown(source))
            .map(|(partition, source)| (partition, source.before))
            .collect()
    }

    fn add(&mut self, partition: PartitionId, reply: MentionsReply) {
        let Some(source) = self.sources.get_mut(partition.index()) else { return };
        // An owner that gets nowhere is not asked for ever.
        let moves = source.before.is_none_or(|before| reply.reached < before);
        source.ended = !reply.more || !moves || reply.reached == Seq::ZERO;
        source.before = Some(reply.reached);
        source.items.extend(reply.items);
    }

    /// By partition, before which position the rest lies (0: there is none); `None` when there is
    /// none anywhere.
    fn rest(&self) -> Option<Vec<Seq>> {
        let rest = |source: &Source| match source.items.front() {
            Some(next) => next.item.seq.next(),
            None if source.ended => Seq::ZERO,
            None => source.before.unwrap_or(Seq(u64::MAX)),
        };
        let positions: Vec<Seq> = self.sources.iter().map(rest).collect();
        positions.iter().any(|position| *position > Seq::ZERO).then_some(positions)
    }
}

fn print_cursor(epoch: u64, positions: Vec<Seq>) -> String {
    format!(
        "{MARK}{}",
        Cursor { epoch, positions, accounts: Seq::ZERO, receipts: Seq::ZERO }.to_text()
    )
}

fn parse_cursor(text: &str, epoch: u64, partitions: PartitionCount) -> Result<Vec<Seq>, Failure> {
    let cursor = text.strip_prefix(MARK).and_then(|text| Cursor::parse(text).ok());
    match cursor.map(|cursor| cursor.start(epoch, partitions)) {
        Some(Start::From { positions, .. }) => Ok(positions),
        Some(Start::Reset) => {
            Err(Failure::bad_request("the cursor is of another log: begin without one"))
        }
        Some(Start::Nothing) | None => {
            Err(Failure::bad_request("the cursor is not one of this list"))
        }
    }
}

#[cfg(test)]
mod tests {
    use hansard_model::query::Item;
    use hansard_model::{GroupId, LogTime};
    use proptest::prelude::*;
    use serde_json::value::RawValue;

    use super::*;

    fn mention(seq: u64, ts: u64) -> FeedItem {
        let body = RawValue::from_string("{}".to_owned()).expect("JSON");
        let (prev, ts) = (Seq::ZERO, LogTime::from_millis(ts));
        FeedItem {
            conversation: ConversationId::Group(GroupId::from_entropy([1; 20])),
            item: Item { seq: Seq(seq), prev, n: 1, ts, body, state: None },
        }
    }

    /// What an owner says that looks at `scan` rows for an answer.
    fn owner(list: &[(u64, u64)], before: Option<Seq>, limit: usize) -> MentionsReply {
        let before = before.map_or(u64::MAX, |before| before.0);
        let rest: Vec<_> = list.iter().rev().filter(|(seq, _)| *seq < before).collect();
        let more = rest.len() > limit;
        let items: Vec<FeedItem> =
            rest.into_iter().take(limit).map(|(seq, ts)| mention(*seq, *ts)).collect();
        let reached = items.last().filter(|_| more).map_or(Seq::ZERO, |last| last.item.seq);
        MentionsReply { items, more, reached, as_of: Seq(1_000) }
    }

    fn page(
        lists: &[Vec<(u64, u64)>],
        cursor: Option<&str>,
        limit: usize,
    ) -> (Vec<u64>, Option<String>) {
        let count = PartitionCount::new(lists.len() as u16).expect("a count");
        let before = cursor.map(|text| parse_cursor(text, 3, count).expect("a cursor"));
        let mut merge = Merge::new(count, before);
        let mut items = Vec::new();
        loop {
            merge.take(limit, &mut items);
            let wanted = merge.wanted();
            if items.len() == limit || wanted.is_empty() {
                break;
            }
            for (partition, before) in wanted {
                merge.add(partition, owner(&lists[partition.index()], before, 2));
            }
        }
        let times = items.iter().map(|item| item.item.ts.as_millis()).collect();
        (times, merge.rest().map(|positions| print_cursor(3, positions)))
    }

    proptest! {
        #[test]
        fn pages_of_any_size_give_all_mentions_once_newest_first(
            places in prop::collection::vec(0_usize..4, 0..40),
            limit in 1_usize..9,
        ) {
            let mut lists = vec![Vec::new(); 4];
            for (ts, place) in (1_u64..).zip(&places) {
                let seq = lists[*place].len() as u64 * 3 + 1;
                lists[*place].push((seq, ts));
            }
            let (mut all, mut cursor) = (Vec::new(), None);
            loop {
                let (times, next) = page(&lists, cursor.as_deref(), limit);
                prop_assert!(times.len() == limit || next.is_none());
                all.extend(times);
                // What comes between two pages is newer than both, and on neither.
                let seq = lists[0].len() as u64 * 3 + 1;
                lists[0].push((seq, 10_000 + all.len() as u64));
                cursor = next;
                if cursor.is_none() {
                    break;
                }
            }
            let expected: Vec<u64> = (1..=places.len() as u64).rev().collect();
            prop_assert_eq!(all, expected);
        }
    }

    #[test]
    fn an_owner_that_finds_nothing_among_much_is_asked_on() {
        let one = PartitionCount::new(1).expect("one");
        let mut merge = Merge::new(one, None);
        let nothing = |reached| MentionsReply {
            items: Vec::new(),
            more: true,
            reached: Seq(reached),
            as_of: Seq(99),
        };
        merge.add(PartitionId(0), nothing(50));
        assert_eq!(merge.wanted(), [(PartitionId(0), Some(Seq(50)))]);
        assert_eq!(merge.rest(), Some(vec![Seq(50)]));
        merge.add(PartitionId(0), nothing(50));
        assert_eq!(merge.wanted(), [], "it gets nowhere");
    }

    #[test]
    fn a_cursor_of_something_else_is_refused() {
        let two = PartitionCount::new(2).expect("two");
        let of_resume = Cursor {
            epoch: 3,
            positions: vec![Seq(1), Seq(2)],
            accounts: Seq(1),
            receipts: Seq(1),
        }
        .to_text();
        let other_epoch = print_cursor(2, vec![Seq(1), Seq(2)]);
        for text in ["", "m", "x", &of_resume, &other_epoch, &print_cursor(3, vec![Seq(1)])] {
            assert!(parse_cursor(text, 3, two).is_err(), "{text}");
        }
    }
}
