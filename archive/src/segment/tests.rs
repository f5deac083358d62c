use hansard_model::PartitionId;
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

use super::*;

const STREAM: StreamName = StreamName::Events(PartitionId(3));

fn payload() -> impl Strategy<Value = Bytes> {
    let odd = prop::sample::select(vec![
        "null",
        "true",
        "0",
        "-0.0",
        "1e999",
        "\"\"",
        " {}",
        "{} ",
        "{\n}",
        "[1,\r\n2]",
        "",
        "\n",
        "{\"a\":1,\"a\":2}",
        "\"\\ud800\"",
        "\u{feff}{}",
        "{\"payload\":null}",
        "123456789012345678901234567890.10",
        "\"\u{2028}\"",
        "{\"v\":1,\"event\":{\"kind\":\"message\",\"text\":\"a\\nb\"}}",
    ]);
    prop_oneof![
        odd.prop_map(|text| Bytes::from_static(text.as_bytes())),
        vec(any::<u8>(), 0..200).prop_map(Bytes::from),
        any::<String>().prop_map(|text| serde_json::to_vec(&text).expect("json").into()),
    ]
}

fn event() -> impl Strategy<Value = StoredEvent> {
    let headers = btree_map("[A-Za-z-]{1,12}", vec(any::<String>(), 0..3), 0..4);
    (1..5_u64, any::<u64>(), any::<String>(), headers, payload()).prop_map(
        |(step, nanos, subject, headers, payload)| StoredEvent {
            seq: Seq(step),
            ts: LogTime::from_nanos(nanos),
            subject,
            headers: headers.into_iter().collect(),
            payload,
        },
    )
}

/// Events whose sequences ascend, some of them with a hole before.
fn events() -> impl Strategy<Value = Vec<StoredEvent>> {
    vec(event(), 1..40).prop_map(|mut events| {
        let mut seq = Seq::ZERO;
        for event in &mut events {
            seq = Seq(seq.0 + event.seq.0);
            event.seq = seq;
        }
        events
    })
}

fn encoded(events: &[StoredEvent]) -> Segment {
    let mut encoder = Encoder::new(STREAM).expect("an encoder");
    for event in events {
        encoder.push(event).expect("encoded");
    }
    encoder.finish(events[0].seq, Some("ab".to_owned()), "salt").expect("a segment")
}

fn decoded(name: &SegmentName, file: &Bytes) -> Result<Vec<StoredEvent>, SegmentError> {
    check_hash(name, file)?;
    Decoder::new(name, file.clone())?.collect()
}

proptest! {
    #[test]
    fn every_event_comes_back_byte_for_byte(events in events()) {
        let segment = encoded(&events);
        prop_assert_eq!(&decoded(&segment.name, &segment.file).expect("decoded"), &events);
        let mut content = Content::default();
        events.iter().for_each(|event| content.add(event));
        prop_assert_eq!(content.finish(), segment.content);
        let header = header(&segment.name, &segment.file).expect("a header");
        prop_assert_eq!((header.count, header.last), (events.len() as u64, segment.name.last));
        let middle = &events[events.len() / 2];
        let found = Decoder::new(&segment.name, segment.file.clone()).and_then(|d| d.find(middle.seq));
        prop_assert_eq!(found.expect("read"), Some(middle.clone()));
    }

    #[test]
    fn one_flipped_bit_anywhere_is_found(events in events(), at in any::<prop::sample::Index>(), bit in 0..8_u8) {
        let segment = encoded(&events);
        let mut file = segment.file.to_vec();
        let index = at.index(file.len());
        file[index] ^= 1 << bit;
        let found = decoded(&segment.name, &file.into());
        prop_assert!(matches!(found, Err(SegmentError::Hash { .. })), "{found:?}");
    }
}

#[test]
fn names_parse_what_they_print() {
    let name =
        SegmentName { stream: STREAM, first: Seq(1), last: Seq(32_768), sha256: "0a".repeat(32) };
    let text = name.to_string();
    let file = text.strip_prefix("archive/03/").expect("its folder");
    assert_eq!(SegmentName::parse(STREAM, file), Some(name));
    for other in ["x", "1-2-3.jsonl.zst", &file[..file.len() - 1], "deployment.json"] {
        assert_eq!(SegmentName::parse(STREAM, other), None, "{other}");
    }
}

#[test]
fn a_segment_that_ends_early_or_lies_is_refused() {
    let event = |seq| StoredEvent {
        seq: Seq(seq),
        ts: LogTime::from_millis(seq),
        subject: "ev.3.g.x.msg".to_owned(),
        headers: Vec::new(),
        payload: Bytes::from_static(b"{}"),
    };
    let segment = encoded(&[event(1), event(2), event(3)]);
    let whole = zstd::decode_all(&segment.file[..]).expect("decompressed");
    let text = String::from_utf8(whole).expect("text");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        lines[2],
        r#"{"seq":2,"ts":"1970-01-01T00:00:00.002000000Z","subject":"ev.3.g.x.msg","headers":{},"payload":{}}"#
    );
    for kept in [&[0, 1, 2][..], &[0, 1, 3], &[0, 1, 3, 2], &[0, 1, 2, 2, 3], &[1, 2, 3]] {
        let text: String = kept.iter().map(|line| format!("{}\n", lines[*line])).collect();
        let file = Bytes::from(zstd::encode_all(text.as_bytes(), LEVEL).expect("compressed"));
        let events = Decoder::new(&segment.name, file)
            .and_then(|decoder| decoder.collect::<Result<Vec<_>, _>>());
        assert!(events.is_err(), "{kept:?}");
    }
}
