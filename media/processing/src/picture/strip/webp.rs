use super::take;

/// The picture, its transparency, and the frames of an animation.
const KEPT: [&[u8; 4]; 6] = [b"VP8X", b"VP8 ", b"VP8L", b"ALPH", b"ANIM", b"ANMF"];
const HAS_ANIMATION: u8 = 0x02;
const HAS_ALPHA: u8 = 0x10;
const HAS_PROFILE: u8 = 0x20;

/// The chunks, within what the container says that it has. None if it is no WebP.
fn chunks(bytes: &[u8]) -> Option<Chunks<'_>> {
    let mut rest = bytes;
    let head = take(&mut rest, 12)?;
    let length = u32::from_le_bytes(head.get(4..8)?.try_into().ok()?);
    let length = usize::try_from(length).ok()?.checked_sub(4)?;
    let is_webp = head.starts_with(b"RIFF") && head.ends_with(b"WEBP");
    is_webp.then(|| Chunks(rest.get(..length).unwrap_or(rest)))
}

struct Chunks<'a>(&'a [u8]);

impl<'a> Iterator for Chunks<'a> {
    type Item = ([u8; 4], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let head = take(&mut self.0, 8)?;
        let length = u32::from_le_bytes(head.get(4..)?.try_into().ok()?);
        let length = usize::try_from(length).ok()?;
        let contents = take(&mut self.0, length)?;
        take(&mut self.0, length % 2).unwrap_or_default();
        Some((head.get(..4)?.try_into().ok()?, contents))
    }
}

fn push(file: &mut Vec<u8>, name: [u8; 4], contents: &[u8]) {
    file.extend_from_slice(&name);
    file.extend_from_slice(&(contents.len() as u32).to_le_bytes());
    file.extend_from_slice(contents);
    file.resize(file.len() + contents.len() % 2, 0);
}

fn finish(mut file: Vec<u8>) -> Option<Vec<u8>> {
    let length = u32::try_from(file.len().checked_sub(8)?).ok()?;
    file.get_mut(4..8)?.copy_from_slice(&length.to_le_bytes());
    Some(file)
}

pub(super) fn strip(bytes: &[u8], with_profile: bool) -> Option<Vec<u8>> {
    let mut stripped = Vec::with_capacity(bytes.len());
    stripped.extend_from_slice(b"RIFF\0\0\0\0WEBP");
    let mut has_picture = false;
    for (name, contents) in chunks(bytes)? {
        if &name == b"VP8X" {
            let mut contents = contents.to_vec();
            let profile = if with_profile { HAS_PROFILE } else { 0 };
            *contents.first_mut()? &= HAS_ANIMATION | HAS_ALPHA | profile;
            push(&mut stripped, name, &contents);
        } else if KEPT.contains(&&name) || (with_profile && &name == b"ICCP") {
            push(&mut stripped, name, contents);
        }
        has_picture |= [b"VP8 ", b"VP8L", b"ANMF"].contains(&&name);
    }
    finish(stripped).filter(|_| has_picture)
}

pub(super) fn is_animated(bytes: &[u8]) -> bool {
    let first = chunks(bytes).and_then(|mut chunks| chunks.next());
    first.is_some_and(|(name, contents)| {
        &name == b"VP8X" && contents.first().is_some_and(|flags| flags & HAS_ANIMATION != 0)
    })
}

/// With a colour profile, which needs the extended form of the container.
pub(in crate::picture) fn with_profile(
    bytes: &[u8],
    profile: &[u8],
    (width, height): (u32, u32),
    has_alpha: bool,
) -> Option<Vec<u8>> {
    let mut extended = b"RIFF\0\0\0\0WEBP".to_vec();
    let flags = HAS_PROFILE | if has_alpha { HAS_ALPHA } else { 0 };
    let mut header = vec![flags, 0, 0, 0];
    for side in [width, height] {
        header.extend_from_slice(side.checked_sub(1)?.to_le_bytes().get(..3)?);
    }
    push(&mut extended, *b"VP8X", &header);
    push(&mut extended, *b"ICCP", profile);
    for (name, contents) in chunks(bytes)?.filter(|(name, _)| name != b"VP8X") {
        push(&mut extended, name, contents);
    }
    finish(extended)
}
