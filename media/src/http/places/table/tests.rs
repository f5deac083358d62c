use super::*;

const BOUNDS: Bounds = Bounds { all: 64, of_user: 8, waiting: 256 };

fn user(number: usize) -> UserId {
    let mut entropy = [0; 20];
    (entropy[0], entropy[1]) = ((number % 32) as u8, (number / 32) as u8);
    UserId::from_entropy(entropy)
}

/// A table, its requests, and a clock.
struct Scene {
    table: Table,
    requests: BTreeMap<u64, Arc<Signals>>,
    now: Instant,
}

impl Scene {
    fn new(bounds: Bounds) -> Self {
        Self { table: Table::new(bounds), requests: BTreeMap::new(), now: Instant::now() }
    }

    fn enter(&mut self, number: usize) -> Result<u64, Refusal> {
        let (number, signals) = self.table.enter(user(number), self.now)?;
        self.requests.insert(number, signals);
        Ok(number)
    }

    fn moves(&self, number: u64, bytes: u64) {
        self.requests[&number].moved.fetch_add(bytes, Relaxed);
    }

    fn has_place(&self, number: u64) -> bool {
        self.requests[&number].admitted.is_cancelled()
    }

    fn is_ended(&self, number: u64) -> bool {
        self.requests[&number].stop.is_cancelled()
    }

    /// Time passes, and requests that have to end do so at once.
    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.table.settle(self.now);
        let ended = self.requests.iter().filter(|(_, signals)| signals.stop.is_cancelled());
        for number in ended.map(|(number, _)| *number).collect::<Vec<_>>() {
            self.requests.remove(&number);
            self.table.leave(number, self.now);
        }
    }

    /// How long somebody waits while some accounts come again whenever a request of theirs ended.
    fn wait_of_a_stranger(&mut self, accounts: usize, stranger: usize) -> Duration {
        let began = self.now;
        let number = self.enter(stranger).expect("a stranger may wait");
        while !self.has_place(number) {
            assert!(self.now - began < Duration::from_secs(60), "for ever");
            self.pass(Duration::from_millis(250));
            for account in 0..accounts {
                while self.enter(account).is_ok() {}
            }
        }
        self.requests.remove(&number);
        self.table.leave(number, self.now);
        self.now.duration_since(began)
    }
}

#[test]
fn a_stranger_gets_in_at_once_when_eight_accounts_have_all_places() {
    let mut scene = Scene::new(BOUNDS);
    for account in 0..8 {
        while scene.enter(account).is_ok() {}
    }
    assert!(scene.requests.values().all(|signals| signals.admitted.is_cancelled()));
    for stranger in 100..120 {
        let waited = scene.wait_of_a_stranger(8, stranger);
        assert!(waited <= Duration::from_millis(250), "{waited:?}");
    }
}

#[test]
fn a_stranger_gets_in_within_seconds_whatever_many_accounts_do() {
    for (accounts, strangers) in [(80, 8), (200, 1)] {
        let mut scene = Scene::new(BOUNDS);
        for account in 0..accounts {
            while scene.enter(account).is_ok() {}
        }
        for stranger in 400..400 + strangers {
            let waited = scene.wait_of_a_stranger(accounts, stranger);
            // Those who have had nothing yet come before: all have had their turn by then.
            let turns = accounts.div_ceil(BOUNDS.all) as u32;
            assert!(waited <= turns * SLICE, "{accounts}: {waited:?}");
        }
    }
}

#[test]
fn the_slowest_of_who_has_most_ends() {
    let mut scene = Scene::new(Bounds { all: 4, ..BOUNDS });
    let of_one: Vec<u64> = (0..3).map(|_| scene.enter(1).expect("a place")).collect();
    let slow_alone = scene.enter(2).expect("a place");
    for number in &of_one {
        scene.moves(*number, 1_000 * (number + 1));
    }
    scene.now += Duration::from_secs(2);
    scene.enter(3).expect("waits");
    assert!(scene.is_ended(of_one[0]), "the slowest of three");
    assert!(!scene.is_ended(slow_alone), "who has one place is as good as anybody");
    assert_eq!(scene.requests.values().filter(|signals| signals.stop.is_cancelled()).count(), 1);
}

#[test]
fn of_those_that_move_the_one_that_came_first_ends() {
    let mut scene = Scene::new(Bounds { all: 3, ..BOUNDS });
    let mut come = || {
        let number = scene.enter(1).expect("a place");
        scene.now += Duration::from_secs(2);
        number
    };
    let [first, slower, slowest] = [come(), come(), come()];
    // 10 KB a second, and more.
    for (number, bytes) in [(first, 60_000_000), (slower, 80_000), (slowest, 20_000)] {
        scene.moves(number, bytes);
    }
    scene.enter(2).expect("waits");
    assert!(scene.is_ended(first) && !scene.is_ended(slower) && !scene.is_ended(slowest));
}

#[test]
fn one_that_hardly_moves_ends_before_those_that_came_before_it() {
    let mut scene = Scene::new(Bounds { all: 2, ..BOUNDS });
    let first = scene.enter(1).expect("a place");
    scene.now += SLICE;
    let slow = scene.enter(1).expect("a place");
    scene.now += PACED_AFTER;
    scene.moves(first, 1_000_000);
    scene.moves(slow, SLOW_BYTES_PER_SECOND - 1);
    scene.enter(2).expect("waits");
    assert!(scene.is_ended(slow) && !scene.is_ended(first));
}

#[test]
fn one_that_has_just_begun_is_not_slow() {
    let mut scene = Scene::new(Bounds { all: 2, ..BOUNDS });
    let first = scene.enter(1).expect("a place");
    scene.moves(first, 1_000_000);
    scene.now += SLICE;
    let young = scene.enter(1).expect("a place");
    scene.now += PACED_AFTER - Duration::from_millis(1);
    scene.enter(2).expect("waits");
    assert!(scene.is_ended(first) && !scene.is_ended(young));
}

#[test]
fn who_has_most_makes_room_for_several_and_nobody_else_does() {
    let mut scene = Scene::new(Bounds { all: 5, ..BOUNDS });
    let of_most = [1, 1, 1].map(|account| scene.enter(account).expect("a place"));
    let others = [2, 3].map(|account| scene.enter(account).expect("a place"));
    // Those of the others would go first, were it for how fast they are.
    for number in of_most {
        scene.moves(number, 1_000_000);
    }
    scene.now += SLICE;
    let second = [2, 3].map(|account| scene.enter(account).expect("waits"));
    assert_eq!(of_most.iter().filter(|number| scene.is_ended(**number)).count(), 2);
    assert!(!others.iter().any(|number| scene.is_ended(*number)), "a promise is no place");
    scene.pass(Duration::ZERO);
    assert!(second.iter().all(|number| scene.has_place(*number)));
    assert!(!others.iter().any(|number| scene.is_ended(*number)));
}

#[test]
fn nobody_loses_a_place_to_who_has_as_many_or_while_there_are_places() {
    let mut scene = Scene::new(Bounds { all: 4, ..BOUNDS });
    let first: Vec<u64> = (0..4).map(|_| scene.enter(1).expect("a place")).collect();
    scene.pass(Duration::from_secs(600));
    assert!(first.iter().all(|number| scene.has_place(*number)), "nobody else wants them");
    let mut second = Vec::new();
    for _ in 0..4 {
        second.push(scene.enter(2).expect("waits"));
    }
    scene.pass(Duration::ZERO);
    scene.pass(Duration::from_secs(600));
    let have = |numbers: &[u64]| {
        let moves = |number: &&u64| {
            let request = scene.table.requests.get(number);
            request.is_some_and(|request| !request.is_waiting())
        };
        numbers.iter().filter(moves).count()
    };
    assert_eq!((have(&first), have(&second)), (2, 2));
}

#[test]
fn a_request_keeps_its_place_for_a_while_against_who_has_one_less() {
    let mut scene = Scene::new(Bounds { all: 2, ..BOUNDS });
    let [one, other] = [1, 2].map(|account| scene.enter(account).expect("a place"));
    scene.moves(other, 1);
    let third = scene.enter(3).expect("waits");
    scene.pass(SLICE - Duration::from_millis(1));
    assert!(!scene.is_ended(one) && !scene.is_ended(other));
    scene.now += Duration::from_millis(1);
    scene.table.settle(scene.now);
    assert!(scene.is_ended(one) && !scene.is_ended(other), "the slower one");
    scene.pass(Duration::ZERO);
    assert!(scene.has_place(third));
}

#[test]
fn a_request_that_does_not_end_holds_up_nobody() {
    let mut scene = Scene::new(Bounds { all: 2, ..BOUNDS });
    let stuck = [1, 1].map(|account| scene.enter(account).expect("a place"));
    scene.enter(2).expect("waits");
    let ended = |scene: &Scene| stuck.iter().filter(|number| scene.is_ended(**number)).count();
    assert_eq!(ended(&scene), 1);
    scene.now += SLICE;
    scene.table.settle(scene.now);
    assert_eq!(ended(&scene), 2, "another one, after a while");
}

#[test]
fn requests_that_do_not_end_cost_no_more_than_two_for_one_that_waits() {
    let mut scene = Scene::new(Bounds { all: 8, ..BOUNDS });
    let stuck = [1; 8].map(|account| scene.enter(account).expect("a place"));
    let ended = |scene: &Scene| stuck.iter().filter(|number| scene.is_ended(**number)).count();
    let waits = scene.enter(2).expect("waits");
    for _ in 0..60 {
        scene.now += Duration::from_secs(1);
        scene.table.settle(scene.now);
    }
    assert_eq!(ended(&scene), 2);
    // Somebody else who waits has as many.
    scene.enter(3).expect("waits");
    assert_eq!(ended(&scene), 3);
    scene.pass(Duration::ZERO);
    assert!(scene.has_place(waits));
}

#[test]
fn who_waits_most_makes_room_for_who_waits_least() {
    let mut scene = Scene::new(Bounds { all: 1, of_user: 4, waiting: 3 });
    let last = (0..4).map(|_| scene.enter(1).expect("waits")).last().expect("one");
    assert_eq!(scene.enter(1), Err(Refusal::OfUser));
    let stranger = scene.enter(2).expect("waits");
    assert!(scene.is_ended(last) && !scene.is_ended(stranger));
    for other in 3..5 {
        scene.enter(other).expect("waits");
    }
    assert_eq!(scene.enter(5), Err(Refusal::Full), "all have as much");
}
