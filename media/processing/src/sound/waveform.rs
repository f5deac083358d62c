use crate::WAVEFORM_PEAKS;

/// Parts of a sound that are kept: enough that a boundary between two peaks is off by a hundredth.
const PARTS_MAX: usize = 8_192;
/// -60 dB of full scale: what is below is silence with noise, and not made to look like a voice.
const SILENCE: u16 = 33;

/// The loudest of each part of a sound whose length is not known beforehand, in bounded memory:
/// when there are too many parts, each two become one.
pub(super) struct Peaks {
    parts: Vec<u16>,
    /// Samples in a part.
    samples: u64,
    /// Of the part that is being heard.
    heard: u64,
    loudest: u16,
}

impl Default for Peaks {
    fn default() -> Self {
        Self { parts: Vec::with_capacity(PARTS_MAX), samples: 1, heard: 0, loudest: 0 }
    }
}

impl Peaks {
    /// The next sample: how far from zero it is, of 32768.
    pub(super) fn push(&mut self, amplitude: u16) {
        self.loudest = self.loudest.max(amplitude);
        self.heard += 1;
        if self.heard < self.samples {
            return;
        }
        self.parts.push(self.loudest);
        self.heard = 0;
        self.loudest = 0;
        if self.parts.len() == PARTS_MAX {
            for i in 0..PARTS_MAX / 2 {
                self.parts[i] = self.parts[2 * i].max(self.parts[2 * i + 1]);
            }
            self.parts.truncate(PARTS_MAX / 2);
            self.samples *= 2;
        }
    }

    /// None if nothing was heard.
    pub(super) fn waveform(&self) -> Option<[u8; WAVEFORM_PEAKS]> {
        let count = self.parts.len();
        let loudest = *self.parts.iter().max()?;
        let mut peaks = [0; WAVEFORM_PEAKS];
        if loudest <= SILENCE {
            return Some(peaks);
        }
        for (i, peak) in peaks.iter_mut().enumerate() {
            let start = i * count / WAVEFORM_PEAKS;
            let end = ((i + 1) * count / WAVEFORM_PEAKS).max(start + 1);
            let of_part = self.parts[start..end].iter().max().copied().unwrap_or_default();
            let scaled = (u32::from(of_part) * 255 + u32::from(loudest) / 2) / u32::from(loudest);
            *peak = u8::try_from(scaled).unwrap_or(u8::MAX);
        }
        Some(peaks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waveform(samples: impl IntoIterator<Item = u16>) -> Option<[u8; WAVEFORM_PEAKS]> {
        let mut peaks = Peaks::default();
        samples.into_iter().for_each(|sample| peaks.push(sample));
        peaks.waveform()
    }

    #[test]
    fn a_waveform_has_the_shape_of_the_sound_however_long_it_is() {
        for length in [64_u64, 100, 8_191, 8_192, 8_193, 1_000_000] {
            let rising = waveform((0..length).map(|i| (i * 20_000 / length) as u16)).unwrap();
            assert!(rising.is_sorted(), "{length}: {rising:?}");
            assert_eq!(rising[63], 255, "{length}");
            assert!((120..=136).contains(&rising[31]), "{length}: {rising:?}");
        }
    }

    #[test]
    fn what_is_very_short_or_silent_has_one_too() {
        assert_eq!(waveform([]), None);
        assert_eq!(waveform([40]), Some([255; 64]));
        assert_eq!(waveform([33; 1000]), Some([0; 64]));
        assert_eq!(waveform([i16::MIN.unsigned_abs(); 1000]), Some([255; 64]));
    }
}
