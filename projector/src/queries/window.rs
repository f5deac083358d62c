//! Windows of a conversation: the rows that a page is made of, read once for all who ask for the
//! same at the same moment, and kept while the conversation's last event is the same.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use hansard_model::limit::{CATCH_UP_DEFAULT, PAGE_BYTES_MAX, PAGE_ITEMS_DEFAULT};
use hansard_model::{ConversationId, LogTime, Seq};
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use super::at::At;
use super::render::REACTION_BYTES;
use crate::conversation::Conversation;
use crate::fold::Projected;
use crate::metrics;
use crate::rows::{
    AnnotationRow, EntryRow, Limit, Order, Prefix, RowKey, Rows, StoreError, decode,
};

/// Bytes of windows that a process keeps.
const WINDOWS_BYTES_MAX: u64 = 32 * 1024 * 1024;
/// About how many windows that is.
const WINDOWS_ABOUT: usize = 2_000;
/// Conversations that were read for a query and may be asked for again.
const CONVERSATIONS_WEIGHT_MAX: u64 = 16_000;
/// What a row costs in memory besides its body, in bytes; about.
const ROW_BYTES: usize = 200;
/// Rows that one window reads at once.
const READS_AT_ONCE: usize = 32;
/// What does not fit into a page need not be read, but for one row behind it.
const SIDE_BYTES_MAX: usize = PAGE_BYTES_MAX + PAGE_BYTES_MAX / 2;
/// The windows that are opened most: they follow what is said, and are not read again for it.
const FOLLOWED: [Spot; 2] =
    [Spot::newest(Source::Listed, PAGE_ITEMS_DEFAULT), Spot::newest(Source::All, CATCH_UP_DEFAULT)];

/// Which events of a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Source {
    /// Every event.
    All,
    /// What `messages` lists.
    Listed,
    /// A message and the replies in its thread.
    Thread(Seq),
}

/// Where a window is, and how large.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Spot {
    pub(super) source: Source,
    /// The first event that is not before it.
    pub(super) center: Seq,
    /// Events before the center.
    pub(super) before: usize,
    /// Events from the center on.
    pub(super) after: usize,
}

impl Spot {
    /// Before everything that comes.
    pub(super) const fn newest(source: Source, before: usize) -> Self {
        Self { source, center: Seq(u64::MAX), before, after: 0 }
    }
}

/// What a window is known by. Its rows do not change while the conversation's last event is the
/// same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct WindowKey {
    pub(super) generation: u64,
    pub(super) conversation: ConversationId,
    pub(super) last: Seq,
    pub(super) spot: Spot,
}

/// An event, and what became of it.
#[derive(Clone, Debug)]
pub(super) struct Placed {
    pub(super) seq: Seq,
    pub(super) entry: EntryRow,
    pub(super) annotation: Option<AnnotationRow>,
    /// The body of its last edit.
    pub(super) edit: Option<Bytes>,
}

impl Placed {
    /// Bytes that it takes in a page, with what later events made of it.
    pub(super) fn weight(&self) -> usize {
        let reactions = self.annotation.iter().flat_map(|row| &row.reactions);
        let reactions = reactions.map(|(emoji, _)| emoji.len() + REACTION_BYTES);
        self.entry.body.len() + self.edit.as_ref().map_or(0, Bytes::len) + reactions.sum::<usize>()
    }
}

/// Rows around a center, whoever looks.
#[derive(Clone, Debug, Default)]
pub(super) struct Window {
    /// Before the center, the nearest first.
    pub(super) before: Vec<Placed>,
    /// From the center on, the nearest first.
    pub(super) after: Vec<Placed>,
}

type Kept = Cache<WindowKey, Arc<Window>, ByBytes>;
type KeptConversations = Cache<(u64, Seq, ConversationId), Option<Arc<Conversation>>, ByMembers>;

/// Windows that a process keeps; clones share them.
#[derive(Clone)]
pub(crate) struct Windows {
    windows: Arc<Kept>,
    conversations: Arc<KeptConversations>,
}

#[derive(Clone)]
struct ByBytes;

impl Weighter<WindowKey, Arc<Window>> for ByBytes {
    fn weight(&self, _: &WindowKey, window: &Arc<Window>) -> u64 {
        let of = |placed: &Placed| {
            ROW_BYTES + placed.entry.body.len() + placed.edit.as_ref().map_or(0, Bytes::len)
        };
        let bytes: usize = window.before.iter().chain(&window.after).map(of).sum();
        (bytes + ROW_BYTES) as u64
    }
}

#[derive(Clone)]
struct ByMembers;

impl Weighter<(u64, Seq, ConversationId), Option<Arc<Conversation>>> for ByMembers {
    fn weight(&self, _: &(u64, Seq, ConversationId), found: &Option<Arc<Conversation>>) -> u64 {
        found.as_ref().map_or(1, |conversation| conversation.weight())
    }
}

impl Windows {
    pub(crate) fn new() -> Self {
        let about = (CONVERSATIONS_WEIGHT_MAX / 6) as usize;
        Self {
            windows: Arc::new(Cache::with_weighter(WINDOWS_ABOUT, WINDOWS_BYTES_MAX, ByBytes)),
            conversations: Arc::new(Cache::with_weighter(
                about,
                CONVERSATIONS_WEIGHT_MAX,
                ByMembers,
            )),
        }
    }

    pub(super) async fn window(
        &self,
        key: WindowKey,
        read: impl Future<Output = Result<Window, StoreError>>,
    ) -> Result<Arc<Window>, StoreError> {
        let read = async {
            metrics::store_read("window");
            read.await.map(Arc::new)
        };
        self.windows.get_or_insert_async(&key, read).await
    }

    /// Makes the newest windows of a conversation, where somebody has opened one, those after an
    /// event that [stands alone](Projected::stands_alone).
    pub(crate) fn follow(&self, generation: u64, event: &Projected) {
        let Projected { conversation, seq, prev, .. } = *event;
        for spot in FOLLOWED {
            let key = |last| WindowKey { generation, conversation, last, spot };
            if let Some((_, window)) = self.windows.remove(&key(prev)) {
                self.windows.insert(key(seq), Arc::new(window.after(event, spot.before + 1)));
            }
        }
    }

    pub(super) async fn conversation(
        &self,
        key: (u64, Seq, ConversationId),
        read: impl Future<Output = Result<Option<Conversation>, StoreError>>,
    ) -> Result<Option<Arc<Conversation>>, StoreError> {
        let read = async {
            metrics::store_read("conversation");
            Ok(read.await?.map(Arc::new))
        };
        self.conversations.get_or_insert_async(&key, read).await
    }
}

impl Window {
    /// The newest window after an event that stands alone, of at most `rows`.
    fn after(&self, event: &Projected, rows: usize) -> Self {
        let newest = Placed { seq: event.seq, entry: event.entry(), annotation: None, edit: None };
        let (mut bytes, mut before) = (0, Vec::with_capacity(rows));
        for placed in std::iter::once(&newest).chain(&self.before).take(rows) {
            before.push(placed.clone());
            bytes += placed.entry.body.len();
            if bytes >= SIDE_BYTES_MAX {
                break;
            }
        }
        Self { before, after: Vec::new() }
    }

    /// Reads a window: one row more on each side than was asked for, so that a page knows whether
    /// there is more.
    pub(super) async fn read<R: Rows>(
        at: &At<R>,
        id: ConversationId,
        spot: Spot,
    ) -> Result<Self, StoreError> {
        let before = Seq::ZERO..spot.center;
        let after = spot.center..Seq(u64::MAX);
        let (before, after) = futures_util::try_join!(
            side(at, id, spot.source, before, Order::Descending, spot.before + 1),
            side(at, id, spot.source, after, Order::Ascending, spot.after + 1),
        )?;
        let (before, after) =
            futures_util::try_join!(annotate(at, id, spot, before), annotate(at, id, spot, after))?;
        Ok(Self { before, after })
    }
}

async fn side<R: Rows>(
    at: &At<R>,
    id: ConversationId,
    source: Source,
    seqs: Range<Seq>,
    order: Order,
    rows: usize,
) -> Result<Vec<(Seq, EntryRow)>, StoreError> {
    let limit = Limit { rows, bytes: SIDE_BYTES_MAX };
    match source {
        Source::Listed => events(at, Prefix::Listed(id), seqs, order, limit).await,
        Source::All => {
            let (listed, unlisted) = futures_util::try_join!(
                events(at, Prefix::Listed(id), seqs.clone(), order, limit),
                events(at, Prefix::Unlisted(id), seqs, order, limit),
            )?;
            let cut = |found: &Vec<(Seq, EntryRow)>| {
                let bytes: usize = found.iter().map(|(_, entry)| entry.body.len()).sum();
                // A list that was cut by its bytes says nothing of what lies behind its end.
                (bytes >= limit.bytes).then(|| found.last().map(|(seq, _)| *seq)).flatten()
            };
            let ends = [cut(&listed), cut(&unlisted)];
            let mut all: Vec<_> = listed.into_iter().chain(unlisted).collect();
            match order {
                Order::Ascending => all.sort_unstable_by_key(|(seq, _)| *seq),
                Order::Descending => all.sort_unstable_by_key(|(seq, _)| std::cmp::Reverse(*seq)),
            }
            for end in ends.into_iter().flatten() {
                let end = all.iter().position(|(seq, _)| *seq == end).map_or(all.len(), |i| i + 1);
                all.truncate(end);
            }
            all.truncate(rows);
            Ok(all)
        }
        Source::Thread(root) => thread(at, id, root, seqs, order, rows).await,
    }
}

async fn events<R: Rows>(
    at: &At<R>,
    prefix: Prefix,
    seqs: Range<Seq>,
    order: Order,
    limit: Limit,
) -> Result<Vec<(Seq, EntryRow)>, StoreError> {
    let found = at.rows.scan(prefix.between(seqs), order, limit).await?;
    found
        .iter()
        .map(|(key, value)| {
            let unreadable = || StoreError::Row("of an event".to_owned());
            let key = RowKey::parse(key).ok_or_else(unreadable)?;
            let seq = key.seq().ok_or_else(unreadable)?;
            Ok((seq, decode::<EntryRow>(&key, value)?))
        })
        .collect()
}

/// The positions of replies.
pub(super) async fn replies<R: Rows>(
    at: &At<R>,
    id: ConversationId,
    root: Seq,
    seqs: Range<Seq>,
    order: Order,
    rows: usize,
) -> Result<Vec<Seq>, StoreError> {
    let range = Prefix::Replies(id, root).between(seqs);
    let found = at.rows.scan(range, order, Limit::rows(rows)).await?;
    Ok(found.iter().filter_map(|(key, _)| RowKey::parse(key)?.seq()).collect())
}

async fn thread<R: Rows>(
    at: &At<R>,
    id: ConversationId,
    root: Seq,
    seqs: Range<Seq>,
    order: Order,
    rows: usize,
) -> Result<Vec<(Seq, EntryRow)>, StoreError> {
    let has_root = seqs.contains(&root);
    let mut places = replies(at, id, root, seqs, order, rows).await?;
    if has_root {
        match order {
            Order::Ascending => places.insert(0, root),
            Order::Descending => places.push(root),
        }
    }
    places.truncate(rows);
    let found: Vec<Option<(Seq, EntryRow)>> = stream::iter(places)
        .map(|seq| async move {
            let entry = at.read::<EntryRow>(RowKey::Listed(id, seq)).await?;
            Ok::<_, StoreError>(entry.map(|entry| (seq, entry)))
        })
        .buffered(READS_AT_ONCE)
        .try_collect()
        .await?;
    Ok(found.into_iter().flatten().collect())
}

/// Adds what became of the events, where a page shows it.
async fn annotate<R: Rows>(
    at: &At<R>,
    id: ConversationId,
    spot: Spot,
    found: Vec<(Seq, EntryRow)>,
) -> Result<Vec<Placed>, StoreError> {
    let mut annotations = BTreeMap::new();
    let ends = found.first().zip(found.last());
    if let Some(((one, _), (other, _))) = ends.filter(|_| spot.source != Source::All) {
        let seqs = *one.min(other)..one.max(other).next();
        let range = Prefix::Annotations(id).between(seqs);
        // A thread's replies lie far apart: between them may be more than is needed.
        if matches!(spot.source, Source::Thread(_)) {
            for (seq, _) in &found {
                if let Some(row) = at.read(RowKey::Annotation(id, *seq)).await? {
                    annotations.insert(*seq, row);
                }
            }
        } else {
            let limit = Limit::rows(usize::MAX);
            for (key, value) in at.rows.scan(range, Order::Ascending, limit).await? {
                let unreadable = || StoreError::Row("of an annotation".to_owned());
                let key = RowKey::parse(&key).ok_or_else(unreadable)?;
                let seq = key.seq().ok_or_else(unreadable)?;
                annotations.insert(seq, decode::<AnnotationRow>(&key, &value)?);
            }
        }
    }
    stream::iter(found)
        .map(|(seq, entry)| {
            let annotation = annotations.remove(&seq);
            async move {
                let edit = match &annotation {
                    Some(row) if row.deleted.is_none() => match row.edits.last() {
                        Some((edit, _)) => at.read::<EntryRow>(RowKey::Unlisted(id, *edit)).await?,
                        None => None,
                    },
                    Some(_) | None => None,
                };
                let edit = edit.map(|edit| edit.body);
                Ok(Placed { seq, entry, annotation, edit })
            }
        })
        .buffered(READS_AT_ONCE)
        .try_collect()
        .await
}

/// The first event from a position on and before another, and when it was stored.
pub(super) async fn first_from<R: Rows>(
    at: &At<R>,
    id: ConversationId,
    source: Source,
    from: Seq,
    to: Seq,
) -> Result<Option<(Seq, LogTime)>, StoreError> {
    let found = side(at, id, source, from..to, Order::Ascending, 1).await?;
    Ok(found.first().map(|(seq, entry)| (*seq, entry.ts)))
}
