//! Settings of media services.

use std::net::SocketAddr;
use std::time::Duration;

use hansard_media::Patience;
use hansard_model::media::{UPLOAD_BYTES_DEFAULT, USER_BYTES_DEFAULT};

/// Where a media service is, and what may be uploaded.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct MediaSettings {
    /// Where gateways, and nobody else, connect for files; port 0 takes a free one.
    #[arg(long, env = "HANSARD_MEDIA_LISTEN", default_value = "127.0.0.1:0")]
    pub(crate) media_listen: SocketAddr,
    /// Where gateways reach this service, such as `http://media-1.internal:9000`. Default: the address
    /// it listens on.
    #[arg(long, env = "HANSARD_MEDIA_ADVERTISE", value_name = "URL", value_parser = origin)]
    pub(crate) media_advertise: Option<String>,
    /// Bytes of one upload at most, such as `100MiB`.
    #[arg(long, env = "HANSARD_UPLOAD_MAX", default_value_t = Bytes(UPLOAD_BYTES_DEFAULT))]
    pub(crate) upload_max: Bytes,
    /// Bytes that all uploads of one user may have, such as `10GiB`.
    #[arg(long, env = "HANSARD_USER_QUOTA", default_value_t = Bytes(USER_BYTES_DEFAULT))]
    pub(crate) user_quota: Bytes,
    /// How long an unfinished upload is kept, and a file that no message refers to; at least `2m`.
    #[arg(long, env = "HANSARD_MEDIA_KEEP", default_value = "24h", value_parser = humantime::parse_duration)]
    pub(crate) media_keep: Duration,
    /// Look all the time for what is to be removed, and hardly wait for anybody. For tests.
    #[arg(long, hide = true)]
    pub(crate) unsafe_haste: bool,
}

impl MediaSettings {
    /// When what is over is removed.
    ///
    /// # Errors
    /// When files would go while the messages that have them are on their way.
    pub(crate) fn patience(&self) -> anyhow::Result<Patience> {
        let grace = self.media_keep;
        if self.unsafe_haste {
            return Ok(Patience {
                look_every: Duration::from_millis(200),
                grace,
                claim: grace,
                young: Duration::from_secs(1),
                dying: Duration::from_secs(1),
                stuck: Duration::from_secs(5),
                joining: Duration::from_secs(30),
                ..Patience::default()
            });
        }
        let least = Patience::CLAIM_MIN;
        anyhow::ensure!(
            grace >= least,
            "--media-keep {} is too short: a file can be sent for a minute without another look at \
             it, and would go meanwhile; give at least {}",
            humantime::format_duration(grace),
            humantime::format_duration(least),
        );
        Ok(Patience { grace, claim: grace, ..Patience::default() })
    }
}

/// A number of bytes, as text with an optional unit: `KiB`, `MiB`, `GiB` or `TiB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bytes(pub(crate) u64);

/// The units, the largest first.
const UNITS: [(&str, u64); 4] =
    [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];

impl std::str::FromStr for Bytes {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let with_unit =
            |(unit, bytes): &(&str, u64)| Some((text.strip_suffix(unit)?.trim_end(), *bytes));
        let (number, unit) = UNITS.iter().find_map(with_unit).unwrap_or((text, 1));
        let number: Option<u64> = number.parse().ok();
        let bytes = number.and_then(|number| number.checked_mul(unit));
        bytes.filter(|bytes| *bytes > 0).map(Self).ok_or("bytes, such as 100MiB, 10GiB or 5000")
    }
}

impl std::fmt::Display for Bytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match UNITS.iter().find(|(_, bytes)| self.0.is_multiple_of(*bytes)) {
            Some((unit, bytes)) => write!(f, "{}{unit}", self.0 / bytes),
            None => write!(f, "{}", self.0),
        }
    }
}

/// A URL of a host and nothing behind it: gateways put paths there.
fn origin(text: &str) -> Result<String, &'static str> {
    let refused = "a URL such as http://media-1.internal:9000";
    let uri: axum::http::Uri = text.parse().map_err(|_| refused)?;
    let is_origin = uri.scheme_str() == Some("http") && uri.path() == "/" && uri.query().is_none();
    match uri.authority() {
        Some(authority) if is_origin => Ok(format!("http://{authority}")),
        Some(_) | None => Err(refused),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_read_as_they_are_printed() {
        for (text, bytes) in [("100MiB", 100 << 20), ("10 GiB", 10 << 30), ("5000", 5000)] {
            let read: Bytes = text.parse().expect("bytes");
            assert_eq!(read, Bytes(bytes));
            assert_eq!(read.to_string().parse(), Ok(read));
        }
        for text in ["", "0", "-1", "1MB", "MiB", "99999999999TiB"] {
            assert!(text.parse::<Bytes>().is_err(), "{text}");
        }
    }

    #[test]
    fn files_are_kept_until_their_messages_are_there() {
        #[derive(clap::Parser)]
        struct Told {
            #[command(flatten)]
            media: MediaSettings,
        }
        let told = |arguments: &[&str]| {
            let arguments = [&["test"], arguments].concat();
            <Told as clap::Parser>::parse_from(arguments).media.patience()
        };
        assert_eq!(told(&["--media-keep", "2m"]).expect("enough").claim.as_secs(), 120);
        let refused = told(&["--media-keep", "119s"]).expect_err("too short");
        assert!(refused.to_string().contains("at least 2m"), "{refused}");
        assert!(told(&["--media-keep", "1s", "--unsafe-haste"]).is_ok());
    }

    #[test]
    fn gateways_are_told_a_host_and_nothing_else() {
        assert_eq!(origin("http://media-1:9000/"), Ok("http://media-1:9000".to_owned()));
        for text in ["media-1:9000", "https://media-1", "http://m/x", "http://m?x", ""] {
            assert!(origin(text).is_err(), "{text}");
        }
    }
}
