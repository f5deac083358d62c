//! How a browser is to treat a file, and under which name it saves it (RFC 6266, RFC 8187).

use std::fmt::Write as _;

/// The value of `Content-Disposition`.
pub(super) fn disposition(inline: bool, name: Option<&str>) -> String {
    let mut value = if inline { "inline" } else { "attachment" }.to_owned();
    let Some(name) = name else { return value };
    // For those who read nothing else; what they might take for syntax is left out.
    let plain: String = name.chars().map(|c| if is_plain(c) { c } else { '_' }).collect();
    let _ = write!(value, "; filename=\"{plain}\"");
    if plain != name {
        value.push_str("; filename*=UTF-8''");
        for byte in name.bytes() {
            if byte.is_ascii_alphanumeric() || b"!#$&+-.^_`|~".contains(&byte) {
                value.push(char::from(byte));
            } else {
                let _ = write!(value, "%{byte:02X}");
            }
        }
    }
    value
}

fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || " !#$&'()+,-.=@[]^_`{}~".contains(c)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_quoted_and_encoded() {
        assert_eq!(disposition(true, None), "inline");
        assert_eq!(disposition(true, Some("a b.jpg")), "inline; filename=\"a b.jpg\"");
        assert_eq!(
            disposition(false, Some("\"é%\\.txt")),
            "attachment; filename=\"____.txt\"; filename*=UTF-8''%22%C3%A9%25%5C.txt"
        );
    }

    proptest! {
        #[test]
        fn whatever_the_name_is_it_is_one_header(name in "\\PC*|[\\x00-\\x7f]*") {
            let value = disposition(false, Some(&name));
            prop_assert!(http::HeaderValue::from_str(&value).is_ok());
            prop_assert_eq!(value.matches('"').count(), 2);
        }
    }
}
