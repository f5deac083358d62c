//! The kill suite at a small size: `hansard bench faults` at its full size is for a release.

use std::time::Duration;

use serde_json::Value;

use crate::harness::{run, setting};

/// Start, load, faults, and the comparison of all timelines.
const WITHIN: Duration = Duration::from_secs(110);

#[tokio::test]
async fn nothing_is_lost_doubled_or_reordered_whatever_is_killed() {
    let (faults, seed) = (setting("FAULTS", 4).to_string(), setting("SEED", 2).to_string());
    let arguments = [
        "bench",
        "faults",
        "--faults",
        &faults,
        "--seconds-per-fault",
        "2",
        "--no-long-pause",
        "--seed",
        &seed,
    ];
    let output = run(&arguments, WITHIN).await;
    let errors = String::from_utf8_lossy(&output.stderr);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}\n{errors}");
    let figures: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    for figure in ["lost", "doubled", "reordered"] {
        assert_eq!(figures[figure], 0, "{figures}");
    }
    assert_eq!(figures["faults"], faults.parse::<u64>().unwrap(), "{figures}");
    assert!(figures["messages"].as_u64().unwrap() > 0, "{figures}");
}
