//! Once: whether an event is in the log already, and until when a new attempt may be vouched for so
//! that no rival attempt of the same id can be valid too (design, section 5).

use std::time::Duration;

use hansard_model::query::{LookupReply, LookupRequest, QueryError};
use hansard_model::subject::QueryVerb;
use hansard_model::{Envelope, LogTime, Seq, limit};
use hansard_nats::query;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{ASK_WITHIN, Prepared, SendError, Sender, Settled, Stored};

const WINDOW: Duration = Duration::from_millis(limit::DEDUPLICATION_WINDOW_MS);
const TOLERANCE: Duration = Duration::from_millis(limit::CLIENT_CLOCK_TOLERANCE_MS);
const ERROR: Duration = Duration::from_millis(limit::LOG_TIME_ERROR_MS);

/// What is known of an id.
pub(super) enum Once {
    /// It is stored there.
    Stored(Seq),
    /// It is not; an attempt may be vouched for until then.
    Until(LogTime),
}

impl Sender {
    pub(super) async fn once(&self, prepared: &Prepared) -> Result<Once, SendError> {
        let now = self.log().clock().now()?;
        let minted = LogTime::from_millis(prepared.key.id.millis());
        if minted > now.plus(TOLERANCE) {
            return Err(SendError::ClockAhead(now));
        }
        // Any earlier acceptance was at or after `minted - TOLERANCE`: until then the stream still
        // knows it.
        let known_until = minted.plus(WINDOW).minus(TOLERANCE + ERROR);
        if now <= known_until {
            return Ok(Once::Until(known_until));
        }
        // Before the look-up: an acceptance after it is known to the stream for a window from here.
        let known_until = now.plus(WINDOW).minus(ERROR);
        Ok(match self.look_up(prepared).await? {
            Some(seq) => Once::Stored(seq),
            None => Once::Until(known_until),
        })
    }

    /// Where the event is stored: in the index, and in the log beyond it.
    pub(super) async fn look_up(&self, prepared: &Prepared) -> Result<Option<Seq>, SendError> {
        let log = self.log();
        let key = prepared.key;
        let question =
            LookupRequest { conversation: key.conversation, sender: key.sender, id: key.id };
        let partition = log.partition_of(key.conversation);
        let answer: LookupReply =
            query::ask(log.connection(), partition, QueryVerb::Lookup, &question, ASK_WITHIN)
                .await?;
        let mut void = answer.void;
        let seq = match answer.seq {
            Some(seq) => Some(seq),
            None => {
                let class = prepared.draft.event().class();
                let found = log.find_after(key, class, answer.as_of).await?;
                // What left the stream before the index had it would be missed; afterwards, so
                // that nothing leaves unnoticed during the scan.
                let first = self.shared.past.extent(partition).await?.first;
                if found.seq.is_none() && first > answer.as_of.next() {
                    return Err(SendError::Ask(QueryError::Behind.into()));
                }
                void.extend(found.void);
                found.seq
            }
        };
        for attempt in void {
            self.shared.void.note(key, attempt);
        }
        Ok(seq)
    }

    /// Refuses an event, unless it is stored: then the caller is resending, and gets its place.
    pub(super) async fn refuse(
        &self,
        prepared: &Prepared,
        refusal: SendError,
    ) -> Result<Seq, SendError> {
        if !matches!(refusal, SendError::Rejected(_)) {
            return Err(refusal);
        }
        self.look_up(prepared).await?.ok_or(refusal)
    }

    /// Reads the event at `seq` from the leader: the same event, another under the same id, or a
    /// void one.
    pub(super) async fn read_back(
        &self,
        prepared: &Prepared,
        seq: Seq,
        duplicate: bool,
    ) -> Result<Settled, SendError> {
        let past = &self.shared.past;
        let partition = past.log().partition_of(prepared.key.conversation);
        let record = past.record(partition, seq).await?.ok_or(SendError::Gone(seq))?;
        if record.is_void() {
            self.shared.void.note(prepared.key, seq);
            return Ok(Settled::Void);
        }
        if record.key != Some(prepared.key) || !is_same_event(prepared, &record.payload) {
            return Err(SendError::IdReused);
        }
        Ok(Settled::Stored(Stored { seq, duplicate }))
    }
}

/// Whether the stored event is what the caller sends: the same canonical JSON, but for what the
/// gateway itself writes.
fn is_same_event(prepared: &Prepared, payload: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Body<'a> {
        #[serde(borrow)]
        event: &'a RawValue,
    }
    let Ok(body) = serde_json::from_slice::<Body<'_>>(payload) else { return false };
    let target_sender = Envelope::decode(payload).ok().and_then(|envelope| match envelope.event {
        hansard_model::Event::Edit(edit) => edit.target_sender,
        hansard_model::Event::Delete(delete) => delete.target_sender,
        _ => None,
    });
    let mut draft = hansard_model::draft::Draft::clone(&prepared.draft);
    if let Some(sender) = target_sender {
        draft = draft.with_target_sender(sender);
    }
    draft.to_json() == body.event.get()
}
