//! The name of the object that holds a part: `media/<upload>/<generation>-<offset>-<len>-<sha256>`.

use hansard_model::UploadId;
use hansard_model::media::Part;

/// What the names of all parts of an upload begin with.
pub(super) fn folder(upload: UploadId) -> String {
    format!("media/{upload}")
}

/// The name of a part.
pub(super) fn of(part: &Part) -> String {
    let Part { upload, generation, offset, len, sha256 } = part;
    format!("{}/{generation}-{offset}-{len}-{sha256}", folder(*upload))
}

/// The part of an upload that has this name in its folder.
pub(super) fn parse(upload: UploadId, name: &str) -> Option<Part> {
    let mut fields = name.split('-');
    let generation = fields.next()?.parse().ok()?;
    let offset = fields.next()?.parse().ok()?;
    let len = fields.next()?.parse().ok()?;
    let sha256 = fields.next()?.parse().ok()?;
    let part = Part { upload, generation, offset, len, sha256 };
    // One spelling: with another it would be removed under a name that is not its own.
    (fields.next().is_none() && of(&part).ends_with(&format!("/{name}"))).then_some(part)
}

#[cfg(test)]
mod tests {
    use hansard_model::media::Sha256;

    use super::*;

    #[test]
    fn names_tell_the_part_and_have_one_spelling() {
        let upload = UploadId::from_entropy([3; 20]);
        let part =
            Part { upload, generation: 4, offset: 1 << 40, len: 17, sha256: Sha256([0xab; 32]) };
        let name = of(&part);
        let last = name.rsplit('/').next().expect("a name");
        assert_eq!(parse(upload, last), Some(part));
        for other in [
            format!("0{last}"),
            format!("+{last}"),
            format!("{last}-"),
            last.to_uppercase(),
            last.replacen('-', "_", 1),
            String::new(),
        ] {
            assert_eq!(parse(upload, &other), None, "{other}");
        }
    }
}
