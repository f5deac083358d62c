//! A real S3 server: moto, installed once for this user, started by the test.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use hansard_archive::{Objects, ObjectsUrl};

const REQUIREMENTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/requirements.txt");
/// Of what `requirements.txt` pins: another version is another directory.
const HOME: &str = "moto-5.2.5";

/// Says its port, and ends when its standard input does: with the test, however that ends.
const SERVE: &str = r#"
import sys
from moto.server import ThreadedMotoServer
import boto3
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
port = server.get_host_and_port()[1]
client = boto3.client("s3", endpoint_url=f"http://127.0.0.1:{port}", region_name="us-east-1",
                      aws_access_key_id="key", aws_secret_access_key="secret")
client.create_bucket(Bucket="hansard")
print("port", port, flush=True)
sys.stdin.read()
"#;

pub(crate) struct S3 {
    server: Child,
    port: u16,
}

impl S3 {
    pub(crate) fn start() -> Self {
        let mut server = Command::new("python3")
            .args(["-c", SERVE])
            .env("PYTHONPATH", installed())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("python3");
        let output = BufReader::new(server.stdout.take().expect("its output"));
        let port = output
            .lines()
            .map_while(Result::ok)
            .find_map(|line| line.strip_prefix("port ")?.parse().ok())
            .expect("the S3 server says its port");
        Self { server, port }
    }

    pub(crate) fn objects(&self, prefix: &str) -> Objects {
        let url: ObjectsUrl = format!("s3://hansard/{prefix}").parse().expect("a URL");
        let variables = [
            ("AWS_ENDPOINT", format!("http://127.0.0.1:{}", self.port)),
            ("AWS_ALLOW_HTTP", "true".to_owned()),
            ("AWS_REGION", "us-east-1".to_owned()),
            ("AWS_ACCESS_KEY_ID", "key".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "secret".to_owned()),
        ];
        let variables = variables.map(|(name, value)| (name.to_owned(), value));
        Objects::open_with(&url, variables).expect("an object store")
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
        let status = Command::new("python3")
            .args(["-m", "pip", "install", "--quiet", "--no-input", "--no-compile", "--no-deps"])
            .args(["--disable-pip-version-check", "--root-user-action", "ignore"])
            .args(["--requirement", REQUIREMENTS, "--target"])
            .arg(&draft)
            .status();
        assert!(status.is_ok_and(|status| status.success()), "pip installs {REQUIREMENTS}");
        fs::rename(&draft, &home).expect("installed");
    }
    home
}
