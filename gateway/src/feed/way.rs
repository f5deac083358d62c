//! How the feed is followed: whole by the only gateway, by interest when there are others.

use std::convert::Infallible;
use std::time::Duration;

use hansard_nats::registry::REGISTER_EVERY;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::Gateway;

/// How long a gateway is the only one before it takes the whole feed again: one that restarts is
/// soon back.
const ALONE_FOR: Duration = Duration::from_secs(30);

/// How the feed is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// Every event, as it comes.
    Whole,
    /// The order of all events, and the content of those of interest.
    ByInterest,
}

/// The decision, as others come and go.
#[derive(Debug, Default)]
struct Choice {
    /// When others were seen last; `None`: never.
    seen: Option<Instant>,
}

impl Choice {
    fn next(&mut self, has_others: bool, now: Instant) -> Way {
        if has_others {
            self.seen = Some(now);
        }
        let has_had = self.seen.is_some_and(|seen| now.saturating_duration_since(seen) < ALONE_FOR);
        if has_had { Way::ByInterest } else { Way::Whole }
    }
}

/// Decides, again and again, until dropped. Either way is exact: a decision on old news costs
/// bandwidth or a repair, never an event.
pub(super) async fn choose(gateway: &Gateway, way: &watch::Sender<Option<Way>>) -> Infallible {
    let mut choice = Choice::default();
    loop {
        let own = gateway.standing.gateway();
        let has_others = gateway.discovery.has_others(own).await;
        let known = *way.borrow();
        let next = match (has_others, known) {
            (Ok(has_others), _) => choice.next(has_others, Instant::now()),
            // What holds is not changed by not knowing.
            (Err(_), Some(known)) => known,
            (Err(_), None) => Way::Whole,
        };
        way.send_if_modified(|way| way.replace(next) != Some(next));
        tokio::time::sleep(REGISTER_EVERY).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_only_gateway_takes_all_and_goes_back_to_it_only_after_a_while() {
        let (mut choice, start) = (Choice::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(choice.next(false, at(0)), Way::Whole);
        assert_eq!(choice.next(true, at(3)), Way::ByInterest, "at once");
        assert_eq!(choice.next(false, at(6)), Way::ByInterest);
        assert_eq!(choice.next(true, at(30)), Way::ByInterest);
        assert_eq!(choice.next(false, at(59)), Way::ByInterest);
        assert_eq!(choice.next(false, at(60)), Way::Whole);
        assert_eq!(Choice::default().next(true, at(0)), Way::ByInterest, "from the start");
    }
}
