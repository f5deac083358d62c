//! The inbox bucket against the log: every value of the partition, and put right if asked for.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use bytes::Bytes;
use hansard_model::Seq;
use hansard_model::inbox::InboxKey;
use hansard_model::query::DifferenceKind;
use hansard_nats::inbox::Entry;
use tokio::time::Instant;

use super::build::{Built, scratch};
use super::{Context, JobError, Standing};
use crate::queries::bucket_value;
use crate::rows::{Limit, Order, Prefix, RowKey, Rows, after};

/// How long the bucket may take to reach the position at which it is compared.
const WRITTEN_WITHIN: Duration = Duration::from_secs(120);
/// A value that is written just now is looked at again so often, after this pause.
const LOOKS_MAX: u32 = 40;
const LOOK_PAUSE: Duration = Duration::from_millis(250);
/// Rows read at a time.
const STEP: Limit = Limit { rows: 1_024, bytes: 1024 * 1024 };

/// What a value is.
enum Judgement {
    Right,
    Wrong(DifferenceKind),
    /// It is being written, or newer than what it is compared with.
    NotYet(DifferenceKind),
}

/// Compares every value of the bucket with what the log gives, and writes what differs if
/// `is_rebuild`. Readers of the bucket never miss a value meanwhile.
pub(super) async fn examine(context: &Context, to: Seq, is_rebuild: bool) -> Result<(), JobError> {
    let mut scratch = scratch(context, to).await?;
    let outcome = examine_with(context, &mut scratch, to, is_rebuild).await;
    scratch.discard().await;
    outcome
}

async fn examine_with(
    context: &Context,
    scratch: &mut Built,
    to: Seq,
    is_rebuild: bool,
) -> Result<(), JobError> {
    let mut standing = context.standing.clone();
    let written = standing.wait_for(|standing| standing.written >= to);
    match tokio::time::timeout(WRITTEN_WITHIN, written).await {
        Ok(Ok(_)) => {}
        Ok(Err(_)) => return Err(JobError::Ended),
        Err(_) => return Err(JobError::Behind),
    }
    let bucket = &context.shared.bucket;
    let mut found: HashMap<InboxKey, Bytes> = HashMap::new();
    bucket
        .entries(context.partition, |entry| {
            found.insert(entry.key, entry.value);
        })
        .await?;
    let mut compared = 0u64;
    let mut doubtful: Vec<InboxKey> = Vec::new();
    let mut expected: HashSet<InboxKey> = HashSet::new();
    let at = scratch.at().await?;
    for prefix in [Prefix::Conversations, Prefix::AllMembers] {
        let mut left = prefix.whole();
        loop {
            let rows = at.rows.scan(left.clone(), Order::Ascending, STEP).await?;
            let Some((last, _)) = rows.last() else { break };
            left = after(&left, last);
            for (key, _) in &rows {
                let key = match RowKey::parse(key) {
                    Some(RowKey::Conversation(id)) => InboxKey::Head(id),
                    Some(RowKey::Member(id, user)) => InboxKey::Member(user, id),
                    Some(_) | None => continue,
                };
                let value = bucket_value(&at, key).await?;
                let is_same = value.is_some_and(|(value, _)| {
                    found.get(&key).is_some_and(|found| same(found, &value))
                });
                compared += 1;
                expected.insert(key);
                if !is_same {
                    doubtful.push(key);
                }
            }
            context.report.update(|job| job.compared = compared);
        }
    }
    let extra: Vec<InboxKey> =
        found.keys().filter(|key| !expected.contains(key)).copied().collect();
    compared += extra.len() as u64;
    doubtful.extend(extra);
    drop((found, expected, at));
    context.report.update(|job| job.compared = compared);
    for key in doubtful {
        settle(context, scratch, key, is_rebuild).await?;
    }
    Ok(())
}

/// Looks at a value until it is right or certainly wrong.
async fn settle(
    context: &Context,
    scratch: &mut Built,
    key: InboxKey,
    is_rebuild: bool,
) -> Result<(), JobError> {
    let bucket = &context.shared.bucket;
    let began = Instant::now();
    for look in 0.. {
        // How far the bucket is, before it is read.
        let standing = *context.standing.borrow();
        scratch.advance(standing.applied).await?;
        let entry = bucket.entry(key).await?;
        let expected = bucket_value(&scratch.at().await?, key).await?;
        let what = match judge(entry.as_ref(), expected.as_ref(), standing) {
            Judgement::Right => return Ok(()),
            Judgement::NotYet(_) if look < LOOKS_MAX => {
                tokio::time::sleep(LOOK_PAUSE).await;
                continue;
            }
            // Carries a position that the log does not have, or is never written.
            Judgement::NotYet(what) | Judgement::Wrong(what) => what,
        };
        tracing::debug!(partition = %context.partition, %key, ?what, took_ms = began.elapsed().as_millis() as u64, "inbox");
        if is_rebuild {
            match (&expected, &entry) {
                (Some((value, _)), entry) => {
                    let revision = entry.as_ref().map_or(0, |entry| entry.revision);
                    if !bucket.replace(key, value.clone(), revision).await? {
                        // Written meanwhile: look again.
                        continue;
                    }
                }
                (None, Some(_)) => bucket.remove(key).await?,
                (None, None) => {}
            }
        }
        context.report.differs(key.to_string(), what);
        return Ok(());
    }
    Ok(())
}

fn judge(
    entry: Option<&Entry>,
    expected: Option<&(Vec<u8>, Seq)>,
    standing: Standing,
) -> Judgement {
    let certain = |is_certain: bool, what| {
        if is_certain { Judgement::Wrong(what) } else { Judgement::NotYet(what) }
    };
    match (entry, expected) {
        (None, None) => Judgement::Right,
        (None, Some((_, as_of))) => certain(standing.written >= *as_of, DifferenceKind::Missing),
        (Some(entry), None) => certain(entry.as_of <= standing.applied, DifferenceKind::Extra),
        (Some(entry), Some((value, _))) if same(&entry.value, value) => Judgement::Right,
        (Some(entry), Some((_, as_of))) => {
            let is_pending = entry.as_of < *as_of && standing.written < *as_of;
            let is_certain = !is_pending && entry.as_of <= standing.applied;
            certain(is_certain, DifferenceKind::Different)
        }
    }
}

/// The same value, byte by byte: they are written by the same code.
fn same(found: &Bytes, expected: &[u8]) -> bool {
    found.as_ref() == expected
}
