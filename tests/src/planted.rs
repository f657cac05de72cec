//! What is planted, in all forms in which it could be written, and the search for it in every byte of every file.

use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// A form with fewer bytes than this is in some file anyway.
const FORM_BYTES_MIN: usize = 10;

/// Something planted that was found: its form, and the file.
pub type Finding = (String, PathBuf);

/// What is looked for.
#[derive(Debug, Clone, Default)]
pub struct Planted {
    forms: Vec<(String, Vec<u8>)>,
}

impl Planted {
    /// These bytes, each with the name of its form.
    pub fn of(forms: impl IntoIterator<Item = (String, Vec<u8>)>) -> Self {
        Self { forms: forms.into_iter().collect() }
    }

    /// These texts, in every form in which a program may have written them, or a part of it that tells.
    pub fn texts<'a>(texts: impl IntoIterator<Item = &'a str>) -> Self {
        Self::of(texts.into_iter().flat_map(forms_of))
    }

    /// The forms that are looked for.
    pub fn forms(&self) -> &[(String, Vec<u8>)] {
        &self.forms
    }

    /// What is in these bytes of a file.
    pub fn found_in(&self, path: &Path, bytes: &[u8]) -> Vec<Finding> {
        let found = self.forms.iter().filter(|(_, form)| has(bytes, form));
        found.map(|(name, _)| (name.clone(), path.to_owned())).collect()
    }

    /// What is in any file below a folder, or in its name.
    pub fn found_below(&self, folder: &Path) -> Vec<Finding> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            found.extend(self.found_in(&path, path.file_name().expect("a name").as_encoded_bytes()));
            if path.is_dir() {
                found.extend(self.found_below(&path));
            } else if path.is_file() {
                match std::fs::read(&path) {
                    Ok(bytes) => found.extend(self.found_in(&path, &bytes)),
                    // It went while the folder was read.
                    Err(error) => {
                        assert_eq!(error.kind(), std::io::ErrorKind::NotFound, "{}", path.display())
                    }
                }
            }
        }
        found
    }
}

/// Whether the bytes hold this form.
pub fn has(bytes: &[u8], form: &[u8]) -> bool {
    memchr::memmem::find(bytes, form).is_some()
}

/// A text in the forms that programs write texts in.
fn forms_of(text: &str) -> Vec<(String, Vec<u8>)> {
    let mut forms = Vec::new();
    let mut add = |name: &str, bytes: Vec<u8>| forms.push((format!("{text}, {name}"), bytes));
    let swap = |letter: char| {
        if letter.is_ascii_lowercase() { letter.to_ascii_uppercase() } else { letter.to_ascii_lowercase() }
    };
    add("as it is", text.into());
    add("lower case", text.to_ascii_lowercase().into());
    add("upper case", text.to_ascii_uppercase().into());
    add("reversed case", text.chars().map(swap).collect::<String>().into());
    add("backwards", text.bytes().rev().collect());
    let digits = |one: fn(u8) -> String| text.bytes().map(one).collect::<String>();
    add("hexadecimal", digits(|byte| format!("{byte:02x}")).into());
    add("hexadecimal, large", digits(|byte| format!("{byte:02X}")).into());
    add(
        "hexadecimal with colons",
        text.bytes().map(|b| format!("{b:02x}")).collect::<Vec<_>>().join(":").into(),
    );
    add("percent-encoded", digits(|byte| format!("%{byte:02X}")).into());
    add("percent-encoded, small", digits(|byte| format!("%{byte:02x}")).into());
    // What a form or a URL encodes of an address.
    add("percent-encoded where it has to be", text.replace('@', "%40").replace('+', "%2B").into());
    add("JSON escapes", digits(|byte| format!("\\u{byte:04x}")).into());
    add("escapes of a debugger", digits(|byte| format!("\\x{byte:02x}")).into());
    add("list of numbers", text.bytes().map(|byte| byte.to_string()).collect::<Vec<_>>().join(",").into());
    add(
        "list of numbers, spaced",
        text.bytes().map(|byte| byte.to_string()).collect::<Vec<_>>().join(", ").into(),
    );
    add("UTF-16, little end first", text.encode_utf16().flat_map(u16::to_le_bytes).collect());
    add("UTF-16, large end first", text.encode_utf16().flat_map(u16::to_be_bytes).collect());
    add("UTF-32", text.chars().flat_map(|letter| u32::from(letter).to_le_bytes()).collect());
    for (shift, once) in in_base64(text.as_bytes()).into_iter().enumerate() {
        add(&format!("base64url, {shift} bytes in"), once.clone().into());
        // As a JWS has it that lies inside something else that is encoded.
        for (outer, twice) in in_base64(once.as_bytes()).into_iter().enumerate() {
            add(&format!("base64url twice, {shift} and {outer} bytes in"), twice.into());
        }
        let standard = in_standard_base64(text.as_bytes(), shift);
        if standard != once {
            add(&format!("base64, {shift} bytes in"), standard.into());
        }
    }
    // What is left of a short text could be there by chance.
    forms.retain(|(_, form)| form.len() >= FORM_BYTES_MIN);
    // Some forms are the same.
    forms.sort_by(|one, other| one.1.cmp(&other.1));
    forms.dedup_by(|one, other| one.1 == other.1);
    forms
}

/// How bytes look inside base64url, wherever in a group of three they begin; the outermost letters, which also hold bits of the
/// neighbours, are cut off.
fn in_base64(bytes: &[u8]) -> [String; 3] {
    [0, 1, 2].map(|shift| cut(&URL_SAFE_NO_PAD.encode([&vec![0; shift], bytes].concat()), shift))
}

fn in_standard_base64(bytes: &[u8], shift: usize) -> String {
    cut(&STANDARD_NO_PAD.encode([&vec![0; shift], bytes].concat()), shift)
}

fn cut(encoded: &str, shift: usize) -> String {
    encoded[4 * usize::from(shift > 0)..encoded.len() / 4 * 4 - 4].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_is_found_wherever_it_is() {
        let planted = Planted::texts(["Quagga.Planted+77@example.org"]);
        assert!(planted.forms().len() >= 30, "{}", planted.forms().len());
        let folder = tempfile::tempdir().expect("a folder");
        for (name, form) in planted.forms() {
            let below = folder.path().join("a/b");
            std::fs::create_dir_all(&below).expect("a writable folder");
            std::fs::write(below.join("file"), [&[7; 100], form.as_slice(), &[8; 10]].concat())
                .expect("a file");
            let found = planted.found_below(folder.path());
            assert!(found.iter().any(|(found, _)| found == name), "{name}: {found:?}");
            std::fs::remove_file(below.join("file")).expect("it is there");
            assert_eq!(planted.found_below(folder.path()), []);
        }
    }

    #[test]
    fn base64_is_found_at_each_offset() {
        let planted = Planted::texts(["Quagga.Planted+77@example.org"]);
        for shift in 0..7 {
            let around =
                ["x".repeat(shift), "Quagga.Planted+77@example.org".to_owned(), "yz".to_owned()].concat();
            for encoded in [URL_SAFE_NO_PAD.encode(&around), STANDARD_NO_PAD.encode(&around)] {
                assert!(!planted.found_in(Path::new("a"), encoded.as_bytes()).is_empty(), "{shift}");
                let again = URL_SAFE_NO_PAD.encode(format!("{{\"payload\":\"{encoded}\"}}"));
                assert!(!planted.found_in(Path::new("a"), again.as_bytes()).is_empty(), "{shift}, twice");
            }
        }
    }
}
