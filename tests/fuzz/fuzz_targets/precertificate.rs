//! The surgery on any bytes: what has its poison taken out gets SCTs in its place, and without these is the same again.

#![no_main]

use ingam_protocol::Timestamp;
use ingam_protocol::transparency::{LogId, Sct, SctList, is_precertificate, scts_of, with_scts, without_poison, without_scts};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|tbs: &[u8]| {
    let _ = scts_of(tbs);
    let Ok(clean) = without_poison(tbs) else { return };
    assert_eq!(is_precertificate(tbs), Ok(true));
    assert_eq!(is_precertificate(&clean), Ok(false));
    let sct = Sct {
        log: LogId([7; 32]),
        timestamp: Timestamp::from_unix_s(1_795_255_200),
        extensions: Vec::new(),
        algorithm: [4, 3],
        signature: vec![1; 70],
    };
    let list = SctList::new(vec![sct]).expect("a list of one");
    let finished = with_scts(tbs, &list).expect("a poison in its place");
    assert_eq!(scts_of(&finished), Ok(list));
    assert_eq!(without_scts(&finished), Ok(clean));
});
