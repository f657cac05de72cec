//! `SctList::parse` on any bytes: what is accepted is written as the very same bytes.

#![no_main]

use ingam_protocol::transparency::SctList;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(list) = SctList::parse(bytes) else { return };
    assert_eq!(list.encode().as_deref(), Ok(bytes));
    for sct in list.scts() {
        let _ = sct.leaf_index();
    }
});
