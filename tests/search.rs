//! Search over HTTP: what people find, what they do not, and what happens when a searcher dies.

mod bench;
mod several;

use std::collections::BTreeSet;
use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::harness::{
    Patience, Response, Serve, Session, couple, direct, eventually, including_acks, message,
    seq_of, sign_up,
};

/// What a session finds, once every partition answers; all that was acknowledged is included.
async fn find(session: &Session, query: &str, told_of: &[&str]) -> Value {
    let patience = Patience::of(crate::harness::DEADLINE);
    loop {
        let response = ask(session, query, told_of).await;
        if response.status == 200 && response.body.get("partial").is_none() {
            return response.body;
        }
        assert!([200, 503].contains(&response.status), "{}", response.text);
        patience.look_again(&format!("a whole answer, not {}", response.text)).await;
    }
}

async fn ask(session: &Session, query: &str, told_of: &[&str]) -> Response {
    let min: Vec<String> =
        told_of.iter().map(|conversation| including_acks(conversation)).collect();
    let path = format!("/v1/search?{query}&{}", min.join("&"));
    session.http.ask("GET", path.trim_end_matches('&'), None).await
}

fn found(list: &Value) -> Vec<u64> {
    list["items"].as_array().unwrap().iter().map(seq_of).collect()
}

#[tokio::test]
async fn people_find_what_they_may_read_as_soon_as_it_was_said() {
    let serve = Serve::start().await;
    let (ana, ben, conversation) = couple(serve.address).await;
    let cem = sign_up(serve.address, "cem").await.log_in(serve.address).await;
    let group = ana.create_group("tea time", &[&ben.user]).await;
    let secret = ana.store(&conversation, &message("the Käsekuchen is secret")).await;
    let public = ben.store(&group, &message("kasekuchen for all")).await;

    let list = find(&ana, "q=k%C3%A4sekuchen", &[&conversation, &group]).await;
    assert_eq!(found(&list).into_iter().collect::<BTreeSet<_>>(), BTreeSet::from([secret, public]));
    let hit = list["items"].as_array().unwrap().iter().find(|hit| hit["seq"] == secret).unwrap();
    assert_eq!(hit["conversation"], *conversation);
    assert_eq!(hit["sender"], *ana.user);
    assert_eq!(
        hit["snippet"],
        json!({"text": "the Käsekuchen is secret", "highlights": [[4, 14]]})
    );
    // While it is being typed, and misspelt.
    assert_eq!(found(&find(&ben, "q=secr", &[&conversation]).await), [secret]);
    assert_eq!(found(&find(&ben, "q=kasekuchne+in:%22tea+time%22", &[&group]).await), [public]);
    assert_eq!(found(&find(&ben, "q=from:ana+kasekuchen", &[&conversation]).await), [secret]);
    assert_eq!(found(&find(&cem, "q=kasekuchen", &[&conversation, &group]).await), [0; 0]);

    ana.store(&group, &json!({"kind": "member", "op": "remove", "user": ben.user})).await;
    let after = ask(&ben, "q=kasekuchen", &[]).await;
    assert_eq!((after.status, found(&after.body)), (200, vec![secret]), "{}", after.text);
    ana.store(&conversation, &json!({"kind": "delete", "target": secret})).await;
    assert_eq!(found(&find(&ben, "q=kasekuchen", &[&conversation]).await), [0; 0]);
}

#[tokio::test]
async fn a_query_that_cannot_be_read_is_told_where() {
    let serve = Serve::start().await;
    let (ana, _, _) = couple(serve.address).await;
    for (query, status, at) in [
        ("q=%C3%A4+has:nothing", 400, json!([6, 13])),
        ("q=", 400, json!([0, 0])),
        ("q=-this", 400, json!([0, 5])),
        ("q=from:nobody+x", 404, json!([5, 11])),
        ("q=in:nowhere", 404, json!([3, 10])),
    ] {
        let refused = ask(&ana, query, &[]).await;
        assert_eq!(refused.status, status, "{query}: {}", refused.text);
        assert_eq!(refused.body["error"]["at"], at, "{query}: {}", refused.text);
    }
    for query in ["q=x&sort=best", "q=x&limit=0", "q=x&cursor=m", "q=x&utc_offset=900"] {
        assert_eq!(ask(&ana, query, &[]).await.status, 400, "{query}");
    }
}

/// All pages of a list.
async fn pages(session: &Session, query: &str, conversation: &str) -> Vec<u64> {
    let mut all = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = find(session, &format!("{query}{cursor}"), &[conversation]).await;
        all.extend(found(&page));
        let Some(next) = page["next"].as_str() else { return all };
        cursor = format!("&cursor={next}");
    }
}

#[tokio::test]
async fn pages_have_every_message_once_whatever_is_said_meanwhile() {
    let serve = Serve::start().await;
    let (ana, ben, conversation) = couple(serve.address).await;
    let mut said = Vec::new();
    for number in 0..17 {
        let text = format!("{} number {number}", "tea ".repeat(number % 3 + 1));
        said.push(ana.store(&conversation, &message(&text)).await);
    }
    let by_time = pages(&ben, "q=tea&sort=time&limit=4", &conversation).await;
    assert_eq!(by_time.into_iter().rev().collect::<Vec<_>>(), said);
    let mut by_relevance = pages(&ben, "q=tea&limit=4", &conversation).await;
    by_relevance.sort_unstable();
    assert_eq!(by_relevance, said);
    let first = find(&ben, "q=tea&limit=4", &[&conversation]).await;
    ana.store(&conversation, &message("tea tea tea")).await;
    let cursor = first["next"].as_str().unwrap();
    let second = find(&ben, &format!("q=tea&limit=4&cursor={cursor}"), &[&conversation]).await;
    let shown: BTreeSet<u64> = found(&first).into_iter().chain(found(&second)).collect();
    assert_eq!(shown.len(), 8, "nothing twice");
}

/// Says things, and makes sure that all of them are found, in two conversations.
async fn talk(address: SocketAddr, ana: &Session, ben: &Session, round: usize) {
    let (ana, ben) = (ana.at(address), ben.at(address));
    let conversation = direct(&ana.user, &ben.user);
    let mut said = Vec::new();
    for number in 0..5 {
        let text = format!("round{round} message {number}");
        said.push(ana.store(&conversation, &message(&text)).await);
    }
    let list = find(&ben, &format!("q=round{round}&sort=time"), &[&conversation]).await;
    assert_eq!(found(&list).into_iter().rev().collect::<Vec<_>>(), said);
}

#[tokio::test]
async fn a_server_that_is_killed_and_started_again_has_every_message_once() {
    let mut serve = Serve::start().await;
    let (ana, ben, conversation) = couple(serve.address).await;
    for round in 0..3 {
        talk(serve.address, &ana, &ben, round).await;
        serve.process.kill().await;
        serve.restart().await;
    }
    let all = find(&ben, "q=message&sort=time&limit=100", &[&conversation]).await;
    let all = found(&all);
    assert_eq!((all.len(), all.iter().collect::<BTreeSet<_>>().len()), (15, 15));
    eventually("ready", async || ask(&ana, "q=message", &[]).await.status == 200).await;
}

#[tokio::test]
async fn indexes_are_rebuilt_by_a_command_while_people_search() {
    let serve = Serve::start().await;
    let (ana, ben, conversation) = couple(serve.address).await;
    talk(serve.address, &ana, &ben, 0).await;
    let told = serve.data.hansard_done(&["views", "rebuild", "search"]).await;
    assert_eq!(told.matches("rebuilt search").count(), 4, "{told}");
    talk(serve.address, &ana, &ben, 1).await;
    let all = find(&ben, "q=message&sort=time", &[&conversation]).await;
    assert_eq!(found(&all).len(), 10);
    let refused = serve.data.hansard(&["views", "verify", "search"]).await;
    assert!(!refused.status.success());
}
