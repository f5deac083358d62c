//! `hansard bench media` at a small size: it measures what it says, though what it measures on a
//! busy machine means little.

use std::time::Duration;

use serde_json::Value;

use crate::harness::run;

const WITHIN: Duration = Duration::from_secs(110);

#[tokio::test]
async fn files_are_measured_beside_a_plain_copy_of_the_same_bytes() {
    let sizes = ["--mib", "3", "--rounds", "1", "--parallel", "3", "--only", "copy,parallel"];
    let output = run(&[&["bench", "media"], &sizes[..]].concat(), WITHIN).await;
    let errors = String::from_utf8_lossy(&output.stderr);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}\n{errors}");
    let figures: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    for way in ["up", "down"] {
        for rate in ["plain_mib_per_s", "mib_per_s", "sdk_mib_per_s", "of_plain"] {
            assert!(figures["copy"][way][rate].as_f64().unwrap() > 0.0, "{figures}");
        }
        let above = format!("service_memory_mib_above_idle_{way}");
        assert!(figures["parallel"][above].as_f64().unwrap() < 64.0, "{figures}");
    }
}
