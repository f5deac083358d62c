//! Loading what a batch needs: the only part of the fold that waits.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use hansard_model::{ConversationId, Group, Seq, UserId};

use super::{Fold, Incoming};
use crate::conversation::Conversation;
use crate::rows::{
    AnnotationRow, ConversationRow, Decode, EntryRow, Limit, MemberRow, Order, Prefix, RowKey,
    Rows, StoreError, decode, read,
};

/// Rows of a batch that are read at once.
const READS_AT_ONCE: usize = 32;

/// What a batch needs and was not loaded yet.
#[derive(Debug, Default)]
pub(crate) struct Needs {
    conversations: HashSet<ConversationId>,
    rows: HashSet<RowKey>,
}

/// What was loaded for a batch; `None`: there is no such thing.
#[derive(Debug, Default)]
pub(crate) struct Loaded {
    pub(super) conversations: HashMap<ConversationId, Option<Arc<Conversation>>>,
    rows: HashMap<RowKey, Option<Bytes>>,
}

impl Needs {
    pub(super) fn conversation(&mut self, loaded: &Loaded, id: ConversationId) {
        if !loaded.conversations.contains_key(&id) {
            self.conversations.insert(id);
        }
    }

    pub(super) fn row(&mut self, loaded: &Loaded, key: RowKey) {
        if !loaded.rows.contains_key(&key) {
            self.rows.insert(key);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.conversations.is_empty() && self.rows.is_empty()
    }
}

impl Loaded {
    /// A row; `None` also when it was not asked for.
    pub(super) fn row<V: Decode>(&self, key: &RowKey) -> Option<V> {
        V::decode(self.rows.get(key)?.as_ref()?)
    }

    /// Whether the store has the row.
    pub(super) fn has(&self, key: &RowKey) -> bool {
        self.rows.get(key).is_some_and(Option::is_some)
    }

    /// The edits in an annotation that was loaded.
    pub(super) fn edits(&self, annotation: &RowKey) -> Vec<Seq> {
        let row = self.row::<AnnotationRow>(annotation);
        row.map_or_else(Vec::new, |row| row.edits.iter().map(|(edit, _)| *edit).collect())
    }
}

/// Loads everything that a batch needs.
///
/// # Errors
/// [`StoreError`]
pub(crate) async fn load<R: Rows>(
    fold: &Fold,
    batch: &[Incoming],
    rows: &R,
) -> Result<Loaded, StoreError> {
    let mut loaded = Loaded::default();
    loop {
        let needs = fold.plan(batch, &loaded);
        if needs.is_empty() {
            return Ok(loaded);
        }
        let conversations = stream::iter(needs.conversations)
            .map(|id| async move {
                Ok::<_, StoreError>((id, load_conversation(rows, id).await?.map(Arc::new)))
            })
            .buffer_unordered(READS_AT_ONCE)
            .try_collect::<Vec<_>>();
        let others = stream::iter(needs.rows)
            .map(|key| async move { Ok::<_, StoreError>((key, rows.get(&key).await?)) })
            .buffer_unordered(READS_AT_ONCE)
            .try_collect::<Vec<_>>();
        let (conversations, others) = futures_util::try_join!(conversations, others)?;
        for (key, bytes) in &others {
            check(key, bytes.as_ref())?;
        }
        loaded.conversations.extend(conversations);
        loaded.rows.extend(others);
    }
}

/// A row that cannot be read must not pass as one that is not there.
fn check(key: &RowKey, bytes: Option<&Bytes>) -> Result<(), StoreError> {
    let Some(bytes) = bytes else { return Ok(()) };
    if matches!(key, RowKey::Annotation(..)) {
        decode::<AnnotationRow>(key, bytes).map(drop)
    } else {
        decode::<EntryRow>(key, bytes).map(drop)
    }
}

/// A conversation with all its members.
///
/// # Errors
/// [`StoreError`]
pub(crate) async fn load_conversation<R: Rows>(
    rows: &R,
    id: ConversationId,
) -> Result<Option<Conversation>, StoreError> {
    let Some(row) = read::<_, ConversationRow>(rows, &RowKey::Conversation(id)).await? else {
        return Ok(None);
    };
    let group =
        if id.is_group() { read::<_, Group>(rows, &RowKey::Group(id)).await? } else { None };
    let members = members_of(rows, id).await?;
    Ok(Some(Conversation::of_rows(id, &row, group, members.into_iter())))
}

async fn members_of<R: Rows>(
    rows: &R,
    id: ConversationId,
) -> Result<Vec<(UserId, MemberRow)>, StoreError> {
    if let ConversationId::Direct(x, y) = id {
        // Filters say which files have a row; a scan looks into all of them.
        let read = async |user| {
            let row = read::<_, MemberRow>(rows, &RowKey::Member(id, user)).await?;
            Ok::<_, StoreError>(row.map(|row| (user, row)))
        };
        let (one, other) = futures_util::try_join!(read(x), read(y))?;
        let other = other.filter(|_| x != y);
        return Ok(one.into_iter().chain(other).collect());
    }
    let found =
        rows.scan(Prefix::Members(id).whole(), Order::Ascending, Limit::rows(usize::MAX)).await?;
    let mut members = Vec::with_capacity(found.len());
    for (key, value) in &found {
        let unreadable = || StoreError::Row(format!("of a member of {id}"));
        let key = RowKey::parse(key).ok_or_else(unreadable)?;
        let RowKey::Member(_, user) = key else { return Err(unreadable()) };
        members.push((user, decode::<MemberRow>(&key, value)?));
    }
    Ok(members)
}
