//! A real S3 server: moto, installed once for this user, started by the test. The end-to-end tests
//! start it by this file too.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use hansard_archive::{Objects, ObjectsUrl};

const REQUIREMENTS: &str = include_str!("../requirements.txt");
const SERVER: &str = include_str!("../s3.py");
/// Of what `requirements.txt` pins: another version is another directory.
const HOME: &str = "moto-5.2.5";

/// A server with the bucket `hansard`; ends with the value.
pub(crate) struct S3 {
    pub(crate) server: Child,
    port: u64,
    id: String,
    secret: String,
}

impl S3 {
    /// Starts it, and installs it first if need be. Takes seconds, and blocks.
    pub(crate) fn start() -> Self {
        let mut server = Command::new("python3")
            .args(["-c", SERVER])
            .env("PYTHONPATH", installed())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3");
        let mut said = String::new();
        let mut output = BufReader::new(server.stdout.take().expect("its output"));
        output.read_line(&mut said).expect("its output");
        let said: serde_json::Value = serde_json::from_str(&said)
            .expect("the S3 server does not start: what it says is above");
        let text = |name: &str| said[name].as_str().expect("text").to_owned();
        let port = said["port"].as_u64().expect("a port");
        Self { server, port, id: text("id"), secret: text("secret") }
    }

    /// What a process must find in its environment to use the server.
    pub(crate) fn variables(&self) -> Vec<(String, String)> {
        let variables = [
            ("AWS_ENDPOINT", format!("http://127.0.0.1:{}", self.port)),
            ("AWS_ALLOW_HTTP", "true".to_owned()),
            ("AWS_REGION", "us-east-1".to_owned()),
            ("AWS_ACCESS_KEY_ID", self.id.clone()),
            ("AWS_SECRET_ACCESS_KEY", self.secret.clone()),
        ];
        variables.map(|(name, value)| (name.to_owned(), value)).to_vec()
    }

    /// What is in the bucket below a prefix.
    pub(crate) fn objects(&self, prefix: &str) -> Objects {
        let url: ObjectsUrl = format!("s3://hansard/{prefix}").parse().expect("a URL");
        Objects::open_with(&url, self.variables()).expect("an object store")
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// Where it is installed; does so if it is not. One process does, others wait for it.
#[expect(clippy::disallowed_methods, reason = "where a test may keep what it fetched")]
fn installed() -> PathBuf {
    let cache = match (std::env::var_os("XDG_CACHE_HOME"), std::env::var_os("HOME")) {
        (Some(cache), _) => PathBuf::from(cache),
        (None, Some(home)) => PathBuf::from(home).join(".cache"),
        (None, None) => std::env::temp_dir(),
    };
    let cache = cache.join("hansard");
    fs::create_dir_all(&cache).expect("a cache directory");
    let home = cache.join(HOME);
    let turn = File::create(cache.join("moto.lock")).expect("a lock file");
    turn.lock().expect("a lock");
    if !home.exists() {
        let draft = cache.join(format!("{HOME}.new"));
        // Whoever was at it before may have been killed half way.
        let _ = fs::remove_dir_all(&draft);
        let requirements = cache.join(format!("{HOME}.txt"));
        fs::write(&requirements, REQUIREMENTS).expect("written");
        let installing = Command::new("python3")
            .args(["-m", "pip", "install", "--quiet", "--no-input", "--no-compile", "--no-deps"])
            .args(["--disable-pip-version-check", "--root-user-action", "ignore"])
            .args(["--retries", "2", "--requirement"])
            .arg(&requirements)
            .arg("--target")
            .arg(&draft)
            .output();
        let failed = match installing {
            Ok(output) if output.status.success() => None,
            Ok(output) => Some(String::from_utf8_lossy(&output.stderr).into_owned()),
            Err(error) => Some(format!("python3: {error}")),
        };
        if let Some(failed) = failed {
            panic!(
                "the tests on S3 need an S3 server, and python3 -m pip cannot install it. Give \
                 this machine python3 with pip and its package registry, or put what \
                 archive/tests/requirements.txt names into {}.\n{failed}",
                home.display()
            );
        }
        fs::rename(&draft, &home).expect("installed");
    }
    home
}
