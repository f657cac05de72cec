//! A list of weak keys from anywhere: it is read or refused, and what was read says something of any key.

#![no_main]

use ingam_protocol::key::weak_list::WeakKeys;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|list: &[u8]| {
    if let Ok(keys) = WeakKeys::read([((), list.to_vec())]) {
        assert!(!keys.is_empty() && keys.len() <= list.len());
    }
});
