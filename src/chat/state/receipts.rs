//! How far the others have got: marks behind one's own messages, and the list on demand.

use hansard_model::presence::Visibility;
use hansard_model::{ConversationId, Seq, UserId};
use hansard_protocol::http::PatchUser;
use hansard_protocol::server::ReceiptFrame;
use tokio::time::timeout;

use super::act::answer;
use super::{Chat, News, READ_TIMEOUT};

/// Members whose marks are remembered of the open conversation.
const GOT_MAX: usize = 1_000;

impl Chat {
    /// Somebody has got further.
    pub(super) fn receipt(&mut self, receipt: &ReceiptFrame) -> News {
        if receipt.user != self.me.user && self.is_open(receipt.conversation) {
            self.note(receipt.user, receipt.delivered, receipt.read);
        }
        News::Nothing
    }

    fn note(&mut self, user: UserId, delivered: Seq, read: Seq) {
        if self.got.len() < GOT_MAX || self.got.contains_key(&user) {
            let got = self.got.entry(user).or_default();
            *got = (got.0.max(delivered), got.1.max(read));
        }
    }

    /// Learns how far the others in the open conversation have got; nothing when the server does
    /// not say now.
    pub(super) async fn look_up_receipts(&mut self, conversation: ConversationId) {
        let http = self.client.http();
        let list = http.receipts(conversation, None, None);
        let Ok(Ok(list)) = timeout(READ_TIMEOUT, list).await else { return };
        for item in list.items {
            self.note(item.user, item.delivered, item.read);
        }
    }

    /// What stands behind one's own message in the open conversation.
    pub(in crate::chat) fn got_mark(&self, seq: Seq) -> String {
        let is_group = self.room.as_ref().is_some_and(|room| room.conversation.is_group());
        mark(is_group, self.got.values(), seq)
    }

    /// Lets the others see what one reads from now on, or nobody; without either, says which holds.
    pub(super) async fn read_receipts(
        &self,
        visibility: Option<Visibility>,
    ) -> anyhow::Result<&'static str> {
        let http = self.client.http();
        let own = match visibility {
            Some(_) => {
                let patch = PatchUser { read_receipts: visibility, ..PatchUser::default() };
                answer(http.patch_profile(&patch)).await?
            }
            None => answer(http.profile()).await?,
        };
        Ok(match own.read_receipts {
            Visibility::Shared => "others see what you have read",
            Visibility::Nobody => "nobody sees what you have read",
        })
    }

    /// Who has got and who has read one's own last message here.
    pub(super) async fn receipt_lines(&mut self, seq: Seq) -> anyhow::Result<Vec<String>> {
        let conversation = self.here()?;
        let list = answer(self.client.http().receipts(conversation, Some(seq), None)).await?;
        self.learn(list.items.iter().map(|item| item.user)).await;
        let (delivered, read) = (list.delivered_count, list.read_count);
        let mut lines = vec![format!("delivered to {delivered}, read by {read}")];
        lines.extend(list.items.iter().map(|item| {
            let what = if item.read >= seq { "read" } else { "delivered" };
            format!("{} ({what})", self.name(item.user))
        }));
        if list.next.is_some() {
            lines.push("… and more".to_owned());
        }
        Ok(lines)
    }
}

fn mark<'a>(is_group: bool, got: impl Iterator<Item = &'a (Seq, Seq)>, seq: Seq) -> String {
    let (mut delivered, mut read) = (0, 0);
    for (has, has_read) in got {
        delivered += usize::from(*has >= seq);
        read += usize::from(*has_read >= seq);
    }
    match (delivered, read) {
        (0, _) => "✓".to_owned(),
        (_, 0) if !is_group => "✓✓".to_owned(),
        (_, _) if !is_group => "✓✓ read".to_owned(),
        (_, 0) => format!("✓✓{delivered}"),
        (_, _) => format!("✓✓{delivered} read {read}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_stored_then_delivered_then_read() {
        let got = [(Seq(9), Seq(4)), (Seq(7), Seq(0)), (Seq(0), Seq(0))];
        let of = |is_group, seq| mark(is_group, got.iter(), Seq(seq));
        assert_eq!([10, 8, 4].map(|seq| of(false, seq)), ["✓", "✓✓", "✓✓ read"]);
        assert_eq!([10, 8, 4].map(|seq| of(true, seq)), ["✓", "✓✓1", "✓✓2 read 1"]);
    }
}
