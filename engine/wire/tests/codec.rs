//! The codec under good bytes, bad bytes, and bytes of the release that made the fixture.

use std::collections::BTreeMap;

use bytes::Bytes;
use millrace_model::{Diagnostic, NodeId, PortRef};
use millrace_wire::codec::{MAX_CONTROL_MESSAGE_BYTES, MAX_DATA_MESSAGE_BYTES};
use millrace_wire::frame::{HEADER_BYTES, MAX_CONTROL_FRAME_BYTES, MAX_DATA_FRAME_BYTES};
use millrace_wire::message::*;
use millrace_wire::{DataMessage, Decoded, Decoder, Encoder, Frame, FrameKind, Outgoing, WireError};
use proptest::prelude::*;

fn ping(sent_us: u64) -> Control {
    Control::Request { id: RequestId(sent_us), request: Request::Ping { sent_us } }
}

fn header() -> DataHeader {
    DataHeader::InputFile { job: JobId(7), path: "data/flights.parquet".to_owned(), offset: 65536, last: false }
}

fn written(frames: &[Outgoing]) -> Vec<Bytes> {
    frames.iter().map(Outgoing::to_bytes).collect()
}

fn raw(kind: FrameKind, first: bool, last: bool, message: u64, sequence: u64, payload: Vec<u8>) -> Bytes {
    Frame { kind, first, last, header_section: 0, message, sequence, payload: Bytes::from(payload) }.encode().unwrap()
}

/// A frame with one byte of its header changed and its checksum made to fit again.
fn forged(at: usize, value: u8) -> Bytes {
    let mut bytes = Encoder::new(FrameKind::Control).control(&ping(1)).unwrap().remove(0).to_bytes().to_vec();
    bytes[at] = value;
    let mut hasher = xxhash_rust::xxh3::Xxh3::new();
    hasher.update(&bytes[..32]);
    hasher.update(&bytes[HEADER_BYTES..]);
    let sum = hasher.digest().to_le_bytes();
    bytes[32..40].copy_from_slice(&sum);
    Bytes::from(bytes)
}

#[test]
fn a_message_of_many_fragments_arrives_whole_and_no_frame_is_longer_than_it_may_be() {
    let payload: Vec<u8> = (0..1_000_000u32).map(|i| (i * 7 % 251) as u8).collect();
    let payload = Bytes::from(payload);
    let frames = written(&Encoder::new(FrameKind::Data).data(&header(), &payload).unwrap());
    assert!(frames.len() > 15 && frames.iter().all(|frame| frame.len() <= MAX_DATA_FRAME_BYTES));
    let mut decoder = Decoder::new(FrameKind::Data);
    let mut got: Vec<Decoded> = frames.iter().filter_map(|frame| decoder.take(frame).unwrap()).collect();
    assert_eq!(got.pop(), Some(Decoded::Data(DataMessage { header: header(), payload })));
    assert!(got.is_empty());
}

#[test]
fn a_pipeline_of_the_longest_text_travels_whatever_its_characters() {
    let deployment = Deployment { name: "a".into(), text: "\u{1}".repeat(1 << 20), env: BTreeMap::new(), options: RunOptions::default() };
    let message = Control::Request { id: RequestId(1), request: Request::Stage { deployment, folder: String::new(), inputs: Vec::new() } };
    let frames = written(&Encoder::new(FrameKind::Control).control(&message).unwrap());
    assert!(frames.len() > 1 && frames.iter().all(|frame| frame.len() <= MAX_CONTROL_FRAME_BYTES));
    let mut decoder = Decoder::new(FrameKind::Control);
    let got: Vec<Decoded> = frames.iter().filter_map(|frame| decoder.take(frame).unwrap()).collect();
    assert_eq!(got, [Decoded::Control(Box::new(message))]);
}

#[test]
fn a_length_of_four_gigabytes_is_refused_before_memory_is_taken() {
    let mut bytes = raw(FrameKind::Data, true, true, 0, 0, vec![1; 10]).to_vec();
    bytes[24..28].copy_from_slice(&u32::MAX.to_le_bytes());
    let error = Frame::decode(&Bytes::from(bytes)).unwrap_err();
    assert!(matches!(error, WireError::FrameTooLong { said: 4_294_967_295, .. }), "{error}");
}

#[test]
fn an_unknown_kind_version_or_flag_is_an_error_of_its_own() {
    assert_eq!(Frame::decode(&forged(3, 9)).unwrap_err(), WireError::UnknownKind { found: 9 });
    assert_eq!(Frame::decode(&forged(2, 2)).unwrap_err(), WireError::Version { found: 2, expected: 1 });
    assert_eq!(Frame::decode(&forged(4, 0x83)).unwrap_err(), WireError::UnknownFlags { found: 0x83 });
    assert_eq!(Frame::decode(&forged(0, b'G')).unwrap_err(), WireError::NotAFrame);
    assert_eq!(Frame::decode(&forged(5, 1)).unwrap_err(), WireError::Reserved);
    assert_eq!(Frame::decode(&forged(31, 1)).unwrap_err(), WireError::Reserved);
    assert_eq!(Frame::decode(&Bytes::from_static(b"MR")).unwrap_err(), WireError::TooShort { found: 2, expected: HEADER_BYTES });
}

#[test]
fn an_unknown_tag_within_a_message_is_an_error() {
    let mut decoder = Decoder::new(FrameKind::Control);
    let frame = raw(FrameKind::Control, true, true, 0, 0, br#"{"control":"request","id":1,"request":{"ask":"format_disk"}}"#.to_vec());
    assert!(matches!(decoder.take(&frame), Err(WireError::Json { what: "control message", .. })));
}

#[test]
fn frames_that_are_replayed_doubled_lost_or_reordered_are_refused() {
    let mut encoder = Encoder::new(FrameKind::Control);
    let frames: Vec<Bytes> = (0..3).flat_map(|i| written(&encoder.control(&ping(i)).unwrap())).collect();
    for order in [[0, 0].as_slice(), &[0, 2], &[1, 0], &[0, 1, 0]] {
        let mut decoder = Decoder::new(FrameKind::Control);
        let results: Vec<_> = order.iter().map(|at| decoder.take(&frames[*at])).collect();
        assert!(matches!(results.last(), Some(Err(WireError::Sequence { .. }))), "{order:?}");
    }
}

#[test]
fn fragments_that_add_nothing_or_never_end_are_refused() {
    let mut decoder = Decoder::new(FrameKind::Control);
    let empty = raw(FrameKind::Control, true, false, 0, 0, Vec::new());
    assert!(matches!(decoder.take(&empty), Err(WireError::Fragment { why: "it is neither full nor the last" })));

    let mut decoder = Decoder::new(FrameKind::Control);
    let full = vec![b' '; FrameKind::Control.max_payload()];
    let error = (0..1000).find_map(|i| decoder.take(&raw(FrameKind::Control, i == 0, false, 0, i, full.clone())).err());
    assert!(matches!(error, Some(WireError::MessageTooLong { most: MAX_CONTROL_MESSAGE_BYTES, .. })));
}

#[test]
fn a_fragment_out_of_its_message_is_refused() {
    let mut decoder = Decoder::new(FrameKind::Control);
    assert!(matches!(decoder.take(&raw(FrameKind::Control, false, true, 0, 0, vec![1])), Err(WireError::Fragment { .. })));
    let mut decoder = Decoder::new(FrameKind::Control);
    let full = vec![b' '; FrameKind::Control.max_payload()];
    assert!(decoder.take(&raw(FrameKind::Control, true, false, 0, 0, full)).unwrap().is_none());
    assert!(matches!(decoder.take(&raw(FrameKind::Control, true, true, 0, 1, vec![1])), Err(WireError::Fragment { .. })));
}

#[test]
fn a_frame_of_the_other_socket_is_refused() {
    let frames = written(&Encoder::new(FrameKind::Data).data(&header(), &Bytes::from_static(b"x")).unwrap());
    let error = Decoder::new(FrameKind::Control).take(&frames[0]).unwrap_err();
    assert_eq!(error, WireError::WrongKind { kind: FrameKind::Data, expected: FrameKind::Control });
}

#[test]
fn a_message_too_long_is_refused_by_its_sender() {
    let error = Encoder::new(FrameKind::Data).data(&header(), &Bytes::from(vec![0; MAX_DATA_MESSAGE_BYTES])).unwrap_err();
    assert!(matches!(error, WireError::MessageTooLong { .. }));
}

/// The messages of the fixture, in its order. The fixture was written by the release that made version 1 and never changes.
fn fixture_messages() -> (Vec<Control>, Vec<DataMessage>) {
    let reply = Reply::Rejected { diagnostics: vec![Diagnostic::error("MR0110", "there is no kind `fliter`").node(&"f".into())] };
    let control = vec![
        ping(1_700_000_000_000_000),
        Control::Request { id: RequestId(2), request: Request::Stop { job: JobId(1), mode: StopMode::Drain } },
        Control::Reply { id: RequestId(3), reply },
        Control::Event { event: Event::State { job: JobId(1), state: millrace_wire::figures::RunState::Running } },
    ];
    let tap = DataHeader::TapRows { job: JobId(1), from: PortRef::parse("hourly.late"), to: NodeId::new("late"), dropped: 3 };
    let data = vec![
        DataMessage { header: header(), payload: Bytes::from_static(b"origin,dest\nEWR,IAH\n") },
        DataMessage { header: tap, payload: Bytes::from_static(&[0xff, 0, 1]) },
        DataMessage { header: DataHeader::EndOfJob { job: JobId(1) }, payload: Bytes::new() },
    ];
    (control, data)
}

fn encoded_fixture() -> Vec<Bytes> {
    let (control, data) = fixture_messages();
    let (mut controls, mut datas) = (Encoder::new(FrameKind::Control), Encoder::new(FrameKind::Data));
    let mut frames: Vec<Bytes> = control.iter().flat_map(|message| written(&controls.control(message).unwrap())).collect();
    frames.extend(data.iter().flat_map(|message| written(&datas.data(&message.header, &message.payload).unwrap())));
    frames
}

#[test]
fn frames_of_version_1_as_kept_on_disk_still_mean_the_same() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/frames-v1.hex");
    if std::env::var_os("WRITE_FIXTURE").is_some() {
        let lines: Vec<String> = encoded_fixture().iter().map(|frame| frame.iter().map(|b| format!("{b:02x}")).collect()).collect();
        std::fs::write(path, lines.join("\n") + "\n").unwrap();
    }
    let text = std::fs::read_to_string(path).unwrap();
    let frames = text.lines().map(|line| {
        Bytes::from((0..line.len()).step_by(2).map(|at| u8::from_str_radix(&line[at..at + 2], 16).unwrap()).collect::<Vec<u8>>())
    });
    let (control, data) = fixture_messages();
    let (mut controls, mut datas) = (Decoder::new(FrameKind::Control), Decoder::new(FrameKind::Data));
    let mut expected: Vec<Decoded> = control.into_iter().map(|message| Decoded::Control(Box::new(message))).collect();
    expected.extend(data.into_iter().map(Decoded::Data));
    let got: Vec<Decoded> = frames
        .map(|frame| match Frame::decode(&frame).unwrap().kind {
            FrameKind::Control => controls.take(&frame).unwrap().unwrap(),
            FrameKind::Data => datas.take(&frame).unwrap().unwrap(),
            FrameKind::Acknowledgement => panic!("version 1 had none"),
        })
        .collect();
    assert_eq!(got, expected);
}

proptest! {
    #[test]
    fn whatever_is_sent_arrives(payload in proptest::collection::vec(any::<u8>(), 0..200_000), offset in any::<u64>(), path in "[a-z/]{1,60}") {
        let header = DataHeader::OutputFile { job: JobId(offset), path, offset, last: offset % 2 == 0 };
        let mut decoder = Decoder::new(FrameKind::Data);
        let payload = Bytes::from(payload);
        let frames = written(&Encoder::new(FrameKind::Data).data(&header, &payload).unwrap());
        let got: Vec<Decoded> = frames.iter().filter_map(|frame| decoder.take(frame).unwrap()).collect();
        prop_assert_eq!(got, vec![Decoded::Data(DataMessage { header, payload })]);
    }

    #[test]
    fn bytes_of_any_kind_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), data in any::<bool>()) {
        let kind = if data { FrameKind::Data } else { FrameKind::Control };
        let _ = Decoder::new(kind).take(&Bytes::from(bytes));
    }

    #[test]
    fn a_good_frame_with_any_byte_changed_is_refused(at in 0usize..200, change in 1u8..=255) {
        for frame in encoded_fixture() {
            let mut bytes = frame.to_vec();
            let at = at % bytes.len();
            bytes[at] ^= change;
            prop_assert!(Frame::decode(&Bytes::from(bytes)).is_err());
        }
    }
}
