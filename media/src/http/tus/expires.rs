//! Moments as HTTP writes them.

use hansard_model::LogTime;
use http::HeaderValue;
use time::OffsetDateTime;
use time::macros::format_description;

/// A moment as `Fri, 31 Dec 1999 23:59:59 GMT`.
pub(super) fn http_date(moment: LogTime) -> Option<HeaderValue> {
    let format = format_description!(
        "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
    );
    let seconds = i64::try_from(moment.as_millis() / 1_000).ok()?;
    let text = OffsetDateTime::from_unix_timestamp(seconds).ok()?.format(&format).ok()?;
    HeaderValue::from_str(&text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_as_http_does() {
        let moment = LogTime::from_millis(784_111_777_999);
        assert_eq!(http_date(moment).expect("a date"), "Sun, 06 Nov 1994 08:49:37 GMT");
    }
}
