/// The type of a file, by its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names of the formats say which they are")]
pub enum FileType {
    Jpeg,
    Png,
    Gif,
    WebP,
    Avif,
    Heic,
    Svg,
    Wav,
    Flac,
    Mp3,
    /// AAC without a container (ADTS).
    Aac,
    OggOpus,
    OggVorbis,
    /// An MP4 that has sound and no video.
    M4a,
    Mp4,
    QuickTime,
    WebmAudio,
    WebmVideo,
    /// Matroska with anything that is not `WebM`.
    Matroska,
    Pdf,
    Html,
    Xml,
    /// Text of any other kind: scripts are text.
    Text,
    /// Nothing that is known here, and the empty file.
    Unknown,
}

/// What a person would call a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Kind {
    Image,
    Audio,
    Video,
    Document,
    File,
}

impl FileType {
    /// Every type there is.
    pub const ALL: [Self; 24] = [
        Self::Jpeg,
        Self::Png,
        Self::Gif,
        Self::WebP,
        Self::Avif,
        Self::Heic,
        Self::Svg,
        Self::Wav,
        Self::Flac,
        Self::Mp3,
        Self::Aac,
        Self::OggOpus,
        Self::OggVorbis,
        Self::M4a,
        Self::Mp4,
        Self::QuickTime,
        Self::WebmAudio,
        Self::WebmVideo,
        Self::Matroska,
        Self::Pdf,
        Self::Html,
        Self::Xml,
        Self::Text,
        Self::Unknown,
    ];

    /// The type to serve it with: one of a closed set, never what the sender wrote.
    #[must_use]
    pub const fn mime(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
            Self::Gif => "image/gif",
            Self::WebP => "image/webp",
            Self::Avif => "image/avif",
            Self::Heic => "image/heic",
            Self::Svg => "image/svg+xml",
            Self::Wav => "audio/wav",
            Self::Flac => "audio/flac",
            Self::Mp3 => "audio/mpeg",
            Self::Aac => "audio/aac",
            Self::OggOpus => "audio/ogg; codecs=opus",
            Self::OggVorbis => "audio/ogg",
            Self::M4a => "audio/mp4",
            Self::Mp4 => "video/mp4",
            Self::QuickTime => "video/quicktime",
            Self::WebmAudio => "audio/webm",
            Self::WebmVideo => "video/webm",
            Self::Matroska => "video/x-matroska",
            Self::Pdf => "application/pdf",
            Self::Html => "text/html",
            Self::Xml => "application/xml",
            Self::Text => "text/plain; charset=utf-8",
            Self::Unknown => "application/octet-stream",
        }
    }

    /// What a person would call it.
    #[must_use]
    pub const fn kind(self) -> Kind {
        match self {
            Self::Jpeg
            | Self::Png
            | Self::Gif
            | Self::WebP
            | Self::Avif
            | Self::Heic
            | Self::Svg => Kind::Image,
            Self::Wav
            | Self::Flac
            | Self::Mp3
            | Self::Aac
            | Self::OggOpus
            | Self::OggVorbis
            | Self::M4a
            | Self::WebmAudio => Kind::Audio,
            Self::Mp4 | Self::QuickTime | Self::WebmVideo | Self::Matroska => Kind::Video,
            Self::Pdf => Kind::Document,
            Self::Html | Self::Xml | Self::Text | Self::Unknown => Kind::File,
        }
    }

    /// Whether a copy without metadata is made of such files, unless their container is damaged.
    /// All others keep what is in them.
    #[must_use]
    pub const fn is_stripped(self) -> bool {
        matches!(self, Self::Jpeg | Self::Png | Self::Gif | Self::WebP)
    }

    /// Whether a browser may show it where it is, with `nosniff` and with [`Self::mime`] as its
    /// type. Only what has no scripts, no links and no styles: everything else is an attachment.
    #[must_use]
    pub const fn may_be_inline(self) -> bool {
        match self {
            Self::Jpeg | Self::Png | Self::Gif | Self::WebP | Self::Avif | Self::Heic => true,
            Self::Wav
            | Self::Flac
            | Self::Mp3
            | Self::Aac
            | Self::OggOpus
            | Self::OggVorbis
            | Self::M4a => true,
            Self::Mp4 | Self::QuickTime | Self::WebmAudio | Self::WebmVideo => true,
            // Active, or shown by something that is: a PDF runs scripts in its viewer.
            Self::Svg | Self::Pdf | Self::Html | Self::Xml => false,
            // Inert as text/plain, but nobody looks at it there, and old browsers guess.
            Self::Text => false,
            Self::Matroska | Self::Unknown => false,
        }
    }
}
