//! What uploaders say of their files: text of strangers, cut down to what people can read safely.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hansard_model::media::{DECLARED_TYPE_BYTES_MAX, Declared, FILE_NAME_BYTES_MAX};

/// Bytes of a header with metadata at most.
const METADATA_BYTES_MAX: usize = 4096;

/// What is said of a file by its name, its type and what may be done with it.
pub(crate) fn declared(
    name: Option<&str>,
    media_type: Option<&str>,
    (original, opaque): (bool, bool),
) -> Declared {
    Declared {
        name: name.and_then(file_name),
        media_type: media_type.and_then(declared_type),
        original,
        opaque,
    }
}

/// What is said in the header `Upload-Metadata` of tus: pairs of a key and a value in base64,
/// between commas. Keys that mean nothing here are left out, as are values that are no text.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn from_metadata(header: &str) -> Result<Declared, &'static str> {
    if header.len() > METADATA_BYTES_MAX {
        return Err("Upload-Metadata is too long");
    }
    let (mut name, mut media_type) = (None, None);
    let (mut original, mut opaque) = (false, false);
    for pair in header.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once(' ').unwrap_or((pair, ""));
        let value = STANDARD.decode(value.trim()).map_err(|_| "Upload-Metadata is not base64")?;
        let text = String::from_utf8(value).ok();
        match key {
            "filename" | "name" => name = text.or(name),
            "filetype" | "type" => media_type = text.or(media_type),
            "original" => original = is_set(text.as_deref()),
            "opaque" => opaque = is_set(text.as_deref()),
            _ => {}
        }
    }
    Ok(declared(name.as_deref(), media_type.as_deref(), (original, opaque)))
}

/// A key without a value says yes.
fn is_set(value: Option<&str>) -> bool {
    matches!(value, Some("" | "1" | "true"))
}

/// The last component of a name, without what deceives those who read it or a file system.
fn file_name(text: &str) -> Option<String> {
    let last = text.rsplit(['/', '\\']).next().unwrap_or_default();
    let mut name: String = last.chars().filter(|c| !deceives(*c)).collect();
    name.truncate(name.floor_char_boundary(FILE_NAME_BYTES_MAX));
    let name = name.trim();
    (!name.is_empty() && name != "." && name != "..").then(|| name.to_owned())
}

/// Control characters, those that change the direction of what follows, and those that nobody sees.
fn deceives(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{61c}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
        )
}

/// A type as HTTP writes it, in lower case; anything else is not repeated to anybody.
fn declared_type(text: &str) -> Option<String> {
    let text = text.trim().to_ascii_lowercase();
    let (kind, rest) = text.split_once('/')?;
    let is_token = |part: &str| {
        let is_token_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte);
        !part.is_empty() && part.bytes().all(is_token_byte)
    };
    let subtype = rest.split(';').next().unwrap_or_default().trim();
    let is_plain = text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    let is_type = is_token(kind) && is_token(subtype) && is_plain;
    (is_type && text.len() <= DECLARED_TYPE_BYTES_MAX).then_some(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_text_for_people_and_no_paths() {
        let name = |text: &str| file_name(text).unwrap_or_default();
        assert_eq!(name("../../etc/passwd"), "passwd");
        assert_eq!(name("C:\\Windows\\a.txt"), "a.txt");
        assert_eq!(name("a\r\nSet-Cookie: b.png"), "aSet-Cookie: b.png");
        assert_eq!(name("photo\u{202e}gpj.exe"), "photogpj.exe");
        assert_eq!(name("  Ünïcödé 猫.jpg "), "Ünïcödé 猫.jpg");
        assert_eq!(name(&"é".repeat(200)).len(), 254);
        for nothing in ["", ".", "..", "a/", "\u{0}", " \u{200b} "] {
            assert_eq!(file_name(nothing), None, "{nothing:?}");
        }
    }

    #[test]
    fn metadata_of_tus_are_read() {
        let header = "filename Y2F0LmpwZw==,filetype aW1hZ2UvSnBlZw==, original,opaque ZmFsc2U=,x";
        let said = from_metadata(header).expect("metadata");
        assert_eq!(said.name.as_deref(), Some("cat.jpg"));
        assert_eq!(said.media_type.as_deref(), Some("image/jpeg"));
        assert!(said.original && !said.opaque);
        assert!(from_metadata("filename cat.jpg").is_err());
        assert!(from_metadata(&"a".repeat(5000)).is_err());
        assert_eq!(from_metadata(""), Ok(Declared::default()));
    }

    #[test]
    fn types_are_types_or_nothing() {
        assert_eq!(
            declared_type("Text/Plain; charset=UTF-8").as_deref(),
            Some("text/plain; charset=utf-8")
        );
        for other in
            ["", "text", "/", "a/", "a/b\r\nc", "<a>/b", "a/b;é", &format!("a/{}", "b".repeat(127))]
        {
            assert_eq!(declared_type(other), None, "{other:?}");
        }
    }

    proptest! {
        #[test]
        fn no_name_is_dangerous(text in "\\PC*|[\\x00-\\x1f/\\\\.a\u{202e}]*") {
            if let Some(name) = file_name(&text) {
                prop_assert!(name.len() <= FILE_NAME_BYTES_MAX && !name.is_empty());
                let is_dangerous = name.contains(['/', '\\', '\0', '\r', '\n', '\u{202e}']);
                prop_assert!(!is_dangerous, "{:?}", name);
                prop_assert_eq!(file_name(&name), Some(name));
            }
        }
    }
}
