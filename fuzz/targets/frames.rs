//! Whatever a peer sends, the decoder gives messages or one error, for good, and holds no more than a message may have.

#![no_main]

use arbitrary::Arbitrary;
use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use millrace_wire::codec::Decoder;
use millrace_wire::{Frame, FrameKind};

/// A frame as an enemy makes it: any bytes at all, or one whose checksum is right and whose fields are not.
#[derive(Debug, Arbitrary)]
enum Sent<'a> {
    Bytes(&'a [u8]),
    Frame { is_data: bool, first: bool, last: bool, header_section: u16, message: u8, sequence: u8, payload: &'a [u8] },
    /// The next that is due, so that what lies behind the first checks is reached.
    Due { last: bool, header_section: u16, payload: &'a [u8] },
    Acknowledgement(u64),
}

fuzz_target!(|input: (bool, Vec<Sent<'_>>)| {
    let (is_data, sent) = input;
    let kind = if is_data { FrameKind::Data } else { FrameKind::Control };
    let mut decoder = Decoder::new(kind);
    let (mut sequence, mut message, mut is_begun, mut has_failed) = (0, 0, false, false);
    for sent in sent {
        let bytes = match sent {
            Sent::Bytes(bytes) => Some(Bytes::copy_from_slice(bytes)),
            Sent::Acknowledgement(wants) => Frame::acknowledgement(wants).encode().ok(),
            Sent::Frame { is_data, first, last, header_section, message, sequence, payload } => {
                let kind = if is_data { FrameKind::Data } else { FrameKind::Control };
                let (message, sequence, payload) = (message.into(), sequence.into(), Bytes::copy_from_slice(payload));
                Frame { kind, first, last, header_section, message, sequence, payload }.encode().ok()
            }
            Sent::Due { last, header_section, payload } => {
                let frame = Frame { kind, first: !is_begun, last, header_section, message, sequence, payload: Bytes::copy_from_slice(payload) };
                sequence += 1;
                message += u64::from(last);
                is_begun = !last;
                frame.encode().ok()
            }
        };
        let Some(bytes) = bytes else { continue };
        if let Ok(frame) = Frame::decode(&bytes) {
            assert_eq!(frame.encode().expect("it was read, so it can be written"), bytes, "a frame is written as it was read");
        }
        let taken = decoder.take(&bytes);
        assert!(!has_failed || taken.is_err(), "after an error the socket is of no more use");
        has_failed = taken.is_err();
    }
});
