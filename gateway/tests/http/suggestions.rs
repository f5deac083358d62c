//! `/v1/search/suggestions`

use serde_json::{Value, json};

use crate::rig::{Person, Rig, eventually, new_id};

/// What is suggested to somebody, one line for each.
async fn suggested(person: &Person, query: &str) -> Vec<String> {
    let path = format!("/v1/search/suggestions?{query}");
    let list = person.client.get(&path).await.expecting(200);
    let show = |item: &Value| {
        let what = item["title"].as_str().or_else(|| item["user"]["handle"].as_str());
        let (kind, text) = (item["kind"].as_str(), item["text"].as_str());
        let [kind, what, text] = [kind, what, text].map(|part| part.expect("text"));
        format!("{kind} {what} {} {text}", item["replaces"])
    };
    list["items"].as_array().expect("a list").iter().map(show).collect()
}

async fn change(person: &Person, conversation: &str, event: &Value) -> u64 {
    let path = format!("/v1/conversations/{conversation}/messages");
    let sent = person.client.post(&path, &json!({"id": new_id(), "event": event})).await;
    sent.expecting(201)["seq"].as_u64().expect("a place")
}

/// A membership that the log does not confirm in time is left out: asked again, it is there.
async fn suggests(person: &Person, query: &str, wanted: &[&str]) {
    eventually(&format!("{query} suggests {wanted:?}"), async || {
        suggested(person, query).await == wanted
    })
    .await;
}

#[tokio::test]
async fn own_people_and_conversations_come_before_others() {
    let rig = Rig::start().await;
    let (ana, ben, cleo) =
        (rig.person("ana").await, rig.person("ben").await, rig.person("cleo").await);
    let stranger = rig.person("bea").await;
    ben.client.patch("/v1/users/me", &json!({"name": "Tim Bén"})).await.expecting(200);
    ana.found("Tea tïme", &[&ben, &cleo]).await;
    ana.say(&ana.with(&ben), "hi").await;
    let list = ana.client.get("/v1/search/suggestions?q=be").await.expecting(200);
    let tim = json!({"user": ben.user, "handle": "ben", "name": "Tim Bén"});
    let bea = json!({"user": stranger.user, "handle": "bea", "name": "bea"});
    let talk = ana.with(&ben);
    let wanted = json!({"items": [
        {"kind": "person", "user": tim, "replaces": [0, 2], "text": "from:ben"},
        {"kind": "direct", "conversation": talk, "user": tim, "replaces": [0, 2], "text": "in:ben"},
        {"kind": "person", "user": bea, "replaces": [0, 2], "text": "from:bea"},
    ]});
    assert_eq!(list, wanted);
    // By each word of a name, and behind other words; what is replaced is in the units in which
    // browsers count.
    let tea = "group Tea tïme [3,10] in:\"Tea tïme\"";
    let (person, direct) = ("person ben [7,10] from:ben", "direct ben [7,10] in:ben");
    suggests(&ana, "q=%F0%9F%8D%B0+tea+TIM", &[tea, person, direct]).await;
    suggests(&ana, "q=from:b&limit=1", &["person ben [0,6] from:ben"]).await;
    let group = "group Tea tïme [2,5] in:\"Tea tïme\"";
    suggests(&ana, "q=x+in:", &["direct ben [2,5] in:ben", group]).await;
    suggests(&ana, "q=x+mentions:", &["person ana [2,11] mentions:me"]).await;
    suggests(&ana, "q=from:me", &["person ana [0,7] from:me"]).await;
    suggests(&ana, "q=has:li", &[]).await;
    // Who is only met in a group is there too, before anything was typed.
    let group = "group Tea tïme [0,0] in:\"Tea tïme\"";
    let (ben, direct) = ("person ben [0,0] from:ben", "direct ben [0,0] in:ben");
    suggests(&ana, "", &[ben, direct, group, "person cleo [0,0] from:cleo"]).await;
    // A stranger is told what the directory tells, and nothing of anybody's conversations.
    let wanted = ["person bea [0,2] from:me", "person ben [0,2] from:ben"];
    suggests(&stranger, "q=be", &wanted).await;
    for query in ["", "q=te", "q=tim", "q=in:"] {
        assert_eq!(suggested(&stranger, query).await, [""; 0], "{query}");
    }
    rig.stop().await;
}

#[tokio::test]
async fn who_is_removed_is_shown_nothing_from_then_on_at_any_gateway() {
    let mut rig = Rig::start().await;
    let second = rig.add_gateway(|_| {}).await;
    let (ana, ben, cleo) =
        (rig.person("ana").await, rig.person("ben").await, rig.person("cleo").await);
    ben.client.patch("/v1/users/me", &json!({"name": "Tim"})).await.expecting(200);
    let group = ana.found("Tea", &[&ben, &cleo]).await;
    let renamed = change(&ana, &group, &json!({"kind": "title", "title": "Coffee"})).await;
    // Who changed it sees it as it is now.
    suggests(&ana, "q=in:", &["group Coffee [0,3] in:Coffee"]).await;
    let token = cleo.client.token.as_deref().expect("a token");
    let elsewhere = Person { user: cleo.user.clone(), client: second.with_token(token) };
    let min = format!("min_seq={group}:{renamed}");
    for cleo in [&cleo, &elsewhere] {
        suggests(cleo, &format!("q=in:&{min}"), &["group Coffee [0,3] in:Coffee"]).await;
        suggests(cleo, &format!("q=from:tim&{min}"), &["person ben [0,8] from:ben"]).await;
    }
    change(&ana, &group, &json!({"kind": "member", "op": "remove", "user": cleo.user})).await;
    for cleo in [&elsewhere, &cleo] {
        for query in ["", "q=in:", "q=te", "q=cof", "q=from:tim"] {
            assert_eq!(suggested(cleo, query).await, [""; 0], "{query}");
        }
    }
    rig.stop().await;
}

#[tokio::test]
async fn what_cannot_be_answered_is_refused() {
    let rig = Rig::start().await;
    let ana = rig.person("ana").await;
    let ask = async |query: &str| ana.client.get(&format!("/v1/search/suggestions?{query}")).await;
    for query in ["limit=0", "limit=x", "q=a&q=b", "min_seq=7"] {
        ask(query).await.refused(400, "bad_frame");
    }
    let long = ask(&format!("q={}", "x".repeat(1_025))).await;
    long.refused(400, "bad_frame");
    assert_eq!(long.expecting(400)["error"]["at"], json!([1_024, 1_025]));
    let beyond = ask(&format!("min_seq={}:1000", ana.with(&ana))).await;
    beyond.refused(503, "unavailable");
    rig.client().get("/v1/search/suggestions?q=a").await.refused(401, "unauthorized");
    // What a search could not be is no matter while it is typed.
    for query in ["q=from:", "q=-x", "q=((((((((((a", "limit=999"] {
        ask(query).await.expecting(200);
    }
    rig.stop().await;
}
