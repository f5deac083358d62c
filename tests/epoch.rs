//! A log that is another than it was: brought back from a copy of some time ago. What was said since
//! is lost (that is what a backup is), but nobody goes on as if it were still there.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::harness::{
    Http, Roles, Session, couple, direct, eventually, forget_acks, message, mint, seq_of, text_of,
};
use crate::views::fold::assert_views_equal_the_log;

/// A deployment that was set back, and who talked in it.
struct SetBack {
    roles: Roles,
    ana: Session,
    ben: Session,
    conversation: String,
    /// A cursor of before, which covers events that are lost.
    cursor: String,
    /// The last event that is lost.
    lost: u64,
}

fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap();
    assert!(copied.success());
}

/// Everything is said, half of it after a copy was made of the streams; then the copy is put in
/// their place. Nothing but nats-server runs when this returns.
async fn set_back() -> SetBack {
    let mut roles = Roles::start(1, 1).await;
    let (ana, ben, conversation) = couple(roles.gateways[0].address).await;
    let say = async |from: u32, to: u32| {
        let mut last = 0;
        for number in from..to {
            last = ana.store(&conversation, &message(&format!("said {number}"))).await;
        }
        last
    };
    say(0, 15).await;
    roles.stop().await;
    let streams = roles.data.streams();
    let away: PathBuf = streams.with_extension("copy");
    copy(&streams, &away);

    roles.restart_nats().await;
    roles.start_projector().await;
    roles.restart_gateway(0).await;
    let lost = say(15, 40).await;
    let mut socket = ana.connect().await;
    socket.event(&conversation, lost).await;
    let cursor = socket.cursor().await;
    assert_eq!(ana.events(&conversation).await.len(), 40);
    roles.stop().await;
    std::fs::remove_dir_all(&streams).unwrap();
    std::fs::rename(&away, &streams).unwrap();
    roles.restart_nats().await;
    // This program was told of events that are no more.
    forget_acks(&conversation);
    SetBack { roles, ana, ben, conversation, cursor, lost }
}

impl SetBack {
    /// That everybody starts anew from what the log says now.
    async fn assert_started_anew(&mut self, said: usize) {
        let (roles, conversation) = (&mut self.roles, &self.conversation);
        roles.start_projector().await;
        roles.restart_gateway(0).await;
        let admin = Http::anonymous(roles.projectors[0].admin);
        eventually("readiness", async || admin.ask("GET", "/readyz", None).await.status == 200)
            .await;
        let back = self.ana.resume(&self.cursor).await;
        let synced = &back.of_type("synced")[0];
        assert_eq!(synced["reset"], true, "the cursor is of a log that is no more: {synced}");
        let both = [self.ana.clone(), self.ben.clone()];
        let events =
            assert_views_equal_the_log(&roles.data, &both, std::slice::from_ref(conversation))
                .await;
        assert_eq!(events, said);
        let last = self.ana.store(conversation, &message("and on")).await;
        let shown = self.ben.events(conversation).await;
        assert_eq!(shown.last().map(seq_of), Some(last));
        roles.data.hansard_done(&["views", "verify"]).await;
    }
}

#[tokio::test]
async fn a_log_that_ends_before_the_views_do_starts_a_new_epoch() {
    let mut after = set_back().await;
    after.assert_started_anew(15).await;
}

#[tokio::test]
async fn a_log_that_says_something_else_than_the_views_starts_a_new_epoch() {
    let mut after = set_back().await;
    // As far as before and further, but other words.
    let filler = direct(&after.ana.user, &after.ben.user);
    let mut last = 0;
    while last <= after.lost {
        let payload = serde_json::json!({
            "v": 1, "id": mint(), "sender": after.ben.user, "device": after.ben.device,
            "event": message("other words"),
        });
        let payload = payload.to_string();
        last = after.roles.data.store_straight(&filler, &after.ben.user, &payload).await;
    }
    let said = after.roles.data.replay(&after.conversation).await.len();
    after.assert_started_anew(said).await;
    let events = after.ben.events(&after.conversation).await;
    let is_lost = |event: &&Value| text_of(event) == "said 20";
    assert_eq!(events.iter().find(is_lost), None);
}
