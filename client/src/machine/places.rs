//! Gateways to connect to: those that the application gave, and those that the server offers.
//!
//! The server's come first, in its order; the given ones stay as the last resort. One that failed
//! is put aside for a while; when all are, the one that was put aside first is tried: there is
//! always one to try.

use std::collections::HashMap;

/// Gateways that a server may offer; more are left out.
pub(crate) const OFFERED_MAX: usize = 32;
/// For how long what the server offered is good without being asked for again, in milliseconds.
const FRESH_MS: u64 = 60_000;
/// How long a gateway that failed is put aside, in milliseconds.
const ASIDE_MS: u64 = 30_000;

#[derive(Debug)]
pub(crate) struct Places {
    given: Vec<String>,
    offered: Vec<String>,
    /// When the server was asked last; `None`: it is to be asked.
    asked_at: Option<u64>,
    discover: bool,
    /// By gateway: until when. No more than there are gateways.
    aside: HashMap<String, u64>,
    /// Where a gateway that stops sends its clients.
    preferred: Option<String>,
}

impl Places {
    pub(crate) fn new(given: Vec<String>, discover: bool) -> Self {
        let given = given.iter().map(|url| plain(url).to_owned()).collect();
        let (offered, aside) = (Vec::new(), HashMap::new());
        Self { given, offered, asked_at: None, discover, aside, preferred: None }
    }

    fn all(&self) -> impl Iterator<Item = &String> {
        let more = self.given.iter().filter(|url| !self.offered.contains(url));
        self.offered.iter().chain(more)
    }

    /// Whether the server is to be asked before the next attempt.
    pub(crate) fn is_stale(&self, now: u64) -> bool {
        self.discover && self.asked_at.is_none_or(|at| now.saturating_sub(at) >= FRESH_MS)
    }

    /// The one to connect to now: where a gateway that stopped has sent its clients, once.
    pub(crate) fn destination(&mut self, now: u64) -> String {
        let preferred = self.preferred.take();
        let is_free = |url: &String| self.aside.get(url).is_none_or(|until| *until <= now);
        preferred.filter(is_free).unwrap_or_else(|| self.next(now))
    }

    /// The one to try now.
    pub(crate) fn next(&mut self, now: u64) -> String {
        self.aside.retain(|_, until| *until > now);
        let is_free = |url: &&String| !self.aside.contains_key(*url);
        let free = self.all().find(is_free);
        let first = || self.all().min_by_key(|url| self.aside.get(*url));
        free.or_else(first).cloned().unwrap_or_default()
    }

    /// It failed: others first, for a while.
    pub(crate) fn put_aside(&mut self, url: &str, now: u64) {
        if self.all().any(|known| known == url) {
            self.aside.insert(url.to_owned(), now.saturating_add(ASIDE_MS));
        }
    }

    /// What the server offers from now on; nothing, where it does not know.
    pub(crate) fn offer(&mut self, mut urls: Vec<String>, now: u64) {
        urls.truncate(OFFERED_MAX);
        self.offered.clear();
        for url in urls {
            let url = plain(&url).to_owned();
            if !self.offered.contains(&url) {
                self.offered.push(url);
            }
        }
        self.asked_at = Some(now);
        let known: Vec<String> = self.all().cloned().collect();
        self.aside.retain(|url, _| known.contains(url));
    }

    /// What was offered is out of date: ask before the next attempt.
    pub(crate) fn expire(&mut self) {
        self.asked_at = None;
    }

    /// Tries this one next, if it is known: a token goes only where the application, or a server
    /// that it named, said.
    pub(crate) fn prefer(&mut self, url: &str) {
        let url = plain(url);
        let known = self.all().find(|known| *known == url).cloned();
        self.preferred = known;
    }
}

fn plain(url: &str) -> &str {
    url.trim_end_matches('/')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(discover: bool) -> Places {
        Places::new(vec!["http://a/".to_owned(), "http://b".to_owned()], discover)
    }

    fn offer(places: &mut Places, urls: &[&str], now: u64) {
        places.offer(urls.iter().map(|url| (*url).to_owned()).collect(), now);
    }

    #[test]
    fn what_the_server_offers_comes_first_and_what_was_given_stays() {
        let mut places = places(true);
        assert!(places.is_stale(0));
        assert_eq!(places.next(0), "http://a");
        offer(&mut places, &["http://c", "http://b/", "http://c"], 5);
        let all: Vec<_> = places.all().cloned().collect();
        assert_eq!(all, ["http://c", "http://b", "http://a"]);
        assert!(!places.is_stale(5 + FRESH_MS - 1) && places.is_stale(5 + FRESH_MS));
        places.expire();
        assert!(places.is_stale(6));
        assert!(!Places::new(Vec::new(), false).is_stale(0));
    }

    #[test]
    fn one_that_failed_waits_until_the_others_failed_too() {
        let mut places = places(false);
        places.put_aside("http://a", 0);
        assert_eq!(places.next(1), "http://b");
        places.put_aside("http://b", 1);
        assert_eq!(places.next(2), "http://a", "there is always one to try");
        places.put_aside("http://a", 2);
        assert_eq!(places.next(3), "http://b");
        assert_eq!(places.next(2 + ASIDE_MS), "http://a");
        places.put_aside("http://stranger", 0);
        assert!(places.aside.len() <= 2);
    }

    #[test]
    fn an_unknown_address_is_not_followed() {
        let mut places = places(false);
        places.prefer("http://evil");
        assert_eq!(places.destination(0), "http://a");
        places.prefer("http://b/");
        assert_eq!(places.next(0), "http://a", "to ask it, any other will do");
        assert_eq!(places.destination(0), "http://b");
        assert_eq!(places.destination(0), "http://a", "once");
        places.put_aside("http://b", 0);
        places.prefer("http://b");
        assert_eq!(places.destination(1), "http://a");
    }

    #[test]
    fn offers_are_bounded() {
        let mut places = places(true);
        places.offer((0..1_000).map(|n| format!("http://{n}")).collect(), 0);
        assert_eq!(places.offered.len(), OFFERED_MAX);
    }
}
