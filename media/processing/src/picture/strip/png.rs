use super::take;

const SIGNATURE: &[u8] = b"\x89PNG\r\n\x1A\n";
/// The picture, its colours, and the frames of an animation.
const KEPT: [&[u8; 4]; 15] = [
    b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"sBIT", b"bKGD",
    b"pHYs", b"cICP", b"acTL", b"fcTL", b"fdAT",
];

/// A chunk: its type, and all of its bytes with its length and its checksum.
type Chunk<'a> = ([u8; 4], &'a [u8]);

fn next_chunk<'a>(rest: &mut &'a [u8]) -> Option<Chunk<'a>> {
    let length = u32::from_be_bytes(rest.get(..4)?.try_into().ok()?);
    let name = rest.get(4..8)?.try_into().ok()?;
    let whole = usize::try_from(length).ok()?.checked_add(12)?;
    Some((name, take(rest, whole)?))
}

pub(super) fn strip(bytes: &[u8], with_profile: bool) -> Option<Vec<u8>> {
    let mut rest = bytes.strip_prefix(SIGNATURE)?;
    let mut stripped = Vec::with_capacity(bytes.len());
    stripped.extend_from_slice(SIGNATURE);
    let mut has_picture = false;
    while let Some((name, chunk)) = next_chunk(&mut rest) {
        if KEPT.contains(&&name) || (with_profile && &name == b"iCCP") {
            stripped.extend_from_slice(chunk);
        }
        has_picture |= &name == b"IDAT";
        if &name == b"IEND" {
            break;
        }
    }
    // Where it breaks off is where it ends, as for browsers.
    has_picture.then_some(stripped)
}

pub(super) fn is_animated(bytes: &[u8]) -> bool {
    let mut rest = bytes.strip_prefix(SIGNATURE).unwrap_or_default();
    while let Some((name, _)) = next_chunk(&mut rest) {
        match &name {
            b"acTL" => return true,
            b"IDAT" => return false,
            _ => {}
        }
    }
    false
}
