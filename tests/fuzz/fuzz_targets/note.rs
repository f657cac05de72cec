//! `Note::parse`, `Checkpoint::parse` and `VerifierKey` on any text: a witness's answer, a checkpoint in a file. What is accepted
//! must be written again as the very same text, as signatures are over it.

#![no_main]

use ingam_protocol::note::{Checkpoint, Note, NoteSignature, VerifierKey};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(key) = text.parse::<VerifierKey>() {
        assert_eq!(key.to_string().parse(), Ok(key));
    }
    if let Ok(signatures) = NoteSignature::parse_lines(text) {
        assert_eq!(signatures.iter().map(|line| format!("{line}\n")).collect::<String>(), text);
    }
    let Ok(note) = Note::parse(text) else { return };
    assert_eq!(note.to_string(), text);
    if let Ok(checkpoint) = Checkpoint::parse(note.text()) {
        assert!(note.text().starts_with(&checkpoint.to_string()));
    }
});
