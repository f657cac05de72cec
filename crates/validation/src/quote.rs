//! Hostile bytes, made fit for a record, a log, or an answer to a client.

/// The most characters of foreign text that a failure's words quote.
pub(crate) const QUOTE_MAX: usize = 80;

/// Cuts to `characters_max` and keeps printable ASCII; everything else becomes `?`, one for each byte.
///
/// Text of other scripts goes too: characters that reorder or imitate others have no place in a record.
pub(crate) fn printable(bytes: &[u8], characters_max: usize) -> String {
    let mut text: String = bytes
        .iter()
        .take(characters_max)
        .map(|&byte| if (0x20..0x7f).contains(&byte) { char::from(byte) } else { '?' })
        .collect();
    if bytes.len() > characters_max {
        text.push_str("...");
    }
    text
}

/// As [`printable`], in quotation marks and short, for a failure's words.
pub(crate) fn quote(bytes: &[u8]) -> String {
    format!("\"{}\"", printable(bytes, QUOTE_MAX).replace('"', "'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_printable_ascii_gets_through() {
        assert_eq!(quote(b"a\x1b[31m\r\n\0\"b"), "\"a?[31m???'b\"");
        assert_eq!(quote("\u{202e}x".as_bytes()), "\"???x\"");
        assert_eq!(quote(&[b'a'; 200]).len(), 2 + 80 + 3);
    }
}
