//! Which gateway a client connects to, and where it goes when that one is gone.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use hansard_client::{Client, ClientOptions, Store, Update};
use hansard_model::Event;
use hansard_model::event::MessageSent;
use serde_json::Value;

use crate::harness::{DEADLINE, Http, Roles, Session, Signal, Socket, eventually, sign_up};

/// Under which address it is, other gateways say.
const ADVERTISED: [&str; 2] = ["--advertise", "http://127.0.0.2:0"];

/// A gateway in each of these regions, which clients may be sent to.
async fn gateways_in(regions: &[&str]) -> Roles {
    let mut roles = Roles::start(0, 1).await;
    for &region in regions {
        roles.start_gateway_with(&[&ADVERTISED[..], &["--region", region]].concat()).await;
    }
    roles
}

fn url(address: SocketAddr) -> String {
    format!("http://{address}")
}

async fn offered(http: &Http, query: &str) -> Vec<Value> {
    let list = http.get(&format!("/v1/gateways{query}")).await;
    list["items"].as_array().unwrap().clone()
}

fn urls(offered: &[Value]) -> Vec<String> {
    offered.iter().map(|item| item["url"].as_str().unwrap().to_owned()).collect()
}

/// Waits until a gateway offers so many.
async fn offers(http: &Http, count: usize) -> Vec<String> {
    let mut found = Vec::new();
    eventually(&format!("{count} gateways are offered"), async || {
        found = urls(&offered(http, "").await);
        found.len() == count
    })
    .await;
    found
}

#[tokio::test]
async fn every_gateway_offers_the_same_ones_those_of_the_region_first() {
    let roles = gateways_in(&["eu", "eu", "us"]).await;
    let addresses = roles.addresses();
    let ana = sign_up(addresses[0], "ana").await.log_in(addresses[0]).await;
    let first = offers(&ana.http, 3).await;
    for address in &addresses {
        let session = ana.at(*address);
        eventually("the same order everywhere", async || {
            urls(&offered(&session.http, "").await) == first
        })
        .await;
        assert!(first.contains(&url(*address)), "{first:?}");
    }
    for (region, count) in [("eu", 2), ("us", 1)] {
        let ranked = offered(&ana.http, &format!("?region={region}")).await;
        let of_it = ranked.iter().take_while(|item| item["region"] == region).count();
        assert_eq!((ranked.len(), of_it), (3, count), "{ranked:?}");
        assert!(ranked.iter().all(|item| item["load"].as_f64().unwrap() < 0.1));
        let within: Vec<String> = urls(&ranked)[..count].to_vec();
        let kept: Vec<String> = first.iter().filter(|url| within.contains(url)).cloned().collect();
        assert_eq!(within, kept, "within a region the order is the same");
    }
    assert_eq!(offered(&ana.http, "?region=nowhere").await.len(), 3);
    let refused = ana.http.ask("GET", "/v1/gateways?region=E%20U", None).await;
    assert_eq!((refused.status, refused.code()), (400, "bad_frame"));
    let refused = Http::anonymous(addresses[0]).ask("GET", "/v1/gateways", None).await;
    assert_eq!(refused.status, 401);
}

#[tokio::test]
async fn operators_see_how_many_are_connected_to_each_gateway() {
    let mut roles = gateways_in(&["eu", "us"]).await;
    let (eu, us) = (roles.gateways[0].address, roles.gateways[1].address);
    let ana = sign_up(eu, "ana").await.log_in(eu).await;
    let ben = sign_up(eu, "ben").await.log_in(eu).await;
    let phone = ana.again().await;
    let mut sockets = Vec::new();
    for session in [ana.clone(), ana.clone(), phone.clone(), ben.clone(), ben.at(us)] {
        sockets.push(session.connect().await);
    }
    let counts = |listed: &str| -> Vec<(String, u64, u64, String)> {
        let gateways = listed.lines().map(|line| serde_json::from_str(line).unwrap());
        let counts = gateways.map(|gateway: Value| {
            let number = |name: &str| gateway[name].as_u64().unwrap();
            let text = |name: &str| gateway[name].as_str().unwrap().to_owned();
            assert!(number("connections") <= number("capacity"), "{gateway}");
            (text("region"), number("users"), number("devices"), text("state"))
        });
        counts.collect()
    };
    let wanted =
        |region: &str, users, devices| (region.to_owned(), users, devices, "open".to_owned());
    eventually("all are counted", async || {
        let listed = roles.data.hansard_done(&["gateways", "--json"]).await;
        counts(&listed) == [wanted("eu", 2, 3), wanted("us", 1, 1)]
    })
    .await;
    let table = roles.data.hansard_done(&["gateways"]).await;
    assert!(table.contains(&url(us)) && table.contains("\nus: "), "{table}");

    sockets.truncate(1);
    roles.gateways[1].process.kill().await;
    eventually("who left is not counted, and the gateway that was killed is gone", async || {
        let listed = roles.data.hansard_done(&["gateways", "--json"]).await;
        counts(&listed) == [wanted("eu", 1, 1)]
    })
    .await;
}

#[tokio::test]
async fn who_has_no_address_to_name_is_not_offered() {
    let mut roles = Roles::start(1, 1).await;
    let address = roles.addresses()[0];
    let ana = sign_up(address, "ana").await.log_in(address).await;
    assert_eq!(offered(&ana.http, "").await, Vec::<Value>::new());
    roles.start_gateway_with(&ADVERTISED).await;
    let other = url(roles.gateways[1].address);
    assert_eq!(offers(&ana.http, 1).await, [other]);
}

#[tokio::test]
async fn a_full_gateway_is_not_offered_until_it_has_room_again() {
    let mut roles = gateways_in(&["eu"]).await;
    let more = [&ADVERTISED[..], &["--connections-max", "20"]].concat();
    roles.start_gateway_with(&more).await;
    let (large, small) = (roles.gateways[0].address, roles.gateways[1].address);
    let ana = sign_up(large, "ana").await.log_in(large).await;
    offers(&ana.http, 2).await;
    let mut sockets: Vec<Socket> = Vec::new();
    for session in [ana.clone(), ana.again().await, ana.again().await] {
        for _ in 0..7 {
            // Of what came before, the last one may still be open when this one comes.
            let session = session.at(small);
            if sockets.len() < 19 {
                sockets.push(session.connect().await);
            }
        }
    }
    assert_eq!(offers(&ana.http, 1).await, [url(large)]);
    drop(sockets);
    offers(&ana.http, 2).await;
}

#[tokio::test]
async fn an_empty_list_says_that_there_are_none_and_not_that_all_are_full() {
    let mut roles = Roles::start(1, 1).await;
    let ana = sign_up(roles.addresses()[0], "ana").await.log_in(roles.addresses()[0]).await;
    assert_eq!(offered(&ana.http, "").await, Vec::<Value>::new());
    let more = [&ADVERTISED[..], &["--connections-max", "20"]].concat();
    roles.start_gateway_with(&more).await;
    let small = roles.gateways[1].address;
    offers(&ana.http, 1).await;
    let mut sockets: Vec<Socket> = Vec::new();
    for session in [ana.clone(), ana.again().await, ana.again().await] {
        let session = session.at(small);
        for _ in 0..7 {
            if sockets.len() < 19 {
                sockets.push(session.connect().await);
            }
        }
    }
    eventually("the only one that may be named is full", async || {
        let refused = ana.http.ask("GET", "/v1/gateways", None).await;
        (refused.status, refused.code()) == (503, "unavailable")
    })
    .await;
    drop(sockets);
    eventually("it has room again", async || {
        let list = ana.http.ask("GET", "/v1/gateways", None).await;
        list.status == 200 && list.body["items"].as_array().is_some_and(|items| items.len() == 1)
    })
    .await;
}

#[tokio::test]
async fn a_gateway_that_drains_is_offered_to_nobody_from_its_first_drain_frame_on() {
    let mut roles = Roles::start(0, 1).await;
    roles.start_gateway_with(&ADVERTISED).await;
    roles.start_gateway_with(&[&ADVERTISED[..], &["--drain-within", "2s"]].concat()).await;
    let (staying, leaving) = (roles.gateways[0].address, roles.gateways[1].address);
    let ana = sign_up(staying, "ana").await.log_in(staying).await;
    offers(&ana.http, 2).await;
    let mut socket = ana.at(leaving).connect().await;
    roles.gateways[1].process.signal(Signal::Terminate);
    let drain = socket.frame("a drain", |frame| frame["type"] == "drain").await;
    assert!(drain["reconnect"]["base_ms"].as_u64().unwrap() > 0, "{drain}");
    assert_eq!(urls(&offered(&ana.http, "").await), [url(staying)]);
    assert_eq!(socket.closed().await.0, 1012);
    roles.gateways[1].process.ended().await;
    assert_eq!(urls(&offered(&ana.http, "").await), [url(staying)]);
}

/// A client that was told of one gateway.
async fn client_of(session: &Session) -> (Client, hansard_client::Updates) {
    let gateway = url(session.http.address).parse().unwrap();
    let options = ClientOptions::new(gateway, session.token.clone());
    Client::connect(options, Store::in_memory().await.unwrap()).await.unwrap()
}

/// Takes updates until one is it.
async fn update(updates: &mut hansard_client::Updates, is_it: impl Fn(&Update) -> bool) {
    let deadline = Instant::now() + 3 * DEADLINE;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let update = tokio::time::timeout(left, updates.next()).await;
        if is_it(&update.expect("in time").expect("an update")) {
            return;
        }
    }
}

fn message(text: &str) -> Event {
    Event::Message(MessageSent { text: text.to_owned(), ..MessageSent::default() })
}

#[tokio::test]
async fn the_sdk_moves_on_when_its_gateway_dies_or_drains_and_goes_to_none_that_is_gone() {
    let mut roles = gateways_in(&["eu", "eu", "eu"]).await;
    let address = roles.addresses()[0];
    let ana = sign_up(address, "ana").await.log_in(address).await;
    let notes = crate::harness::direct(&ana.user, &ana.user).parse().unwrap();
    let ranked = offers(&ana.http, 3).await;
    let (client, mut updates) = client_of(&ana).await;
    update(&mut updates, |update| matches!(update, Update::Synced)).await;
    let at = |client: &Client| client.http().gateway().to_string();
    assert_eq!(at(&client), ranked[0], "the best one, not the one that it was told of");

    let index = |roles: &Roles, url_of: &str| {
        roles.gateways.iter().position(|gateway| url(gateway.address) == url_of).unwrap()
    };
    let killed = index(&roles, &ranked[0]);
    roles.gateways[killed].process.kill().await;
    let id = client.send(notes, &message("from the second")).await.unwrap();
    update(&mut updates, |update| matches!(update, Update::Ack { id: acked, .. } if *acked == id))
        .await;
    assert_eq!(at(&client), ranked[1], "the next of its own order");

    let drained = index(&roles, &ranked[1]);
    roles.gateways[drained].process.signal(Signal::Terminate);
    update(&mut updates, |update| matches!(update, Update::Disconnected { .. })).await;
    let id = client.send(notes, &message("from the third")).await.unwrap();
    update(&mut updates, |update| matches!(update, Update::Ack { id: acked, .. } if *acked == id))
        .await;
    assert_eq!(at(&client), ranked[2], "neither the dead one nor the one that drains");
    roles.gateways[drained].process.ended().await;

    // The first comes back while the last goes.
    roles.restart_gateway(killed).await;
    let last = index(&roles, &ranked[2]);
    let http = ana.at(roles.gateways[last].address).http;
    offers(&http, 2).await;
    roles.gateways[last].process.signal(Signal::Terminate);
    update(&mut updates, |update| matches!(update, Update::Disconnected { .. })).await;
    let id = client.send(notes, &message("from the first")).await.unwrap();
    update(&mut updates, |update| matches!(update, Update::Ack { id: acked, .. } if *acked == id))
        .await;
    assert_eq!(at(&client), ranked[0]);
    let texts: Vec<String> = ana
        .at(roles.gateways[killed].address)
        .messages(&notes.to_string())
        .await
        .iter()
        .map(|item| crate::harness::text_of(item).to_owned())
        .collect();
    assert_eq!(texts, ["from the second", "from the third", "from the first"]);
}

#[tokio::test]
async fn bad_addresses_and_regions_are_refused_at_the_start() {
    for (flag, value, why) in [
        ("--advertise", "chat.example.org", "http:// or https://"),
        ("--advertise", "http://0.0.0.0:80", "unspecified"),
        ("--advertise", "http://chat.example.org/path", "a scheme, a host and a port"),
        ("--region", "EU west", "1 to 32 of a-z"),
        ("--handshakes-per-second", "0", "from 1 on"),
        ("--reconnect-base", "5m", "1ms to 1m"),
    ] {
        let output = crate::harness::run(&["gateway", flag, value], Duration::from_secs(20)).await;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains(why), "{flag} {value}: {said}");
    }
}
