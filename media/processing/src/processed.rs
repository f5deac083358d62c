use crate::programs::Program;
use crate::{FileType, Kind};

/// Peaks in a waveform.
pub const WAVEFORM_PEAKS: usize = 64;

/// What is known of a file, and what of it can be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Processed {
    /// Its type, by its content.
    pub file_type: FileType,
    /// Width and height of a picture or a video, as it is shown: after its rotation.
    pub size: Option<Size>,
    /// How long a sound or a video lasts, by its container or by what was decoded of it.
    pub duration_ms: Option<u64>,
    /// The loudest sample in each of 64 equal parts of a sound, linear, from 0 for silence to 255
    /// for the loudest of the whole sound. All 0 if nothing is louder than -60 dB of full scale.
    pub waveform: Option<[u8; WAVEFORM_PEAKS]>,
    /// A blurred miniature to show until the thumbnail is there: a `ThumbHash` of at most 25 bytes,
    /// in base64 of the standard alphabet with padding.
    pub placeholder: Option<String>,
    /// Smaller versions of a picture, of the first frame of an animation, of a frame of a video or
    /// of the first page of a document: none, or `thumb` and `preview`, in this order.
    pub thumbnails: Vec<Thumbnail>,
    /// The picture without metadata, also if there is no preview; `None` if it cannot be rewritten.
    pub stripped: Option<Stripped>,
    /// Why there are no thumbnails, or no waveform of a sound.
    pub no_preview: Option<NoPreview>,
}

impl Processed {
    /// Of this type, and nothing else is known.
    pub(crate) const fn of(file_type: FileType) -> Self {
        Self {
            file_type,
            size: None,
            duration_ms: None,
            waveform: None,
            placeholder: None,
            thumbnails: Vec::new(),
            stripped: None,
            no_preview: None,
        }
    }

    /// What a person would call the file.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.file_type.kind()
    }
}

/// Width and height in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Size {
    pub width: u32,
    pub height: u32,
}

/// A smaller version of a picture, as WebP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Thumbnail {
    /// `thumb`, which fits into 320 by 320 pixels, or `preview`, which fits into 1280 by 1280.
    pub name: &'static str,
    /// Its size: the proportions are the picture's, and it is never larger than that.
    pub size: Size,
    /// The WebP file.
    pub webp: Vec<u8>,
}

/// A picture without EXIF, XMP, IPTC, comments, embedded thumbnails, or anything after its end. Of
/// the EXIF of a JPEG that could not be turned, how it is to be turned is kept and nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stripped {
    /// The file, of the type of the original.
    pub bytes: Vec<u8>,
    /// Whether its pixels are those of the original bit for bit. They are not if the picture had to
    /// be rotated.
    pub lossless: bool,
}

/// Why a file has no preview. Nothing of it is the fault of the machine, and the same file has the
/// same answer again, unless programs are installed, or the machine was too slow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum NoPreview {
    /// The file has no bytes.
    #[error("the file is empty")]
    Empty,
    /// No preview is made of files of this type.
    #[error("files of this type have no preview")]
    Unsupported,
    /// The file is damaged, or is not what its first bytes say.
    #[error("the file cannot be read as what it is")]
    Unreadable,
    /// A picture with more pixels than the limit.
    #[error("the picture has too many pixels")]
    TooManyPixels,
    /// More bytes than the limit, compressed or decoded.
    #[error("the file is too large for a preview")]
    TooLarge,
    /// A sound that lasts longer than the limit, or a picture in more passes than any encoder
    /// makes.
    #[error("the file is too long for a preview")]
    TooLong,
    /// It took longer than the limit.
    #[error("the preview took too long")]
    TimedOut,
    /// A decoder broke: the file has found a mistake of it.
    #[error("the decoder failed")]
    DecoderFailed,
    /// The program that would make it is not installed.
    #[error("{0} is not installed")]
    NotInstalled(Program),
}

impl NoPreview {
    /// A name for the wire and for labels of metrics.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Unsupported => "unsupported",
            Self::Unreadable => "unreadable",
            Self::TooManyPixels => "too_many_pixels",
            Self::TooLarge => "too_large",
            Self::TooLong => "too_long",
            Self::TimedOut => "timed_out",
            Self::DecoderFailed => "decoder_failed",
            Self::NotInstalled(_) => "not_installed",
        }
    }
}
