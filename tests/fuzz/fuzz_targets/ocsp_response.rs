//! `Response::read` on any bytes: what is accepted is part of what came. Answers are read from the responder and from files of
//! an export, which others can write to.

#![no_main]

use ingam_protocol::ocsp::Response;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|der: &[u8]| {
    let Ok(Response::Answer(answer)) = Response::read(der) else { return };
    let is_part = |part: &[u8]| der.windows(part.len().max(1)).any(|window| window == part);
    assert!(is_part(answer.tbs) && is_part(answer.signature_algorithm));
    assert!(answer.certificate.is_none_or(is_part));
    for response in &answer.responses {
        assert!(is_part(&response.cert_id));
    }
});
