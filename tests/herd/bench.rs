//! `hansard bench herd` at a small size: what it claims holds for 150 clients as well, though what
//! it measures on a busy machine means little.

use std::time::Duration;

use serde_json::Value;

use crate::harness::run;

/// Start, arrival, loss and return.
const WITHIN: Duration = Duration::from_secs(110);

async fn herd(more: &[&str]) -> Value {
    let mut arguments = vec![
        "bench",
        "herd",
        "--connections",
        "150",
        "--members",
        "30",
        "--rate",
        "5",
        "--seconds",
        "2",
    ];
    arguments.extend(more);
    let output = run(&arguments, WITHIN).await;
    let errors = String::from_utf8_lossy(&output.stderr);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}\n{errors}");
    let figures: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    for none in ["lost", "doubled", "refused_for_good", "renamed", "clients_behind_at_the_end"] {
        assert_eq!(figures[none], 0, "{none}: {figures}");
    }
    assert!(count(&figures, "messages") > 0, "{figures}");
    assert_eq!(figures["messages"], figures["acked"], "{figures}");
    figures
}

fn count(figures: &Value, name: &str) -> u64 {
    figures[name].as_u64().unwrap_or_else(|| panic!("no {name}: {figures}"))
}

fn number(figures: &Value, name: &str) -> f64 {
    figures[name].as_f64().unwrap_or_else(|| panic!("no {name}: {figures}"))
}

#[tokio::test]
async fn those_of_a_gateway_that_is_killed_are_back_and_nothing_is_lost() {
    let figures = herd(&[]).await;
    assert!(number(&figures, "connections_of_the_gateway") > 0.0, "{figures}");
    assert!(count(&figures, "connections_back") > 0, "{figures}");
    // One is what is meant; another is for what the feed did not bring in time.
    assert!(number(&figures, "history_reads_per_conversation_and_gateway") <= 2.0, "{figures}");
}

#[tokio::test]
async fn sockets_stay_open_while_nats_is_away_and_what_was_refused_is_sent_again() {
    let figures = herd(&["--nats-restart", "--nats-away", "4"]).await;
    assert_eq!(figures["sockets_closed"], 0, "{figures}");
    let refusals = figures["send_refusals"].as_object().unwrap();
    let codes: Vec<&String> = refusals.keys().collect();
    assert_eq!(codes, ["unavailable"], "{figures}");
    assert!(count(&figures, "sends_acked_after_a_refusal") > 0, "{figures}");
}

#[tokio::test]
async fn who_comes_faster_than_is_accepted_is_told_when_to_come_again() {
    let figures = herd(&["--admission", "--accept-rate", "15"]).await;
    assert!(count(&figures, "handshakes_refused") > 0, "{figures}");
    assert_eq!(figures["refusals_with_a_hint"], figures["handshakes_refused"], "{figures}");
    assert_eq!(figures["attempts_without_an_answer"], 0, "{figures}");
    assert_eq!(figures["handshake"]["count"], 150, "{figures}");
    assert!(number(&figures, "handshake_p99_ms") < 5_000.0, "{figures}");
    assert!(number(&figures, "refusal_p99_ms") < 5_000.0, "{figures}");
    let before = number(&figures, "gateway_memory_mib_before");
    let peak = number(&figures, "gateway_memory_mib_peak_while_all_come");
    assert!(peak - before < 48.0, "{figures}");
}
