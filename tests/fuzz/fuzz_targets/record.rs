//! `Record::decode` on any bytes: what is accepted must be written again as the very same bytes, as the journal's chain
//! holds hashes of them.

#![no_main]

use ingam_protocol::record::Record;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(record) = Record::decode(bytes) else { return };
    assert_eq!(record.encode(), bytes);
});
