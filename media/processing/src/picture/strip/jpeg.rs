use image::metadata::Orientation;

use super::take;

const SOI: [u8; 2] = [0xFF, 0xD8];
const EOI: [u8; 2] = [0xFF, 0xD9];
const SOS: u8 = 0xDA;
const PROFILE: &[u8] = b"ICC_PROFILE\0";

/// A segment with its parameters, and behind a scan header the compressed data.
struct Segment<'a> {
    marker: u8,
    /// With its length, without its marker.
    parameters: &'a [u8],
    data: &'a [u8],
}

/// The segments up to the end of the image, or of the file if that comes first.
struct Segments<'a>(&'a [u8]);

impl<'a> Iterator for Segments<'a> {
    type Item = Segment<'a>;

    fn next(&mut self) -> Option<Segment<'a>> {
        loop {
            let start = self.0.iter().position(|&byte| byte == 0xFF)?;
            let fill = self.0.get(start..)?;
            let fills = fill.iter().position(|&byte| byte != 0xFF)?;
            self.0 = fill.get(fills..)?;
            let marker = *take(&mut self.0, 1)?.first()?;
            match marker {
                0xD9 => {
                    self.0 = &[];
                    return None;
                }
                // Garbage, and markers that stand alone.
                0x00 | 0x01 | 0xD0..=0xD8 => {}
                _ => {
                    let length = u16::from_be_bytes(self.0.get(..2)?.try_into().ok()?);
                    let parameters = take(&mut self.0, usize::from(length.max(2)))?;
                    let data_length = if marker == SOS { scan_length(self.0) } else { 0 };
                    let data = take(&mut self.0, data_length)?;
                    return Some(Segment { marker, parameters, data });
                }
            }
        }
    }
}

/// Up to the first marker that is neither a stuffed 0xFF nor a restart.
fn scan_length(bytes: &[u8]) -> usize {
    let mut at = 0;
    while let Some(found) = bytes.get(at..).and_then(|b| b.iter().position(|&byte| byte == 0xFF)) {
        at += found;
        match bytes.get(at + 1) {
            Some(0x00 | 0xD0..=0xD7) => at += 2,
            Some(0xFF) => at += 1,
            Some(_) => return at,
            None => return bytes.len(),
        }
    }
    bytes.len()
}

/// How many passes over the picture there are.
pub(in crate::picture) fn scans(bytes: &[u8]) -> usize {
    let segments = Segments(bytes.get(2..).unwrap_or_default());
    segments.filter(|segment| segment.marker == SOS).count()
}

pub(super) fn strip(bytes: &[u8], with_profile: bool, orientation: Orientation) -> Option<Vec<u8>> {
    let mut stripped = Vec::with_capacity(bytes.len());
    stripped.extend_from_slice(&SOI);
    if orientation != Orientation::NoTransforms {
        stripped.extend_from_slice(&exif(orientation));
    }
    let mut scans = 0;
    for Segment { marker, parameters, data } in Segments(bytes.strip_prefix(&SOI)?) {
        let contents = parameters.get(2..)?;
        match marker {
            // Without the thumbnail that may be in it, which shows what has been cut away since.
            0xE0 if contents.starts_with(b"JFIF\0") && contents.len() >= 12 => {
                stripped.extend_from_slice(&[0xFF, 0xE0, 0, 16]);
                stripped.extend_from_slice(contents.get(..12)?);
                stripped.extend_from_slice(&[0, 0]);
                continue;
            }
            0xE2 if with_profile && contents.starts_with(PROFILE) => {}
            // How the colours are to be transformed.
            0xEE if contents.starts_with(b"Adobe") => {}
            0xC0..=0xCF | 0xDA..=0xDF => {}
            _ => continue,
        }
        scans += usize::from(marker == SOS);
        stripped.extend_from_slice(&[0xFF, marker]);
        stripped.extend_from_slice(parameters);
        stripped.extend_from_slice(data);
    }
    stripped.extend_from_slice(&EOI);
    (scans > 0).then_some(stripped)
}

/// A segment that says how the picture is to be turned, and nothing else.
fn exif(orientation: Orientation) -> [u8; 36] {
    let mut segment = *b"\xFF\xE1\0\x22Exif\0\0II*\0\x08\0\0\0\x01\0\
        \x12\x01\x03\0\x01\0\0\0\0\0\0\0\0\0\0\0";
    segment[28] = orientation.to_exif();
    segment
}
