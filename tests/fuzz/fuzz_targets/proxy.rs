//! What proxies say of a client, on any bytes: the PROXY protocol as a socket would feed it, and both headers.
//!
//! No more is asked for than a preface has, a whole one stays whole whatever follows, and an untrusted peer is the client
//! whatever was told.

#![no_main]

use std::net::{IpAddr, Ipv4Addr};

use ingam_protocol::proxy::TrustedProxies;
use ingam_protocol::proxy::forwarded::{forwarded, x_forwarded_for};
use ingam_protocol::proxy::preface::{BYTES_MAX, Reading, read};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    preface(bytes);
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let lines: Vec<&str> = text.split('\n').collect();
    let peer = IpAddr::V4(Ipv4Addr::LOCALHOST);
    for told in [forwarded(&lines), x_forwarded_for(&lines)] {
        assert!(told.len() <= text.len() + 1);
        assert_eq!(TrustedProxies::none().client(peer, told), peer);
    }
});

fn preface(bytes: &[u8]) {
    let mut length = 0;
    while let Some(begun) = bytes.get(..length) {
        match read(begun) {
            Ok(Reading::More(more)) => {
                assert!(more > 0);
                length += more;
                assert!(length <= BYTES_MAX);
            }
            Ok(Reading::Whole(_)) | Err(_) => return,
        }
    }
}
