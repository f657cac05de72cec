//! Keys and bytes as age writes them: Bech32 (BIP 173), and base64 without padding.

const CHARSET: &[u8; 32] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const CHECKSUM_CHARS: usize = 6;

/// Keys have 32 bytes.
const CHARS_MAX: usize = 200;

fn polymod(values: impl Iterator<Item = u8>) -> u32 {
    const GENERATOR: [u32; 5] = [0x3b6a_57b2, 0x2650_8e6d, 0x1ea1_19fa, 0x3d42_33dd, 0x2a14_62b3];
    let mut checksum: u32 = 1;
    for value in values {
        let top = checksum >> 25;
        checksum = ((checksum & 0x01ff_ffff) << 5) ^ u32::from(value);
        for (bit, generator) in GENERATOR.iter().enumerate() {
            if (top >> bit) & 1 == 1 {
                checksum ^= generator;
            }
        }
    }
    checksum
}

fn expanded(prefix: &str) -> impl Iterator<Item = u8> + '_ {
    prefix.bytes().map(|byte| byte >> 5).chain([0]).chain(prefix.bytes().map(|byte| byte & 31))
}

/// Groups of `from` bits as groups of `to` bits; `None` if what is left over is no padding.
fn regroup(values: &[u8], from: u32, to: u32, pads: bool) -> Option<Vec<u8>> {
    let (mut out, mut held, mut bits) = (Vec::new(), 0_u32, 0);
    for value in values {
        held = ((held << from) | u32::from(*value)) & 0xffff;
        bits += from;
        while bits >= to {
            bits -= to;
            out.push(u8::try_from((held >> bits) & ((1 << to) - 1)).ok()?);
        }
    }
    let rest = held & ((1 << bits) - 1);
    if pads && bits > 0 {
        out.push(u8::try_from((rest << (to - bits)) & ((1 << to) - 1)).ok()?);
    }
    (pads || (bits < from && rest == 0)).then_some(out)
}

fn character(value: u8) -> char {
    CHARSET.get(usize::from(value)).map_or('q', |letter| char::from(*letter))
}

/// Bytes behind a lower-case prefix.
pub(super) fn bech32_encode(prefix: &str, bytes: &[u8]) -> String {
    let values = regroup(bytes, 8, 5, true).unwrap_or_default();
    let padded = expanded(prefix).chain(values.iter().copied()).chain([0; CHECKSUM_CHARS]);
    let checksum = polymod(padded) ^ 1;
    let tail = (0..6).map(|at| u8::try_from((checksum >> (5 * (5 - at))) & 31).unwrap_or(0));
    let text: String = values.iter().copied().chain(tail).map(character).collect();
    format!("{prefix}1{text}")
}

/// The bytes behind this prefix, in one case throughout; `None` for anything else.
pub(super) fn bech32_decode(prefix: &str, text: &str) -> Option<Vec<u8>> {
    let (lower, upper) = (text.to_ascii_lowercase(), text.to_ascii_uppercase());
    if text.len() > CHARS_MAX || (text != lower && text != upper) {
        return None;
    }
    let data = lower.strip_prefix(prefix)?.strip_prefix('1')?;
    let value = |letter: u8| CHARSET.iter().position(|known| *known == letter);
    let values = data.bytes().map(|letter| value(letter).and_then(|value| u8::try_from(value).ok()));
    let values: Vec<u8> = values.collect::<Option<_>>()?;
    if polymod(expanded(prefix).chain(values.iter().copied())) != 1 {
        return None;
    }
    regroup(values.get(..values.len().checked_sub(CHECKSUM_CHARS)?)?, 5, 8, false)
}

/// Base64 (RFC 4648, section 4) without padding.
pub(super) fn base64(bytes: &[u8]) -> String {
    let groups = regroup(bytes, 8, 6, true).unwrap_or_default();
    groups
        .iter()
        .map(|group| ALPHABET.get(usize::from(*group)).map_or('A', |letter| char::from(*letter)))
        .collect()
}

/// Reads it strictly: no padding, no white space, no bits left over.
pub(super) fn from_base64(text: &str) -> Option<Vec<u8>> {
    if text.len() > CHARS_MAX || text.len() % 4 == 1 {
        return None;
    }
    let value = |letter: u8| ALPHABET.iter().position(|known| *known == letter);
    let values = text.bytes().map(|letter| value(letter).and_then(|value| u8::try_from(value).ok()));
    regroup(&values.collect::<Option<Vec<u8>>>()?, 6, 8, false)
}
