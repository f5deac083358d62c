//! One conversation out of segments and stream.

use bytes::Bytes;
use hansard_model::{ConversationId, Record, Seq};
use hansard_nats::Log;
use hansard_nats::streams::StreamName;
use tokio::sync::mpsc;

use crate::reader::{Part, read_segments};
use crate::{Archive, ReadError};

/// Events that a replay holds for its reader.
const REPLAY_BUFFER: usize = 1_024;

type Sender = mpsc::Sender<Result<Record<Bytes>, ReadError>>;

/// See [`Archive::replay`].
pub(crate) async fn replay(
    archive: &Archive,
    log: &Log,
    conversation: ConversationId,
    after: Seq,
    live: bool,
) -> Result<mpsc::Receiver<Result<Record<Bytes>, ReadError>>, ReadError> {
    let stream = StreamName::Events(log.partition_of(conversation));
    let end = log.last_of(conversation).await?;
    let replay = Replay { archive: archive.clone(), log: log.clone(), stream, conversation };
    let (sender, receiver) = mpsc::channel(REPLAY_BUFFER);
    tokio::spawn(async move {
        let work = async {
            if let Err(error) = replay.run(after, end, live, &sender).await {
                // Nobody may be left to hear of it.
                let _ = sender.send(Err(error)).await;
            }
        };
        tokio::select! {
            () = work => {}
            () = sender.closed() => {}
        }
    });
    Ok(receiver)
}

struct Replay {
    archive: Archive,
    log: Log,
    stream: StreamName,
    conversation: ConversationId,
}

impl Replay {
    async fn run(&self, after: Seq, end: Seq, live: bool, out: &Sender) -> Result<(), ReadError> {
        let mut position = after;
        loop {
            let first = self.log.extent(self.stream).await?.first;
            if position.next() < first {
                position = self.give_archived(position, first, out).await?;
                continue;
            }
            if position >= end {
                break;
            }
            let (records, reached) = self.log.events_of(self.conversation, position, end).await?;
            // What was trimmed meanwhile is missing on the page: it is read again.
            if self.log.extent(self.stream).await?.first > position.next() {
                continue;
            }
            for record in records {
                // Whoever has seen enough ends this task.
                let _ = out.send(Ok(record)).await;
            }
            position = reached;
        }
        if live {
            let mut records = self.log.replay(self.conversation, position, true).await?;
            while let Some(record) = records.recv().await {
                let _ = out.send(Ok(record)).await;
            }
        }
        Ok(())
    }

    async fn give_archived(&self, after: Seq, first: Seq, out: &Sender) -> Result<Seq, ReadError> {
        let to = Seq(first.0 - 1);
        let mut parts = read_segments(&self.archive, self.stream, after, to);
        let mut archived = after;
        while let Some(part) = parts.recv().await {
            match part? {
                Part::Events(events) => {
                    let records = events.iter().filter_map(hansard_nats::log::StoredEvent::record);
                    for record in records.filter(|record| record.conversation == self.conversation)
                    {
                        let _ = out.send(Ok(record)).await;
                    }
                }
                Part::End(reached) => archived = reached,
            }
        }
        if archived < to {
            return Err(ReadError::Gap { stream: self.stream, archived, first });
        }
        Ok(archived)
    }
}
