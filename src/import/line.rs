//! The file, line by line.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use anyhow::{Context, anyhow};
use flate2::bufread::MultiGzDecoder;
use hansard_model::draft::Draft;
use hansard_model::event::{Event, MessageSent};
use hansard_model::{LogTime, check};
use serde::Deserialize;
use serde_json::json;

/// Bytes of one line at most; the text itself is bounded lower.
const LINE_BYTES_MAX: u64 = 256 * 1024;
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// What somebody said.
#[derive(Debug, Deserialize)]
pub(crate) struct Line {
    /// From 1.
    #[serde(skip)]
    pub(super) number: u64,
    /// When, as the file has it.
    ts: String,
    /// Who.
    pub(crate) nick: String,
    /// Where.
    #[serde(default)]
    channel: Option<String>,
    /// What.
    pub(crate) text: String,
}

impl Line {
    fn parse(number: u64, json: &str) -> anyhow::Result<Self> {
        let mut line: Self = serde_json::from_str(json)?;
        line.number = number;
        if line.nick.trim().is_empty() {
            return Err(anyhow!("the nick is empty"));
        }
        line.millis()?;
        check::shape(line.draft()?.event())?;
        Ok(line)
    }

    /// When, in milliseconds since the Unix epoch.
    pub(super) fn millis(&self) -> anyhow::Result<u64> {
        Ok(LogTime::parse(&self.ts).with_context(|| format!("ts {:?}", self.ts))?.as_millis())
    }

    /// The event: the message, and where it came from.
    pub(super) fn draft(&self) -> anyhow::Result<Draft> {
        let event =
            Event::Message(MessageSent { text: self.text.clone(), ..MessageSent::default() });
        let mut source = json!({"ts": self.ts, "nick": self.nick, "line": self.number});
        if let Some(channel) = &self.channel {
            source["channel"] = json!(channel);
        }
        let data = serde_json::Map::from_iter([("import".to_owned(), source)]);
        // Through the same door as a client's event, so that the same limits hold.
        Ok(Draft::parse(&Draft::of(event).with_data(data).to_json())?)
    }
}

/// Reads a file, plain or gzip; an error names the line.
pub(crate) fn read(
    path: &Path,
) -> anyhow::Result<impl Iterator<Item = anyhow::Result<Line>> + Send + use<>> {
    let mut file = BufReader::with_capacity(1 << 16, File::open(path)?);
    let mut reader: Box<dyn BufRead + Send> = if file.fill_buf()?.starts_with(&GZIP_MAGIC) {
        Box::new(BufReader::with_capacity(1 << 16, MultiGzDecoder::new(file)))
    } else {
        Box::new(file)
    };
    let mut number = 0;
    Ok(std::iter::from_fn(move || {
        loop {
            let mut json = String::new();
            number += 1;
            let read = std::io::Read::take(&mut reader, LINE_BYTES_MAX).read_line(&mut json);
            let line = match read {
                Ok(0) => return None,
                Ok(_) if json.trim().is_empty() => continue,
                Ok(bytes) if bytes as u64 == LINE_BYTES_MAX => Err(anyhow!("the line is too long")),
                Ok(_) => Line::parse(number, &json),
                Err(error) => Err(error.into()),
            };
            return Some(line.with_context(|| format!("line {number}")));
        }
    }))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    const TWO: &str = concat!(
        r#"{"ts":"2004-12-25T09:14:00Z","channel":"ubuntu","nick":"crimsun","text":"hi"}"#,
        "\n\n",
        r#"{"ts":"2004-12-25T09:14:00Z","nick":"|QuaD-","text":"hello"}"#,
        "\n"
    );

    fn lines(bytes: &[u8]) -> anyhow::Result<Vec<Line>> {
        let mut file = tempfile::NamedTempFile::new()?;
        file.write_all(bytes)?;
        read(file.path())?.collect()
    }

    #[test]
    fn plain_and_gzip_read_the_same_and_keep_their_numbers() {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        gzip.write_all(TWO.as_bytes()).expect("memory");
        for bytes in [TWO.as_bytes().to_vec(), gzip.finish().expect("memory")] {
            let lines = lines(&bytes).expect("lines");
            let numbers: Vec<_> = lines.iter().map(|line| line.number).collect();
            assert_eq!(numbers, [1, 3]);
            assert_eq!(lines[1].nick, "|QuaD-");
        }
    }

    #[test]
    fn an_event_says_where_it_came_from() {
        let lines = lines(TWO.as_bytes()).expect("lines");
        assert_eq!(
            lines[0].draft().expect("valid").to_json(),
            r#"{"data":{"import":{"channel":"ubuntu","line":1,"nick":"crimsun","ts":"2004-12-25T09:14:00Z"}},"kind":"message","text":"hi"}"#
        );
    }

    #[test]
    fn a_mistake_is_reported_with_its_line() {
        for bad in [
            r#"{"ts":"yesterday","nick":"a","text":"x"}"#,
            r#"{"ts":"2004-12-25T09:14:00Z","nick":"a","text":""}"#,
            "{",
        ] {
            let error = lines(format!("{TWO}{bad}\n").as_bytes()).expect_err("a mistake");
            assert!(format!("{error:#}").starts_with("line 4"), "{error:#}");
        }
    }
}
