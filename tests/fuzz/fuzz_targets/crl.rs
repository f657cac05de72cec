//! `SignedList::read` and its entries on any bytes: what is accepted is part of what came, and its times and serial
//! numbers can be written again.

#![no_main]

use ingam_protocol::crl::SignedList;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|der: &[u8]| {
    let Ok(list) = SignedList::read(der) else { return };
    assert!(der.windows(list.tbs.len()).any(|window| window == list.tbs));
    for entry in list.entries().flatten() {
        assert!(der.windows(entry.serial.as_bytes().len()).any(|window| window == entry.serial.as_bytes()));
    }
});
