//! What a file from somewhere else may be called here.

/// Longest name, in bytes of UTF-8: file systems take 255, and `.part` and a number come behind.
const NAME_BYTES_MAX: usize = 200;

/// A name for a file in a directory of the person's choice: the last part of a path, without what
/// could command a terminal, show it in another order than it is, hide the file or be no name.
pub fn safe_name(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let is_kept = |character: &char| !character.is_control() && !turns_or_hides(*character);
    let kept: String = last.chars().filter(is_kept).map(in_every_file_system).collect();
    let kept = kept.trim().trim_start_matches('.').trim_end_matches(['.', ' ']);
    let kept = cut(kept);
    if kept.is_empty() { "file".to_owned() } else { kept }
}

/// Marks and overrides of direction, and invisible characters.
fn turns_or_hides(character: char) -> bool {
    matches!(
        character,
        '\u{ad}'
            | '\u{61c}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
    )
}

fn in_every_file_system(character: char) -> char {
    if matches!(character, '<' | '>' | ':' | '"' | '|' | '?' | '*') { '_' } else { character }
}

/// A name that is too long loses its middle: the end says what it is.
fn cut(name: &str) -> String {
    if name.len() <= NAME_BYTES_MAX {
        return name.to_owned();
    }
    let (stem, end) = match name.rfind('.') {
        Some(dot) if name.len() - dot <= 16 => name.split_at(dot),
        _ => (name, ""),
    };
    let stem = &stem[..stem.floor_char_boundary(NAME_BYTES_MAX - end.len())];
    format!("{stem}{end}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_names_and_no_paths() {
        for (told, kept) in [
            ("cat.jpg", "cat.jpg"),
            ("../../etc/passwd", "passwd"),
            ("C:\\x\\y.exe", "y.exe"),
            ("..", "file"),
            ("", "file"),
            (".bashrc", "bashrc"),
            ("a\r\nSet-Cookie: b", "aSet-Cookie_ b"),
            ("photo\u{202e}gpj.exe", "photogpj.exe"),
            ("größe 1.txt", "größe 1.txt"),
        ] {
            assert_eq!(safe_name(told), kept, "{told:?}");
        }
        let long = safe_name(&format!("{}.tar", "ü".repeat(300)));
        assert!(long.len() <= NAME_BYTES_MAX && long.ends_with("ü.tar"), "{long}");
    }

    proptest! {
        #[test]
        fn any_name_stays_in_its_directory(name in ".{0,300}") {
            let safe = safe_name(&name);
            prop_assert!(!safe.is_empty() && safe.len() <= NAME_BYTES_MAX);
            prop_assert!(!safe.contains(['/', '\\', '\0']) && !safe.starts_with('.'));
            prop_assert_eq!(std::path::Path::new(&safe).components().count(), 1);
        }
    }
}
