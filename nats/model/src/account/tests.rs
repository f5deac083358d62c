use super::*;

const ANA: [u8; 20] = [1; 20];

fn created(user: [u8; 20], handle: &str) -> AccountEvent {
    AccountEvent::UserCreated {
        user: UserId::from_entropy(user),
        handle: handle.parse().expect("a handle"),
        name: handle.to_owned(),
        password: None,
        request: MessageId::new(1, [0; 10]),
    }
}

fn opened(secret: &str) -> AccountEvent {
    AccountEvent::SessionOpened {
        secret_sha256: secret.to_owned(),
        name: "phone".to_owned(),
        expires_at: LogTime::from_millis(1_000_000),
    }
}

fn fold(events: impl IntoIterator<Item = (AccountSubject, AccountEvent)>) -> Accounts {
    let mut accounts = Accounts::default();
    for (seq, (subject, event)) in (1..).zip(events) {
        accounts.apply(Seq(seq), LogTime::from_millis(seq * 1_000), subject, event);
    }
    accounts
}

#[test]
fn a_request_sent_twice_with_two_handles_makes_one_user() {
    let accounts = fold([
        (AccountSubject::Handle, created(ANA, "ana")),
        (AccountSubject::Handle, created(ANA, "anna")),
    ]);
    let user = accounts.user(UserId::from_entropy(ANA)).expect("a user");
    assert_eq!(user.handle.as_str(), "ana");
    assert!(accounts.by_handle(&"anna".parse().expect("a handle")).is_none());
}

#[test]
fn a_replaced_token_lasts_a_moment_longer() {
    let user = UserId::from_entropy(ANA);
    let device = DeviceId::from_entropy([2; 20]);
    let accounts = fold([
        (AccountSubject::Handle, created(ANA, "ana")),
        (AccountSubject::Device(user, device), opened("first")),
        (AccountSubject::Device(user, device), opened("second")),
    ]);
    let session = &accounts.user(user).expect("a user").devices[&device];
    assert_eq!((session.secret_sha256.as_str(), session.seq), ("second", Seq(3)));
    assert_eq!(session.since, LogTime::from_millis(2_000));
    let replaced = session.replaced.as_ref().expect("the first");
    assert_eq!(replaced.secret_sha256, "first");
    assert_eq!(replaced.expires_at, LogTime::from_millis(63_000));
}

#[test]
fn a_revoked_session_leaves_nothing_behind() {
    let user = UserId::from_entropy(ANA);
    let device = DeviceId::from_entropy([2; 20]);
    let accounts = fold([
        (AccountSubject::Handle, created(ANA, "ana")),
        (AccountSubject::Device(user, device), opened("first")),
        (AccountSubject::Device(user, device), AccountEvent::SessionRevoked {}),
    ]);
    assert!(accounts.user(user).expect("a user").devices.is_empty());
}

#[test]
fn handles_are_found_by_prefix() {
    let accounts = fold([
        (AccountSubject::Handle, created([1; 20], "ana")),
        (AccountSubject::Handle, created([2; 20], "anna")),
        (AccountSubject::Handle, created([3; 20], "ben")),
    ]);
    let found: Vec<&str> =
        accounts.by_handle_prefix("an").map(|account| account.handle.as_str()).collect();
    assert_eq!(found, ["ana", "anna"]);
}
