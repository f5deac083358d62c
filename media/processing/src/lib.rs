//! What can be known and shown of a file, from its bytes alone and without trusting any of them.
//!
//! 1. [`sniff()`]: the type of a file by its content, and whether a browser may show it inline;
//! 2. [`process()`]: its dimensions or duration, thumbnails or waveform, and a copy of a picture
//!    that tells nothing of where and by whom it was taken.
//!
//! Everything blocks: the caller has a bounded pool of threads for it. There is no network here, no
//! object store and no runtime; temporary files and child processes are all that it touches.
//!
//! Invariant: whatever the bytes are, [`process()`] ends within [`Limits`], with a value. What a
//! file has no preview for is [`NoPreview`], an answer like another; an error is a failure of this
//! machine to read the file, and worth another try.
//! Invariant: the name of a file and the type that its sender declared have no say.
//! Invariant: nothing is allocated by what a header claims before the claim is held to the limits.
//! Invariant: a decoder that panics takes with it the preview of one file and nothing else.
#![warn(missing_docs)]

mod file_type;
mod limits;
mod movie;
mod picture;
mod process;
mod processed;
mod programs;
mod sniff;
mod sound;
mod source;

pub use file_type::{FileType, Kind};
pub use limits::Limits;
pub use process::{process, process_blindly};
pub use processed::{NoPreview, Processed, Size, Stripped, Thumbnail, WAVEFORM_PEAKS};
pub use programs::{Program, Programs};
pub use sniff::{HEAD_BYTES, sniff};
pub use source::Source;
