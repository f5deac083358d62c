//! The view at one position: what queries read.

use std::sync::Arc;

use futures_util::stream::{self, StreamExt, TryStreamExt};
use hansard_model::query::QueryError;
use hansard_model::{ConversationId, PartitionId, Seq, UserId};

use super::window::{Spot, Window, WindowKey, Windows};
use crate::conversation::Conversation;
use crate::fold::load_conversation;
use crate::rows::{
    AnnotationRow, ConversationRow, Decode, EntryRow, MemberRow, OrderRow, RowKey, Rows,
    StoreError, read,
};

/// Rows that one query reads at once.
const READS_AT_ONCE: usize = 32;

/// Why a query was not answered.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    /// As the asker gets it.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// The rows cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A partition as it is at a position.
#[derive(Clone)]
pub(crate) struct At<R> {
    pub(crate) rows: R,
    /// All of the partition up to here is in the rows.
    pub(crate) applied: Seq,
    /// The inbox bucket holds everything up to here.
    pub(crate) bucket: Seq,
    pub(crate) partition: PartitionId,
    /// The generation of the rows.
    pub(crate) generation: u64,
    /// The conversation that is asked about, if the owner had it in memory.
    pub(crate) kept: Option<Arc<Conversation>>,
    pub(crate) windows: Windows,
}

/// What one user shares of a conversation.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) conversation: ConversationRow,
    pub(crate) member: Option<MemberRow>,
}

impl<R: Rows> At<R> {
    /// A conversation with all its members, if anything was ever valid in it.
    pub(super) async fn conversation(
        &self,
        id: ConversationId,
    ) -> Result<Option<Arc<Conversation>>, StoreError> {
        if let Some(kept) = self.kept.as_ref().filter(|kept| kept.id == id) {
            return Ok(Some(Arc::clone(kept)));
        }
        let key = (self.generation, self.applied, id);
        self.windows.conversation(key, async { load_conversation(&self.rows, id).await }).await
    }

    /// A conversation and one user's side of it, by two rows.
    pub(super) async fn seen(
        &self,
        id: ConversationId,
        user: UserId,
    ) -> Result<Option<Seen>, StoreError> {
        if let Some(kept) = self.kept.as_ref().filter(|kept| kept.id == id) {
            let member = kept.member(user).map(|member| member.row());
            return Ok(Some(Seen { conversation: kept.row(), member }));
        }
        let (conversation, member) = futures_util::try_join!(
            self.read::<ConversationRow>(RowKey::Conversation(id)),
            self.read::<MemberRow>(RowKey::Member(id, user)),
        )?;
        Ok(conversation.map(|conversation| Seen { conversation, member }))
    }

    /// Events around a spot; identical concurrent reads are one.
    pub(super) async fn window(
        &self,
        conversation: ConversationId,
        last: Seq,
        spot: Spot,
    ) -> Result<Arc<Window>, StoreError> {
        let key = WindowKey { generation: self.generation, conversation, last, spot };
        self.windows.window(key, Window::read(self, conversation, spot)).await
    }

    pub(super) async fn read<V: Decode>(&self, key: RowKey) -> Result<Option<V>, StoreError> {
        read(&self.rows, &key).await
    }

    /// An event; listed or not.
    pub(super) async fn entry(
        &self,
        id: ConversationId,
        seq: Seq,
    ) -> Result<Option<EntryRow>, StoreError> {
        match self.read(RowKey::Listed(id, seq)).await? {
            Some(entry) => Ok(Some(entry)),
            None => self.read(RowKey::Unlisted(id, seq)).await,
        }
    }

    pub(super) async fn annotation(
        &self,
        id: ConversationId,
        seq: Seq,
    ) -> Result<AnnotationRow, StoreError> {
        Ok(self.read(RowKey::Annotation(id, seq)).await?.unwrap_or_default())
    }

    /// The events that stand at positions of the partition's order.
    pub(crate) async fn ordered(
        &self,
        places: Vec<(Seq, OrderRow)>,
    ) -> Result<Vec<(Seq, ConversationId, EntryRow)>, StoreError> {
        stream::iter(places)
            .map(|(seq, place)| async move {
                let id = place.conversation;
                let key = if place.listed { RowKey::Listed } else { RowKey::Unlisted }(id, seq);
                let entry: Option<EntryRow> = self.read(key).await?;
                let entry = entry.ok_or_else(|| StoreError::Row(key.to_string()))?;
                Ok((seq, id, entry))
            })
            .buffered(READS_AT_ONCE)
            .try_collect()
            .await
    }
}
