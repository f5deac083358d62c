use std::time::Duration;

/// What the work on one file may cost. The defaults are for a server with some hundred megabytes
/// for each of its workers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a picture that is decoded, compressed.
    pub picture_bytes_max: u64,
    /// Bytes of a picture of which a copy without metadata is made, compressed: both are in memory
    /// whole.
    pub stripped_bytes_max: u64,
    /// Pixels of a picture, by its header, before anything is decoded.
    pub pixels_max: u64,
    /// Bytes of the decoded picture. Scaling, rotation and the copy for the alpha channel need up
    /// to as much again: a worker needs about twice this.
    pub decoded_bytes_max: u64,
    /// How long a sound may last to have a waveform. Beyond, only its duration is told.
    pub sound_max: Duration,
    /// How long a sound may be decoded, or a container be read for its duration.
    pub decoding_max: Duration,
    /// How long a child process may live.
    pub child_max: Duration,
    /// Seconds of processor time of a child process.
    pub child_cpu_secs_max: u64,
    /// Bytes of address space of a child process.
    pub child_memory_max: u64,
    /// Bytes that a child process may write, per file.
    pub child_output_max: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            picture_bytes_max: 50 << 20,
            // As large as an upload may be unless the operator says otherwise.
            stripped_bytes_max: 100 << 20,
            pixels_max: 50_000_000,
            decoded_bytes_max: 256 << 20,
            sound_max: Duration::from_secs(30 * 60),
            decoding_max: Duration::from_secs(20),
            child_max: Duration::from_secs(20),
            child_cpu_secs_max: 15,
            child_memory_max: 1 << 30,
            child_output_max: 64 << 20,
        }
    }
}
