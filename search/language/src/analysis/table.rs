//! What is known of the characters of the first plane, worked out for 256 at a time when one of
//! them is first met: looking it up in the tables of Unicode takes ten times as long as the rest
//! of an analysis.

use std::sync::OnceLock;

use super::character::{Class, class_of};
use super::folding::folded_alone;

const BLOCK: usize = 256;

/// 256 characters.
struct Block {
    classes: [Class; BLOCK],
    /// What each is folded to, if it is one character whatever is before it.
    folded: [Option<char>; BLOCK],
}

/// At most 400 KiB, when all of them were met.
static BLOCKS: [OnceLock<Box<Block>>; 256] = [const { OnceLock::new() }; 256];

fn block(code: usize) -> Option<&'static Block> {
    let block = BLOCKS.get(code / BLOCK)?.get_or_init(|| {
        let mut block = Box::new(Block { classes: [Class::Other; BLOCK], folded: [None; BLOCK] });
        let first = code - code % BLOCK;
        for (index, code) in (first..first + BLOCK).enumerate() {
            if let Some(c) = u32::try_from(code).ok().and_then(char::from_u32) {
                block.classes[index] = class_of(c);
                block.folded[index] = folded_alone(c);
            }
        }
        block
    });
    Some(block)
}

/// The class of a character outside of ASCII.
pub(crate) fn class(c: char) -> Class {
    let code = c as usize;
    block(code).map_or_else(|| class_of(c), |block| block.classes[code % BLOCK])
}

/// What a character is folded to, if it is one character whatever is before it.
pub(super) fn folded(c: char) -> Option<char> {
    let code = c as usize;
    block(code).and_then(|block| block.folded[code % BLOCK])
}
