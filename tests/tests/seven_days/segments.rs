//! The files of the request log, read by their description alone: keys, and what they open.
//!
//! Written a second time, so that what is looked for is known to be there in the form in which it is looked for.

use std::path::Path;

use ingam_protocol::bytes::base64url;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

const SLOT_BYTES: usize = 256;
const HEAD_BYTES: usize = 40;
const FRAME_HEAD_BYTES: usize = 44;

/// A key that is there.
#[derive(Debug, PartialEq, Eq)]
pub struct KeySlot {
    /// Whether it opens a segment, and not a hold.
    pub is_segment: bool,
    /// What it opens.
    pub id: [u8; 16],
    /// The key itself.
    pub key: [u8; 32],
}

impl KeySlot {
    /// The name of the file that it opens.
    pub fn file_name(&self) -> String {
        format!("{}.{}", base64url(&self.id), if self.is_segment { "requests" } else { "held" })
    }
}

/// All keys of the file that are not destroyed.
pub fn keys(path: &Path) -> Vec<KeySlot> {
    let bytes = std::fs::read(path).unwrap_or_default();
    let slots = bytes.chunks_exact(SLOT_BYTES).skip(1);
    // Of each: version, kind (1: a segment), state (1: live).
    slots
        .filter(|slot| slot[0] == 1 && slot[2] == 1)
        .map(|slot| KeySlot {
            is_segment: slot[1] == 1,
            id: slot[8..24].try_into().expect("16 bytes"),
            key: slot[40..72].try_into().expect("32 bytes"),
        })
        .collect()
}

/// Everything that a key opens in a file, in clear; nothing if the file is not there.
pub fn open_segment(path: &Path, slot: &KeySlot) -> Vec<u8> {
    let Ok(bytes) = std::fs::read(path) else { return Vec::new() };
    let cipher = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &slot.key).expect("a key"));
    let (mut clear, mut place) = (Vec::new(), HEAD_BYTES);
    while let Some(head) = bytes.get(place..place + FRAME_HEAD_BYTES) {
        let length = u32::from_be_bytes(head[8..12].try_into().expect("4 bytes"));
        let begin = place + FRAME_HEAD_BYTES;
        let Some(body) = bytes.get(begin..begin + usize::try_from(length).expect("a small number")) else {
            break;
        };
        let nonce = Nonce::try_assume_unique_for_key(&head[32..]).expect("12 bytes");
        let bound = [slot.id.as_slice(), &(place as u64).to_be_bytes(), head].concat();
        let mut body = body.to_vec();
        let end = begin + body.len();
        let Ok(compressed) = cipher.open_in_place(nonce, Aad::from(bound), &mut body) else { break };
        clear.extend(lz4_flex::block::decompress_size_prepended(compressed).expect("compressed"));
        place = end;
    }
    clear
}
