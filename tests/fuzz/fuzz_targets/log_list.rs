//! `LogList::parse` on any bytes. Whatever is accepted has logs whose URLs are https, or of this machine, and no two with one name.

#![no_main]

use ingam_transparency::LogList;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| {
    let Ok(list) = LogList::parse(text) else { return };
    for (place, log) in list.logs.iter().enumerate() {
        assert!(log.url.starts_with("https://") || log.url.starts_with("http://"));
        assert!(!log.description.contains(char::is_control));
        assert!(list.logs[..place].iter().all(|other| other.key.id() != log.key.id()));
    }
});
