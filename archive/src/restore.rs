//! The streams again, from segments.
