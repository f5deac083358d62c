//! Every process killed, paused or stopped: what was acknowledged stays, and nothing is left behind.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::harness::{
    Closed, Http, Roles, Serve, Session, Signal, assert_chain, couple, direct, eventually,
    is_running, message, mint, seq_of, sign_up, signal, text_of,
};

/// A client with an outbox of one, which sends the same id until it has an ack.
struct Outbox {
    stop: CancellationToken,
    running: JoinHandle<BTreeMap<u64, String>>,
}

impl Outbox {
    /// Goes on sending to `conversation`, to one gateway after the other.
    fn run(session: &Session, gateways: Vec<SocketAddr>, conversation: &str) -> Self {
        let stop = CancellationToken::new();
        let (stopped, session, conversation) =
            (stop.clone(), session.clone(), conversation.to_owned());
        let running = tokio::spawn(async move {
            let mut acked = BTreeMap::new();
            while !stopped.is_cancelled() {
                let (id, text) = (mint(), format!("{} of {}", acked.len(), session.user));
                let event = message(&text);
                let seq = session.store_at_last(&gateways, &conversation, &id, &event).await;
                assert_eq!(acked.insert(seq, text), None, "two acks of one seq");
            }
            acked
        });
        Self { stop, running }
    }

    /// Ends; what was acknowledged, by seq.
    async fn end(self) -> BTreeMap<u64, String> {
        self.stop.cancel();
        self.running.await.unwrap()
    }
}

/// That history holds exactly what was acknowledged, in one chain, and both members agree.
async fn everything_is_there(
    readers: &[Session],
    conversation: &str,
    acked: &BTreeMap<u64, String>,
) {
    let last = *acked.keys().next_back().unwrap();
    for reader in readers {
        let min = format!("/v1/conversations/{conversation}?min_seq={conversation}:{last}");
        eventually("the last ack in a view", async || {
            reader.http.ask("GET", &min, None).await.status == 200
        })
        .await;
        let events = reader.events(conversation).await;
        assert_chain(&events);
        let stored = events.iter().map(|event| (seq_of(event), text_of(event).to_owned()));
        assert_eq!(&stored.collect::<BTreeMap<_, _>>(), acked);
    }
}

/// Waits until each outbox has been acknowledged since now.
async fn goes_on(session: &Session, gateways: &[SocketAddr], conversation: &str) {
    session.store_at_last(gateways, conversation, &mint(), &message("still here")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_the_death_of_every_process() {
    let mut roles = Roles::start(2, 2).await;
    let gateways = vec![roles.gateways[0].address, roles.gateways[1].address];
    let (ana, ben, conversation) = couple(gateways[0]).await;
    let cem = sign_up(gateways[0], "cem").await.log_in(gateways[0]).await;
    let prober = direct(&cem.user, &ana.user);
    let outboxes =
        [&ana, &ben].map(|session| Outbox::run(session, gateways.clone(), &conversation));

    signal(roles.data.nats_pid().unwrap(), Signal::Kill);
    goes_on(&cem, &gateways, &prober).await;
    roles.gateways[0].process.kill().await;
    goes_on(&cem, &gateways, &prober).await;
    roles.restart_gateway(0).await;
    roles.projectors.remove(0).process.kill().await;
    roles.start_projector().await;
    goes_on(&cem, &gateways, &prober).await;
    roles.gateways[1].process.kill().await;
    roles.restart_gateway(1).await;
    roles.nats.kill().await;
    roles.restart_nats().await;
    goes_on(&cem, &gateways, &prober).await;

    let mut acked = BTreeMap::new();
    for outbox in outboxes {
        acked.extend(outbox.end().await);
    }
    assert!(acked.len() > 10, "only {} sends", acked.len());
    everything_is_there(&[ana, ben], &conversation, &acked).await;
    let replayed = roles.data.replay(&conversation).await;
    let valid: Vec<u64> =
        replayed.iter().filter(|event| !event.void).map(|event| event.seq).collect();
    assert_eq!(valid, acked.keys().copied().collect::<Vec<_>>());
}

#[tokio::test]
async fn a_takeover_brings_every_event_to_open_sockets_once() {
    let mut roles = Roles::start(1, 2).await;
    let address = roles.gateways[0].address;
    let (ana, ben, _) = couple(address).await;
    let mut groups = Vec::new();
    for number in 0..6 {
        groups.push(ana.create_group(&format!("group {number}"), &[&ben.user]).await);
    }
    let (mut hers, mut his) = (ana.connect().await, ben.connect().await);
    let mut said: HashMap<String, Vec<u64>> = HashMap::new();
    for round in 0..3 {
        for group in &groups {
            let ack = hers.store(group, &message(&round.to_string())).await;
            said.entry(group.clone()).or_default().push(seq_of(&ack));
        }
        if round < 2 {
            roles.projectors[round].process.kill().await;
            roles.start_projector().await;
        }
    }
    for (group, seqs) in &said {
        for socket in [&mut hers, &mut his] {
            socket.event(group, *seqs.last().unwrap()).await;
            let messages: Vec<u64> = socket
                .events(group)
                .iter()
                .filter(|event| event["body"]["event"]["kind"] == "message")
                .map(seq_of)
                .collect();
            assert_eq!(&messages, seqs);
        }
    }
}

#[tokio::test]
async fn no_nats_server_outlives_a_killed_serve_and_the_next_one_goes_on_with_its_data() {
    let mut serve = Serve::start().await;
    let (ana, ben, conversation) = couple(serve.address).await;
    let mut socket = ana.connect().await;
    let mut acked = BTreeMap::new();
    for number in 0..20 {
        let text = number.to_string();
        let ack = socket.store(&conversation, &message(&text)).await;
        acked.insert(seq_of(&ack), text);
    }
    socket.event(&conversation, *acked.keys().next_back().unwrap()).await;
    let cursor = socket.cursor().await;
    let nats = serve.data.nats_pid().unwrap();

    serve.process.kill().await;
    eventually("nats-server to end", async || !is_running(nats)).await;
    assert_eq!(socket.closed().await, Closed(1006));
    serve.restart().await;
    everything_is_there(&[ana.clone(), ben], &conversation, &acked).await;
    let back = ana.resume(&cursor).await;
    assert_eq!(back.events(&conversation), [] as [Value; 0], "nothing was missed");
    assert_eq!(back.of_type("synced")[0]["reset"], false);
}

#[tokio::test]
async fn a_terminated_server_tells_its_clients_to_leave_and_ends_with_everything_it_started() {
    let mut serve = Serve::with(&["--drain", "1s"]).await;
    let (ana, ben, conversation) = couple(serve.address).await;
    let mut sockets = Vec::new();
    for session in [&ana, &ana, &ben, &ben] {
        sockets.push(session.connect().await);
    }
    let nats = serve.data.nats_pid().unwrap();
    let (reference, id) = sockets[0].put(&conversation, &message("last words")).await;
    let answer = sockets[0].answer(reference).await;
    assert_eq!(answer["type"], "ack");

    serve.process.signal(Signal::Terminate);
    for socket in &mut sockets {
        let drain = socket.frame("a drain", |frame| frame["type"] == "drain").await;
        assert!(drain["after_ms"].is_u64());
        assert!(matches!(socket.closed().await, Closed(1001 | 1012)));
    }
    assert!(serve.process.ended().await.success());
    assert!(!is_running(nats));
    serve.restart().await;
    let again = ana.connect().await.ask_as(&conversation, &id, &message("last words")).await;
    assert_eq!((&again["seq"], &again["duplicate"]), (&answer["seq"], &json!(true)));
}

#[tokio::test]
async fn a_server_is_ready_only_with_its_log() {
    let serve = Serve::start().await;
    let (ana, _, conversation) = couple(serve.address).await;
    ana.store(&conversation, &message("to be counted")).await;
    let admin = Http::anonymous(serve.admin);
    eventually("readiness", async || admin.ask("GET", "/readyz", None).await.status == 200).await;
    let nats = serve.data.nats_pid().unwrap();
    signal(nats, Signal::Stop);
    eventually("unreadiness", async || admin.ask("GET", "/readyz", None).await.status == 503).await;
    assert_eq!(admin.ask("GET", "/healthz", None).await.status, 200, "alive all the same");
    signal(nats, Signal::Continue);
    eventually("readiness", async || admin.ask("GET", "/readyz", None).await.status == 200).await;
    let metrics = admin.ask("GET", "/metrics", None).await.text;
    for name in ["hansard_gateway_connections_open", "hansard_log_appends_total"] {
        assert!(metrics.contains(name), "{name} is not in:\n{metrics}");
    }
}

#[tokio::test]
async fn logs_hold_no_text_no_token_and_no_password() {
    let mut serve = Serve::start().await;
    let (ana, ben, conversation) = couple(serve.address).await;
    let mut socket = ana.connect().await;
    socket.store(&conversation, &message("a whispered word")).await;
    ben.store(&conversation, &message("a whispered word")).await;
    socket.refused(&conversation, &json!({"kind": "whispered"})).await;
    drop(socket);
    serve.process.terminate().await;
    let log = serve.process.log();
    let secret = ana.token.rsplit('.').next().unwrap();
    for text in ["whispered", secret, "correct horse"] {
        assert!(!log.contains(text), "{text} is in the log:\n{log}");
    }
    assert!(!log.is_empty());
}

#[tokio::test]
async fn the_number_of_partitions_of_a_deployment_does_not_change() {
    let mut serve = Serve::start().await;
    serve.process.terminate().await;
    let data = serve.data.path();
    let arguments = ["serve", "--data", &data, "--listen", "127.0.0.1:0", "--partitions", "8"];
    let output = crate::harness::run(&arguments, Duration::from_secs(60)).await;
    assert!(!output.status.success());
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.contains("--partitions 4"), "{errors}");
}
