//! The people of a file: one account for each nick, without a password.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use anyhow::{Context, bail};
use futures_util::StreamExt;
use hansard_model::account::{Accounts, Handle};
use hansard_model::subject::Subject;
use hansard_model::{AccountEvent, Seq, UserId, limit};
use hansard_nats::Connection;
use hansard_nats::accounts::{AccountLog, AppendError};

use super::id::Ids;
use super::{insist, line};

/// Accounts on their way to the log at once.
const IN_FLIGHT: usize = 256;
/// How often what has no acknowledgement is looked for and sent again.
const ROUNDS_MAX: usize = 10;

/// Who and how much is in a file.
pub(super) struct Census {
    /// In the order of their first words.
    pub(super) nicks: Vec<String>,
    /// Messages.
    pub(super) lines: u64,
}

/// Reads the whole file once; fails at the first mistake in it.
pub(super) fn census(path: &Path) -> anyhow::Result<Census> {
    let (mut nicks, mut known, mut lines) = (Vec::new(), HashSet::new(), 0);
    for line in line::read(path)? {
        let line = line?;
        lines += 1;
        if known.insert(line.nick.clone()) {
            nicks.push(line.nick);
        }
    }
    Ok(Census { nicks, lines })
}

/// The accounts of the deployment, and which of them are the file's people.
pub(super) struct People<'a> {
    log: AccountLog,
    ids: &'a Ids,
    accounts: Accounts,
    by_nick: HashMap<String, UserId>,
}

impl<'a> People<'a> {
    pub(super) async fn read(connection: &Connection, ids: &'a Ids) -> anyhow::Result<Self> {
        let log = AccountLog::open(connection);
        let mut people = Self { log, ids, accounts: Accounts::default(), by_nick: HashMap::new() };
        people.catch_up().await?;
        Ok(people)
    }

    /// Reads what the stream has by now.
    async fn catch_up(&mut self) -> anyhow::Result<()> {
        let last = insist(async || Ok(self.log.last_seq().await?)).await?;
        let mut reader = self.log.follow(self.accounts.applied());
        while self.accounts.applied() < last {
            let record = reader.next().await;
            match record.event {
                Some((subject, event)) => {
                    self.accounts.apply(record.seq, record.ts, subject, event);
                }
                None => self.accounts.skip(record.seq),
            }
        }
        Ok(())
    }

    /// The owner of the group: the account that was named, or whoever wrote the first line.
    pub(super) fn owner(&self, handle: Option<&Handle>, census: &Census) -> anyhow::Result<UserId> {
        match handle {
            Some(handle) => {
                let account = self.accounts.by_handle(handle);
                Ok(account.with_context(|| format!("nobody has the handle {handle}"))?.user)
            }
            None => Ok(self.ids.user(census.nicks.first().context("the file is empty")?)),
        }
    }

    /// The users of the file, in the order of their first words.
    pub(super) fn users(&self, census: &Census) -> Vec<UserId> {
        census.nicks.iter().map(|nick| self.ids.user(nick)).collect()
    }

    /// The user of a nick; computed once.
    pub(super) fn user(&self, nick: &str) -> UserId {
        self.by_nick.get(nick).copied().unwrap_or_else(|| self.ids.user(nick))
    }

    /// Creates who is missing. Whether an attempt was stored is read, never guessed.
    pub(super) async fn create(&mut self, census: &Census) -> anyhow::Result<()> {
        for nick in &census.nicks {
            self.by_nick.insert(nick.clone(), self.ids.user(nick));
        }
        for _ in 0..ROUNDS_MAX {
            let wanted = self.plan(census)?;
            if wanted.is_empty() {
                return Ok(());
            }
            let log = &self.log;
            let mut attempts = futures_util::stream::iter(wanted)
                .map(|(handle, event)| async move {
                    log.append(&Subject::AccountHandle(handle), &event, Some(Seq::ZERO)).await
                })
                .buffer_unordered(IN_FLIGHT);
            while let Some(attempt) = attempts.next().await {
                match attempt {
                    Ok(_) | Err(AppendError::Conflict) => {}
                    Err(error) => tracing::debug!(%error, "an account is to be looked for"),
                }
            }
            drop(attempts);
            self.catch_up().await?;
        }
        bail!("the account log does not take the people: run the same import again")
    }

    fn plan(&self, census: &Census) -> anyhow::Result<Vec<(Handle, AccountEvent)>> {
        let (mut plan, mut taken) = (Vec::new(), HashSet::new());
        for nick in &census.nicks {
            let user = self.ids.user(nick);
            if self.accounts.user(user).is_some() {
                continue;
            }
            let free = |handle: &Handle| {
                self.accounts.by_handle(handle).is_none() && !taken.contains(handle)
            };
            let handle = handles(nick, &self.ids.mark(nick)).into_iter().find(free);
            let handle = handle.with_context(|| format!("no handle is left for {nick:?}"))?;
            taken.insert(handle.clone());
            let request = self.ids.user_request(nick);
            let (name, password) = (display_name(nick), None);
            plan.push((
                handle.clone(),
                AccountEvent::UserCreated { user, handle, name, password, request },
            ));
        }
        Ok(plan)
    }
}

/// Handles for a nick, the nicest first: the nick made valid, then with more and more of a mark
/// that is the nick's own.
fn handles(nick: &str, mark: &str) -> Vec<Handle> {
    let mut base: String = nick
        .chars()
        .flat_map(char::to_lowercase)
        .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '_' | '-') { c } else { '.' })
        .collect();
    // What cannot be in a handle goes; it joins only what stands on both of its sides.
    base = base.split('.').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-");
    if base.is_empty() {
        "person".clone_into(&mut base);
    }
    let with = |characters: usize| {
        let suffix = mark.get(..characters).unwrap_or(mark);
        let room = limit::HANDLE_BYTES_MAX - suffix.len() - usize::from(characters > 0);
        let mut handle: String = base.chars().take(room).collect();
        if characters > 0 {
            handle = format!("{handle}-{suffix}");
        }
        handle.parse().ok()
    };
    [0, 4, 8, 20].into_iter().filter_map(with).collect()
}

/// The nick as it was, unless it cannot be shown on one line.
fn display_name(nick: &str) -> String {
    let mut name: String = nick.chars().filter(|c| !c.is_control()).collect();
    while name.len() > limit::NAME_BYTES_MAX {
        name.pop();
    }
    if name.trim().is_empty() { "?".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nicest(nick: &str) -> String {
        handles(nick, "abcdefghijklmnopqrst")[0].to_string()
    }

    #[test]
    fn handles_are_the_nick_as_far_as_it_goes() {
        assert_eq!(nicest("crimsun"), "crimsun");
        assert_eq!(nicest("|QuaD-"), "quad-");
        assert_eq!(nicest("vic20gmr_[lucid]"), "vic20gmr_-lucid");
        assert_eq!(nicest("`J1"), "j1");
        assert_eq!(nicest("^"), "person");
        assert_eq!(nicest("x"), "x-abcd");
        assert_eq!(nicest(&"n".repeat(50)), "n".repeat(32));
    }

    #[test]
    fn every_nick_has_a_handle_of_its_own_in_the_end() {
        for nick in ["^", "x", "ünïcödé", &"n".repeat(50)] {
            let last = handles(nick, "abcdefghijklmnopqrst").pop().expect("a handle");
            assert!(last.as_str().ends_with("abcdefghijklmnopqrst"), "{last}");
        }
    }
}
