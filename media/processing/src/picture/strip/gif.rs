use super::take;

const EXTENSION: u8 = 0x21;
const IMAGE: u8 = 0x2C;
const TRAILER: u8 = 0x3B;
/// Of an extension: how long a frame is shown, and what is transparent.
const CONTROL: u8 = 0xF9;
/// Of an extension: of whoever names itself in it. Those that say how often an animation runs are
/// kept; XMP and whatever else is not.
const APPLICATION: u8 = 0xFF;

pub(super) fn strip(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut rest = bytes;
    let mut stripped = Vec::with_capacity(bytes.len());
    let screen = take(&mut rest, 13)?;
    stripped.extend_from_slice(screen);
    stripped.extend_from_slice(take(&mut rest, colours(screen[10]))?);
    let mut images = 0_usize;
    while let Some(block) = next_block(&mut rest) {
        match *block {
            [EXTENSION, CONTROL, ..] => stripped.extend_from_slice(block),
            [EXTENSION, APPLICATION, 11, ref name @ ..]
                if name.starts_with(b"NETSCAPE2.0") || name.starts_with(b"ANIMEXTS1.0") =>
            {
                stripped.extend_from_slice(block);
            }
            [IMAGE, ..] => {
                stripped.extend_from_slice(block);
                images += 1;
            }
            _ => {}
        }
    }
    // Where it breaks off is where it ends, as for browsers.
    stripped.push(TRAILER);
    (images > 0).then_some(stripped)
}

/// Bytes of the table of colours that a byte of flags tells of.
fn colours(flags: u8) -> usize {
    if flags & 0x80 == 0 { 0 } else { 3 << ((flags & 0x07) + 1) }
}

/// None at the trailer, at the end, and at a block that is not whole.
fn next_block<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let head = match *rest.first()? {
        EXTENSION => 2,
        IMAGE => {
            // The descriptor, its colours, and the width of the codes.
            10 + colours(*rest.get(9)?) + 1
        }
        _ => return None,
    };
    let mut end = head;
    loop {
        let length = usize::from(*rest.get(end)?);
        end += 1 + length;
        if length == 0 {
            return take(rest, end);
        }
    }
}
