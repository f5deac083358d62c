//! What an archiver knows from its beginning on: the head, and the segments that the stream still
//! holds too.

use std::collections::{HashSet, VecDeque};

use futures_util::{StreamExt as _, TryStreamExt as _};
use hansard_model::{LogTime, Seq};
use hansard_nats::deployment::{self, ArchiveHead, ReplaceError, Versioned};
use hansard_nats::log::{Extent, StoredEvent};
use hansard_nats::streams::StreamName;
use object_store::ObjectStoreExt as _;

use super::cut::EVENT_WITHIN;
use super::{ArchiveError, ArchiverSettings, Task, cut};
use crate::segment::{Decoder, SegmentName};
use crate::segments::{decoding, head_of, is_same, name_of};
use crate::{FollowError, HEADERS_AT_ONCE, ReadError, SetBack, metrics};

/// A tenure of an archiver.
pub(super) struct Tenure {
    head: Option<ArchiveHead>,
    revision: u64,
    /// The last event in segments: what the stream must hold there as well.
    tip: Option<StoredEvent>,
    /// Segments whose events the stream still holds, and when the last of each was stored.
    in_stream: VecDeque<(SegmentName, LogTime)>,
    /// When the first event behind the head was stored, once that was asked.
    oldest: Option<(Seq, LogTime)>,
}

impl Tenure {
    /// Supersedes whoever was at it, and removes what they left.
    pub(super) async fn begin(task: &Task<'_>) -> Result<Self, ArchiveError> {
        task.archive.objects().check(&task.archive.deployment).await?;
        // Before anything that nothing seems to reach is removed.
        let set_back = task.archive.set_back(task.log, task.stream).await?;
        if let Some(SetBack { stream, archived, last }) = set_back {
            return Err(ArchiveError::Behind { stream, archived, last });
        }
        let connection = task.log.connection();
        let Versioned { value: head, revision } =
            deployment::archive_head(connection, task.stream).await?;
        task.check_held()?;
        let revision =
            deployment::replace_archive_head(connection, task.stream, head.as_ref(), revision)
                .await
                .map_err(superseded)?;
        let mut tenure =
            Self { head, revision, tip: None, in_stream: VecDeque::new(), oldest: None };
        let extent = task.log.extent(task.stream).await?;
        if extent.first > tenure.archived().next() {
            tenure.adopt(task, extent).await?;
        }
        let chain = tenure.chain(task).await?;
        remove_unreachable(task, &chain, extent).await?;
        let kept = chain.iter().filter(|name| name.last >= extent.first).cloned();
        tenure.in_stream = futures_util::stream::iter(kept.collect::<Vec<_>>())
            .map(|name| async move {
                let to = task.archive.segments.header(&name).await?.to;
                Ok::<_, ArchiveError>((name, to))
            })
            .buffered(HEADERS_AT_ONCE)
            .try_collect()
            .await?;
        if let Some(name) = chain.last().filter(|name| name.last >= extent.first) {
            tenure.tip = task.archive.segments.find(name, name.last).await?;
        }
        Ok(tenure)
    }

    /// The last sequence in segments.
    fn archived(&self) -> Seq {
        self.head.as_ref().map_or(Seq::ZERO, |head| head.last)
    }

    async fn chain(&self, task: &Task<'_>) -> Result<Vec<SegmentName>, ArchiveError> {
        let Some(head) = &self.head else { return Ok(Vec::new()) };
        Ok(task.archive.segments.chain(task.stream, head).await?.to_vec())
    }

    /// The stream was trimmed up to segments that the head does not name: it is an older head, of
    /// a bucket that lost its last writes. The segments themselves say how they go on.
    async fn adopt(&mut self, task: &Task<'_>, extent: Extent) -> Result<(), ArchiveError> {
        let (stream, archived) = (task.stream, self.archived());
        let gap = ReadError::Gap { stream, archived, first: extent.first };
        let Some((_, chain)) = task.archive.segments.longest(stream).await? else {
            return Err(gap.into());
        };
        let known = self.head.as_ref().map(|head| name_of(stream, head));
        let continues = known.is_none_or(|known| chain.contains(&known));
        let Some(head) =
            head_of(&chain).filter(|head| continues && head.last.next() >= extent.first)
        else {
            return Err(gap.into());
        };
        for name in chain.iter().filter(|name| name.first > archived) {
            task.archive.segments.fetch(name).await?;
        }
        tracing::warn!(%stream, %archived, to = %head.last, "segments without a head found again");
        self.replace_head(task, head).await
    }

    /// Archives what is due and trims. Returns whether there may be more at once.
    pub(super) async fn step(&mut self, task: &Task<'_>) -> Result<bool, ArchiveError> {
        task.check_held()?;
        let extent = task.log.extent(task.stream).await?;
        self.compare(task, extent).await?;
        metrics::pending(task.stream, extent.last.0 - self.archived().0);
        let due = self.is_due(task, extent).await?;
        if due {
            let previous = self.head.as_ref().map(|head| head.sha256.clone());
            let cut = cut::cut(task, self.archived(), extent.last, previous).await?;
            cut::write(task, &cut.segment).await?;
            let name = cut.segment.name;
            let head = ArchiveHead {
                first: name.first,
                last: name.last,
                sha256: name.sha256.clone(),
                segments: self.head.as_ref().map_or(0, |head| head.segments) + 1,
            };
            self.replace_head(task, head).await?;
            metrics::segment_written(cut.segment.count, cut.segment.file.len() as u64);
            self.in_stream.push_back((name, cut.segment.to));
            self.tip = Some(cut.last);
            self.oldest = None;
        }
        self.trim(task, extent).await?;
        Ok(due)
    }

    /// The stream must go on from the archive, and hold the same where both do.
    async fn compare(&self, task: &Task<'_>, extent: Extent) -> Result<(), ArchiveError> {
        let (stream, archived) = (task.stream, self.archived());
        if extent.last < archived {
            return Err(ArchiveError::Behind { stream, archived, last: extent.last });
        }
        if extent.first > archived.next() {
            return Err(ReadError::Gap { stream, archived, first: extent.first }.into());
        }
        let Some(tip) = self.tip.as_ref().filter(|tip| tip.seq >= extent.first) else {
            return Ok(());
        };
        match task.log.stored(stream, tip.seq).await? {
            Some(stored) if is_same(stream, tip, &stored) => Ok(()),
            Some(_) | None => Err(ArchiveError::Diverged { stream, seq: tip.seq }),
        }
    }

    async fn is_due(&mut self, task: &Task<'_>, extent: Extent) -> Result<bool, ArchiveError> {
        let archived = self.archived();
        let pending = extent.last.0 - archived.0;
        if pending == 0 {
            return Ok(false);
        }
        let held = (extent.last.0 + 1).saturating_sub(extent.first.0).max(1);
        let bytes = extent.bytes / held * pending;
        let ArchiverSettings { segment_events, segment_bytes, segment_age, .. } = task.settings;
        if pending >= segment_events || bytes >= segment_bytes {
            return Ok(true);
        }
        let next = archived.next();
        if self.oldest.is_none_or(|(seq, _)| seq != next) {
            let stored = task.log.stored(task.stream, next).await?;
            self.oldest = stored.map(|stored| (next, stored.ts));
        }
        let (Some(now), Some((_, oldest))) = (extent.now, self.oldest) else { return Ok(false) };
        Ok(now.since(oldest) >= segment_age)
    }

    /// Makes the stream forget what is older than the hot window and in segments, which are looked
    /// at once more: after this they are the only copy.
    async fn trim(&mut self, task: &Task<'_>, extent: Extent) -> Result<(), ArchiveError> {
        let Some(now) = extent.now else { return Ok(()) };
        if task.stream == StreamName::Accounts {
            // Every gateway reads them from the beginning, and they are few.
            self.in_stream.clear();
            return Ok(());
        }
        let mut first = extent.first;
        while let Some((name, to)) = self.in_stream.front() {
            let last = name.last;
            if last >= first {
                if now.since(*to) <= task.settings.hot_window {
                    break;
                }
                task.archive.segments.fetch(name).await?;
                task.check_held()?;
                task.log.trim(task.stream, last).await?;
                metrics::trimmed(last.0 + 1 - first.0);
                first = last.next();
            }
            self.in_stream.pop_front();
        }
        Ok(())
    }

    async fn replace_head(
        &mut self,
        task: &Task<'_>,
        head: ArchiveHead,
    ) -> Result<(), ArchiveError> {
        task.check_held()?;
        let (connection, stream) = (task.log.connection(), task.stream);
        let replaced =
            deployment::replace_archive_head(connection, stream, Some(&head), self.revision).await;
        self.revision = match replaced {
            Ok(revision) => revision,
            // Its own write may have arrived without an answer.
            Err(error) => {
                let found = deployment::archive_head(connection, stream).await?;
                if found.value.as_ref() != Some(&head) {
                    return Err(superseded(error));
                }
                found.revision
            }
        };
        self.head = Some(head);
        Ok(())
    }
}

fn superseded(error: ReplaceError) -> ArchiveError {
    match error {
        ReplaceError::Conflict => ArchiveError::Superseded,
        ReplaceError::Unavailable(_) => error.into(),
    }
}

/// Removes segments that nothing reaches, left by archivers that died. One whose events are not
/// what the log has stays, for people: a stream may have been set back, and this be the only copy
/// of what was said.
async fn remove_unreachable(
    task: &Task<'_>,
    chain: &[SegmentName],
    extent: Extent,
) -> Result<(), ArchiveError> {
    let reachable: HashSet<&SegmentName> = chain.iter().collect();
    for listed in task.archive.segments.list(task.stream).await? {
        let name = listed.name;
        if reachable.contains(&name) {
            continue;
        }
        let path = task.archive.segments.path(&name);
        if name.last > extent.last || !is_of_the_log(task, &name).await? {
            tracing::warn!(object = %path, "a segment that nothing reaches differs from the log");
            continue;
        }
        task.check_held()?;
        match task.archive.objects().store.delete(&path).await {
            Ok(()) => tracing::info!(object = %path, "removed a segment that nothing reaches"),
            Err(object_store::Error::NotFound { .. }) => {}
            Err(error) => return Err(ArchiveError::Store(error)),
        }
    }
    Ok(())
}

/// Whether the log has every event of a segment; also if the segment was not written to its end.
async fn is_of_the_log(task: &Task<'_>, name: &SegmentName) -> Result<bool, ArchiveError> {
    let file = match task.archive.segments.fetch(name).await {
        Ok(file) => file,
        Err(ReadError::Segment { .. } | ReadError::Missing { .. }) => return Ok(true),
        Err(error) => return Err(error.into()),
    };
    let of = name.clone();
    let decoder = decoding(move || Decoder::new(&of, file)).await?;
    let after = Seq(name.first.0.saturating_sub(1));
    let mut reader = task.archive.follow_stream(task.log, task.stream, after);
    for archived in decoder {
        let next = tokio::time::timeout(EVENT_WITHIN, reader.next_stored()).await;
        let event = match next.map_err(|_| ArchiveError::Slow)? {
            Ok(event) => event,
            Err(FollowError::Stream(error)) => return Err(error.into()),
            Err(FollowError::Archive(error)) => return Err(error.into()),
        };
        if !is_same(task.stream, &archived?, &event) {
            return Ok(false);
        }
    }
    Ok(true)
}
