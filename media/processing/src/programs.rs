//! Programs of other packages, for what no library does safely: each run as a child with limits.

mod child;

use std::fmt;
use std::path::{Path, PathBuf};

pub(crate) use child::run;

/// Where packages put programs. Not by `PATH`: who can set that could as well run a program.
const FOLDERS: [&str; 3] = ["/usr/bin", "/usr/local/bin", "/bin"];

/// A program, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Program {
    /// Frames of videos, and sounds that no library here decodes. Package `ffmpeg`.
    Ffmpeg,
    /// What is in a video. Package `ffmpeg`.
    Ffprobe,
    /// Pages of PDFs. Package `poppler-utils`.
    Pdftoppm,
    /// Sets the limits of the others: without it none of them runs. Package `util-linux`.
    Prlimit,
    /// Takes the network from the others. Package `util-linux`.
    Unshare,
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ffmpeg => "ffmpeg",
            Self::Ffprobe => "ffprobe",
            Self::Pdftoppm => "pdftoppm",
            Self::Prlimit => "prlimit",
            Self::Unshare => "unshare",
        })
    }
}

/// The programs that are there. To be found once, when a service starts.
#[derive(Clone, Debug, Default)]
pub struct Programs {
    ffmpeg: Option<PathBuf>,
    ffprobe: Option<PathBuf>,
    pdftoppm: Option<PathBuf>,
    prlimit: Option<PathBuf>,
    unshare: Option<PathBuf>,
}

impl Programs {
    /// Those in the folders of a Debian system. Blocks for the start of one small process.
    #[must_use]
    pub fn find() -> Self {
        Self::find_in(&FOLDERS.map(Path::new))
    }

    /// Those in these folders, of which the first wins.
    #[must_use]
    pub fn find_in(folders: &[&Path]) -> Self {
        let find = |program: Program| {
            let paths = folders.iter().map(|folder| folder.join(program.to_string()));
            paths.into_iter().find(|path| path.is_file())
        };
        Self {
            ffmpeg: find(Program::Ffmpeg),
            ffprobe: find(Program::Ffprobe),
            pdftoppm: find(Program::Pdftoppm),
            prlimit: find(Program::Prlimit),
            unshare: find(Program::Unshare).filter(|path| child::can_unshare(path)),
        }
    }

    /// None: files that need one have no preview.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// Whether it was found. `Unshare` also has to work: not every system lets a user have it.
    #[must_use]
    pub const fn has(&self, program: Program) -> bool {
        self.path(program).is_some()
    }

    const fn path(&self, program: Program) -> Option<&PathBuf> {
        match program {
            Program::Ffmpeg => self.ffmpeg.as_ref(),
            Program::Ffprobe => self.ffprobe.as_ref(),
            Program::Pdftoppm => self.pdftoppm.as_ref(),
            Program::Prlimit => self.prlimit.as_ref(),
            Program::Unshare => self.unshare.as_ref(),
        }
    }
}
