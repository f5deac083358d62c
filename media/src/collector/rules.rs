//! What is to be done about an upload that somebody looks at: pure.

use std::collections::BTreeSet;
use std::time::Duration;

use hansard_model::LogTime;
use hansard_model::media::{CLAIM_AGAIN_AFTER_MS, Home, Sha256, State, Upload};

use crate::watch::Watch;

/// How long the collector leaves things alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// How often uploads are looked at that are due.
    pub look_every: Duration,
    /// How long an upload is kept that nothing refers to, from when the last reference went.
    pub grace: Duration,
    /// How long a claim holds that no message follows. At least [`Patience::CLAIM_MIN`], or a
    /// message that was let in can find its file gone.
    pub claim: Duration,
    /// A watch that was written less long ago stays: what it is for may not be written yet.
    /// Longer than a record takes to be written.
    pub young: Duration,
    /// An upload that is to be removed waits so long: its writers have noticed by then.
    pub dying: Duration,
    /// Finishing and processing that took longer have died with whoever did it.
    pub stuck: Duration,
    /// Blobs that an upload was about to join or to leave are left alone for so long: nobody
    /// processes anything for longer.
    pub joining: Duration,
    /// How long it is known of a message that it was deleted, or has no files any more. Much longer
    /// than events take to be read.
    pub forget: Duration,
}

impl Patience {
    /// A gateway lets an upload be sent for a minute without claiming it again, and what it lets in
    /// is stored within some seconds or void.
    pub const CLAIM_MIN: Duration = Duration::from_millis(2 * CLAIM_AGAIN_AFTER_MS);
}

impl Default for Patience {
    fn default() -> Self {
        const DAY: Duration = Duration::from_secs(24 * 60 * 60);
        Self {
            look_every: Duration::from_secs(30),
            grace: DAY,
            claim: DAY,
            young: Duration::from_secs(60),
            dying: Duration::from_secs(60),
            stuck: Duration::from_secs(5 * 60),
            joining: Duration::from_secs(30 * 60),
            forget: 7 * DAY,
        }
    }
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing before the next look.
    Wait,
    /// Nothing before this moment, which is later.
    Later(LogTime),
    /// Nothing, until somebody writes a watch again.
    Forget,
    /// All its bytes are there, and nobody makes a blob of them any more.
    Finish,
    /// Nobody processes it any more.
    Process,
    /// Objects are left that it does not need.
    Tidy,
    /// It is an avatar: whether its uploader's account still says so is to be looked at, and nothing
    /// else before this moment.
    Avatar(LogTime),
    /// It leaves the blobs that its watch names and its record does not.
    Leave(BTreeSet<Sha256>),
    /// It is to be removed, unless something refers to it after all, or an account names it.
    End,
    /// It is to be removed once the log was read to its end.
    Settle,
}

/// What is to be done about an upload with this record, and this watch that is due.
pub(super) fn judge(
    upload: Option<&Upload>,
    watch: &Watch,
    now: LogTime,
    patience: &Patience,
) -> Verdict {
    let age = now.since(watch.since);
    let Some(upload) = upload else { return absent(watch, age, patience) };
    match upload.state {
        State::Dying if age < patience.dying => Verdict::Wait,
        State::Dying => Verdict::Settle,
        State::Receiving if upload.keep_until <= now => Verdict::End,
        State::Receiving => later(upload.keep_until, age, patience),
        // What it was to be made of is lost.
        State::Finishing
            if is_over(upload, now, patience) && upload.keep_until.plus(patience.grace) <= now =>
        {
            Verdict::End
        }
        State::Finishing if age < patience.stuck => Verdict::Wait,
        State::Finishing => Verdict::Finish,
        State::Processing | State::Ready if is_over(upload, now, patience) => Verdict::End,
        State::Processing if age < patience.stuck => Verdict::Wait,
        State::Processing => Verdict::Process,
        State::Ready => ready(upload, watch, age, now, patience),
    }
}

/// What is left of one that was removed, or was never made.
fn absent(watch: &Watch, age: Duration, patience: &Patience) -> Verdict {
    if watch.joining.is_empty() {
        return if age < patience.young { Verdict::Wait } else { Verdict::Forget };
    }
    if age < patience.joining { Verdict::Wait } else { Verdict::Leave(watch.joining.clone()) }
}

fn ready(
    upload: &Upload,
    watch: &Watch,
    age: Duration,
    now: LogTime,
    patience: &Patience,
) -> Verdict {
    if !upload.parts.is_empty() {
        // Whoever finished it does that, too.
        return if age < patience.young { Verdict::Wait } else { Verdict::Tidy };
    }
    if !watch.joining.is_empty() {
        if age < patience.joining {
            return Verdict::Wait;
        }
        let held: BTreeSet<Sha256> = upload.contents.values().map(|content| content.blob).collect();
        return Verdict::Leave(&watch.joining - &held);
    }
    match upload.home {
        Home::Avatar if age < patience.young => Verdict::Wait,
        Home::Avatar => Verdict::Avatar(now.plus(patience.grace)),
        Home::Conversation(_) if !upload.references.is_empty() => {
            if age < patience.young {
                Verdict::Wait
            } else {
                Verdict::Forget
            }
        }
        Home::Uploader | Home::Conversation(_) => later(ends(upload, patience), age, patience),
    }
}

/// The watch moves, unless whoever wrote it may still be about to use it.
fn later(moment: LogTime, age: Duration, patience: &Patience) -> Verdict {
    if age < patience.young { Verdict::Wait } else { Verdict::Later(moment) }
}

/// Whether nothing refers to a finished upload, and nothing is about to.
fn is_over(upload: &Upload, now: LogTime, patience: &Patience) -> bool {
    let is_anybodys = match upload.home {
        Home::Avatar => true,
        Home::Uploader | Home::Conversation(_) => !upload.references.is_empty(),
    };
    !is_anybodys && ends(upload, patience) <= now
}

/// Until when an upload is kept that nothing refers to.
fn ends(upload: &Upload, patience: &Patience) -> LogTime {
    let claim = upload.claimed.map(|claimed| claimed.plus(patience.claim));
    claim.map_or(upload.keep_until, |claim| claim.max(upload.keep_until))
}

#[cfg(test)]
mod tests;
