//! A client of tus that others wrote: `tus-js-client`, as `npm` has it.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;

use super::{media_at, noise, sha256, write};
use crate::harness::{Dice, Serve, couple};

/// Installing once, from a registry that may be slow.
const INSTALLED_WITHIN: Duration = Duration::from_secs(300);
const DONE_WITHIN: Duration = Duration::from_secs(120);

/// Where the script and what it needs are.
fn folder() -> &'static Path {
    Path::new("tests/media/tus")
}

async fn is_there(program: &str) -> bool {
    let mut command = Command::new(program);
    let version = command.arg("--version").stdout(Stdio::null()).status().await;
    version.is_ok_and(|status| status.success())
}

/// Installs exactly what the lock file names, unless that is there.
async fn install() {
    if folder().join("node_modules/.package-lock.json").exists() {
        return;
    }
    let mut npm = Command::new("npm");
    npm.args(["ci", "--no-audit", "--no-fund", "--ignore-scripts"]).current_dir(folder());
    let installed = timeout(INSTALLED_WITHIN, npm.kill_on_drop(true).output()).await;
    let installed = installed.expect("npm ci does not end").unwrap();
    assert!(installed.status.success(), "{}", String::from_utf8_lossy(&installed.stderr));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_others_wrote_uploads_pauses_resumes_and_ends() {
    if !is_there("node").await || !is_there("npm").await {
        println!("SKIPPED: node and npm are not installed, so tus-js-client cannot be run");
        return;
    }
    install().await;
    let serve = Serve::start().await;
    let (ana, _, _) = couple(serve.address).await;
    let directory = tempfile::tempdir().unwrap();
    let bytes = noise(&mut Dice::new(), (6 << 20) + 321);
    let path = write(directory.path(), "noise.bin", &bytes);
    let mut node = Command::new("node");
    node.arg("upload.mjs")
        .arg(format!("http://{}/v1/media", serve.address))
        .arg(&path)
        .env("TOKEN", &ana.token)
        .current_dir(folder())
        .kill_on_drop(true);
    let done = timeout(DONE_WITHIN, node.output()).await.expect("it does not end").unwrap();
    let errors = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{}{errors}", String::from_utf8_lossy(&done.stdout));
    let said: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
    assert!(said["paused_at"].as_u64().unwrap() > 0, "{said}");
    assert!(said["resumed_from"].as_u64().unwrap() > 0, "{said}");
    assert_eq!(said["ended"], true, "{said}");
    let url = said["url"].as_str().unwrap();
    let id = url.rsplit('/').next().unwrap().parse().unwrap();
    let info = media_at(&ana, serve.address).info(id).await.unwrap();
    assert_eq!(info.name.as_deref(), Some("noise.bin"));
    assert_eq!(info.sha256.map(|sha256| sha256.to_string()), Some(sha256(&bytes)));
}
