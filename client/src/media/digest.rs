//! SHA-256 of what is read.

use std::io::{self, Read};

use hansard_model::media::Sha256;
use sha2::Digest;

/// Bytes read at a time.
const READ_BYTES: usize = 256 * 1024;

/// Reads to the end.
pub(super) fn sha256(mut reader: impl Read) -> io::Result<Sha256> {
    let mut hash = sha2::Sha256::new();
    let mut buffer = vec![0; READ_BYTES];
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return Ok(Sha256(hash.finalize().into())),
            Ok(read) => hash.update(&buffer[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
