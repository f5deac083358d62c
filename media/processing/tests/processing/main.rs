//! Files that are well, and files that are made to hurt. All are made here: none is a fixture.

#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

mod files;
mod fuzz;
mod hostile;
mod hostile_files;
mod movies;
mod pictures;
mod sniffing;
mod sounds;

use hansard_media_processing::{Limits, Processed, Programs, Source, process};

/// Of what is in memory, without any programs.
fn processed(bytes: &[u8]) -> Processed {
    process(Source::Bytes(bytes), &Limits::default(), &Programs::none()).unwrap()
}
