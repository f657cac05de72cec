//! Text that came from outside, made fit for a terminal: no control characters, and lines as long as there is room.

use std::borrow::Cow;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Whether a terminal would do something at this character other than show it: control characters (C0, DEL, C1), ends of
/// lines and paragraphs, and what reorders or hides the text around it (Unicode's bidirectional and invisible controls).
pub(crate) fn steers(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{61c}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

/// The text with a replacement character for each that steers.
pub(crate) fn clean(text: &str) -> Cow<'_, str> {
    if text.chars().any(steers) {
        Cow::Owned(
            text.chars().map(|character| if steers(character) { '\u{fffd}' } else { character }).collect(),
        )
    } else {
        Cow::Borrowed(text)
    }
}

/// JSON with an escape for each character that steers: the same document, which cannot harm a terminal. In JSON such
/// characters, ends of lines apart, stand in strings alone.
pub(crate) fn clean_json(json: &str) -> Cow<'_, str> {
    if !json.chars().any(|character| steers(character) && character != '\n') {
        return Cow::Borrowed(json);
    }
    let mut cleaned = String::with_capacity(json.len() + 16);
    for character in json.chars() {
        if steers(character) && !matches!(character, '\n' | '\r' | '\t') {
            for unit in character.encode_utf16(&mut [0; 2]) {
                cleaned.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            cleaned.push(character);
        }
    }
    Cow::Owned(cleaned)
}

/// How many columns it takes.
pub(crate) fn columns(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { text.width() }
}

/// The text in lines of at most this many columns, broken at spaces. A longer word stays whole on a line of its own: half
/// a name is none.
pub(crate) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut taken = 0;
    for word in text.split(' ') {
        let needed = columns(word);
        match lines.last_mut() {
            Some(line) if taken + 1 + needed <= width => {
                line.push(' ');
                line.push_str(word);
                taken += 1 + needed;
            }
            _ => {
                lines.push(word.to_owned());
                taken = needed;
            }
        }
    }
    lines
}

/// The text in pieces of at most this many columns, wherever that falls: for data that has no words.
pub(crate) fn chop(text: &str, width: usize) -> Vec<String> {
    let mut pieces = vec![String::new()];
    let mut taken = 0;
    for character in text.chars() {
        let needed = character.width().unwrap_or(0);
        if taken + needed > width && taken > 0 {
            pieces.push(String::new());
            taken = 0;
        }
        if let Some(piece) = pieces.last_mut() {
            piece.push(character);
            taken += needed;
        }
    }
    pieces
}

/// The width of the longest word.
pub(crate) fn longest_word(text: &str) -> usize {
    text.split(' ').map(columns).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_steers_a_terminal_is_left() {
        let hostile = "a\u{1b}[2Jb\rc\u{9b}31md\u{202e}e\nf\u{7f}";
        assert_eq!(clean(hostile), "a\u{fffd}[2Jb\u{fffd}c\u{fffd}31md\u{fffd}e\u{fffd}f\u{fffd}");
        assert!(matches!(clean("plain, ünïcode 인감"), Cow::Borrowed(_)));
    }

    #[test]
    fn cleaned_json_is_the_same_document() {
        let json = "{\"a\":\"x\u{9b}y\u{202e}z\u{e0041}\",\n\"b\":\"\u{7f}\"}";
        let cleaned = clean_json(json);
        assert!(!cleaned.chars().any(|character| steers(character) && character != '\n'));
        let read = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(read(json), read(&cleaned));
    }

    #[test]
    fn lines_break_at_spaces_alone() {
        assert_eq!(wrap("a.example, b.example, c.example", 21), ["a.example, b.example,", "c.example"]);
        assert_eq!(wrap("short averyveryverylongname x", 10), ["short", "averyveryverylongname", "x"]);
        assert_eq!(wrap("인감 인감", 5), ["인감", "인감"]);
        assert_eq!(wrap("", 10), [""]);
        assert_eq!(chop("abcdef", 4), ["abcd", "ef"]);
        assert_eq!(chop("인감", 3), ["인", "감"]);
    }
}
