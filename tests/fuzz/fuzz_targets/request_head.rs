//! Heads of requests of HTTP/1 on any bytes: what follows a head changes nothing of it, no part of one is one, and each of its
//! fields is a line of its own.

#![no_main]

use ingam_protocol::request_head::{HEAD_BYTES_MAX, Version, may_be_whole, read};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(Some(head)) = read(bytes) else { return };
    assert!(head.bytes <= HEAD_BYTES_MAX && head.bytes <= bytes.len());
    let whole = &bytes[..head.bytes];
    assert_eq!(read(whole), Ok(Some(head)));
    assert!(may_be_whole(whole, 0));
    // The last of them, as there can be 64 KiB.
    for cut in (0..head.bytes).rev().take(300) {
        assert_eq!(read(&whole[..cut]), Ok(None));
    }
    if head.version != Version::Http2 {
        let lines = whole.iter().filter(|byte| **byte == b'\n').count();
        let skipped = usize::from(whole.starts_with(b"\r\n"));
        assert_eq!(head.fields().count() + 2 + skipped, lines);
    }
});
