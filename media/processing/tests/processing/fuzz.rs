//! Mutations of whole files, the same ones in every run.

use std::time::{Duration, Instant};

use hansard_media_processing::{NoPreview, sniff};

use crate::files::{Random, one_of_each};
use crate::processed;

const MUTATIONS: usize = 6_000;
/// For all of them.
const PATIENCE: Duration = Duration::from_secs(240);

/// One to four changes: of a bit, of a byte to a telling one, of a length, or of the order.
fn mutate(file: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..=random.below(4) {
        if file.is_empty() {
            return;
        }
        // Half of them where the headers are.
        let end = if random.below(2) == 0 { file.len().min(200) } else { file.len() };
        let at = random.below(end);
        match random.below(7) {
            0 | 1 => file[at] ^= 1 << random.below(8),
            2 => file[at] = [0, 1, 0x7F, 0x80, 0xFE, 0xFF][random.below(6)],
            3 => {
                let end = (at + 4).min(file.len());
                file[at..end].fill([0, 0xFF][random.below(2)]);
            }
            4 => file.truncate(at),
            5 => {
                let length = random.below(64).min(file.len() - at);
                let copy = file[at..at + length].to_vec();
                let to = random.below(file.len() + 1);
                file.splice(to..to, copy);
            }
            _ => {
                let length = random.below(32).min(file.len() - at);
                file.drain(at..at + length);
            }
        }
    }
}

#[test]
fn no_mutation_breaks_a_decoder_or_stalls_it() {
    let files = one_of_each();
    let mut random = Random(0x5EED_0FF1_1E5A_FE00);
    let mut broken = Vec::new();
    let mut shown = 0;
    let started = Instant::now();
    for i in 0..MUTATIONS {
        let (name, original) = &files[i % files.len()];
        let mut file = original.clone();
        mutate(&mut file, &mut random);
        let made = processed(&file);
        shown += usize::from(made.no_preview.is_none());
        // The promise is that it is caught; that it happens at all is to be known.
        if made.no_preview == Some(NoPreview::DecoderFailed) {
            broken.push(format!("{name} {i}"));
        }
        if let Some(stripped) = made.stripped {
            assert_eq!(sniff(&stripped.bytes), made.file_type, "{name} {i}");
        }
    }
    println!("{MUTATIONS} in {:?}, {shown} shown, {broken:?} broken", started.elapsed());
    assert!(shown > MUTATIONS / 10 && shown < MUTATIONS);
    assert!(broken.len() < MUTATIONS / 50, "{broken:?}");
    assert!(started.elapsed() < PATIENCE);
}
