//! Where a private key is: in a file, or on a token that never gives it away.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Error, Passphrase};

const SCHEME: &str = "pkcs11:";
/// Where systemd puts the credentials of services.
const CREDENTIALS: &str = "/run/credentials";
/// Longer than any path that Linux takes.
const TEXT_BYTES_MAX: usize = 4096;
/// `label` and `manufacturerID` of CK_TOKEN_INFO (PKCS #11, section 3.2).
const TOKEN_BYTES_MAX: usize = 32;
/// `serialNumber` and `model` of CK_TOKEN_INFO (PKCS #11, section 3.2).
const SERIAL_BYTES_MAX: usize = 16;
/// What tokens commonly store of CKA_LABEL and CKA_ID.
const OBJECT_BYTES_MAX: usize = 255;

/// Where a private key is. As text, and so in configuration and files: the path of a PKCS #8 file in PEM, or a PKCS #11
/// URI (RFC 7512), as `pkcs11:token=ingam;object=ecdsa?module-path=/usr/lib/softhsm/libsofthsm2.so`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum KeyLocation {
    /// In this file.
    File(PathBuf),
    /// On a token.
    Token(TokenKey),
}

/// Which token, and which private key on it. Whatever is given must fit, and exactly one key must fit all of it. Only a
/// URI makes one, so that it names a module, a token and a key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TokenKey {
    /// `module-path`: the shared library that speaks to the token; absolute.
    module: PathBuf,
    /// The token itself; one of its members is there.
    token: Token,
    /// `object`: CKA_LABEL. It or `id` is there.
    object: Option<String>,
    /// `id`: CKA_ID.
    id: Option<Vec<u8>>,
    /// `pin-source`: the file with the PIN; absolute.
    pin_file: Option<PathBuf>,
}

/// By what a token is known; whatever is given must fit.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token {
    /// `token`: its label.
    pub label: Option<String>,
    /// `serial`: its serial number.
    pub serial: Option<String>,
    /// `manufacturer`: who made it.
    pub manufacturer: Option<String>,
    /// `model`: what it is.
    pub model: Option<String>,
    /// `slot-id`: the number of the slot that it is in. Some modules number anew whenever a token is initialised.
    pub slot_id: Option<u64>,
}

impl TokenKey {
    /// The shared library that speaks to the token; an absolute path.
    pub fn module(&self) -> &Path {
        &self.module
    }

    /// By what the token is known.
    pub fn token(&self) -> &Token {
        &self.token
    }

    /// The key's CKA_LABEL, if it matters.
    pub fn object(&self) -> Option<&str> {
        self.object.as_deref()
    }

    /// The key's CKA_ID, if it matters.
    pub fn id(&self) -> Option<&[u8]> {
        self.id.as_deref()
    }

    /// The file with the token's PIN, if the URI names one.
    pub fn pin_file(&self) -> Option<&Path> {
        self.pin_file.as_deref()
    }

    /// Reads the PIN from the file that the URI names; `None` if it names none.
    ///
    /// # Errors
    /// [`Error::Load`] as of [`Passphrase::from_file`], and for one of the service's credentials as of
    /// [`Passphrase::from_credential`].
    pub fn pin(&self) -> Result<Option<Passphrase>, Error> {
        let read = |path: &Path| {
            if path.starts_with(CREDENTIALS) {
                Passphrase::from_credential(path)
            } else {
                Passphrase::from_file(path)
            }
        };
        self.pin_file().map(read).transpose()
    }
}

impl FromStr for KeyLocation {
    type Err = Error;

    /// Reads a path or a URI.
    ///
    /// # Errors
    /// [`Error::Load`] says what is wrong and what to write; it never repeats a value, as that might be a PIN.
    fn from_str(text: &str) -> Result<Self, Error> {
        if text.is_empty() || text.len() > TEXT_BYTES_MAX || text.contains('\0') {
            return Err(wrong("give a path or a PKCS #11 URI of 1 to 4096 bytes"));
        }
        match text.split_at_checked(SCHEME.len()) {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case(SCHEME) => read_uri(rest).map(Self::Token),
            _ => Ok(Self::File(PathBuf::from(text))),
        }
    }
}

impl TryFrom<String> for KeyLocation {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl From<KeyLocation> for String {
    fn from(location: KeyLocation) -> Self {
        location.to_string()
    }
}

impl fmt::Display for KeyLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Token(key) => key.fmt(f),
        }
    }
}

impl fmt::Display for TokenKey {
    /// The URI, its attributes always in the same order.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |value: &Option<String>| value.as_deref().map(|value| encode(value.as_bytes(), b""));
        let path = [
            ("token", text(&self.token.label)),
            ("serial", text(&self.token.serial)),
            ("manufacturer", text(&self.token.manufacturer)),
            ("model", text(&self.token.model)),
            ("slot-id", self.token.slot_id.map(|number| number.to_string())),
            ("object", text(&self.object)),
            // RFC 7512, section 2.3: the whole of it percent-encoded.
            ("id", self.id.as_ref().map(|id| id.iter().map(|byte| format!("%{byte:02X}")).collect())),
        ];
        let file = |path: &Path| encode(path.as_os_str().as_encoded_bytes(), b"/");
        let query = [
            ("module-path", Some(file(&self.module))),
            ("pin-source", self.pin_file.as_deref().map(|path| format!("file:{}", file(path)))),
        ];
        f.write_str(SCHEME)?;
        write_attributes(f, &path, ";")?;
        f.write_str("?")?;
        write_attributes(f, &query, "&")
    }
}

fn write_attributes(
    f: &mut fmt::Formatter<'_>,
    attributes: &[(&str, Option<String>)],
    separator: &str,
) -> fmt::Result {
    let given = attributes.iter().filter_map(|(name, value)| value.as_ref().map(|value| (name, value)));
    for (number, (name, value)) in given.enumerate() {
        write!(f, "{}{name}={value}", if number == 0 { "" } else { separator })?;
    }
    Ok(())
}

/// What stands behind `pkcs11:`.
fn read_uri(text: &str) -> Result<TokenKey, Error> {
    let (path, query) = text.split_once('?').unwrap_or((text, ""));
    let (mut token, mut object, mut id) = (Token::default(), None, None);
    for (name, value) in attributes(path, ';')? {
        match name {
            "token" => token.label = Some(words(name, value, TOKEN_BYTES_MAX)?),
            "serial" => token.serial = Some(words(name, value, SERIAL_BYTES_MAX)?),
            "manufacturer" => token.manufacturer = Some(words(name, value, TOKEN_BYTES_MAX)?),
            "model" => token.model = Some(words(name, value, SERIAL_BYTES_MAX)?),
            "slot-id" => token.slot_id = Some(slot_id(&value)?),
            "object" => object = Some(words(name, value, OBJECT_BYTES_MAX)?),
            "id" if value.is_empty() || value.len() > OBJECT_BYTES_MAX => {
                return Err(wrong("id has 1 to 255 bytes"));
            }
            "id" => id = Some(value),
            "type" if value == b"private" => {}
            "type" => return Err(wrong("type must be 'private', or be left out")),
            _ => {
                return Err(wrong(format!(
                    "'{}' is none of token, serial, manufacturer, model, slot-id, object, id and type, by which a key is \
                     found here",
                    shown(name)
                )));
            }
        }
    }
    let (mut module, mut pin_file) = (None, None);
    for (name, value) in attributes(query, '&')? {
        match name {
            "module-path" => module = Some(absolute(name, words(name, value, TEXT_BYTES_MAX)?)?),
            "pin-source" => pin_file = Some(pin_source(words(name, value, TEXT_BYTES_MAX)?)?),
            "pin-value" => {
                return Err(wrong(
                    "pin-value would show the PIN to everybody who sees the URI: put it into a file of mode 0600, and \
                     name that by pin-source=file:/PATH",
                ));
            }
            "module-name" => {
                return Err(wrong(
                    "module-name leaves it to the system which library is loaded: give its path as module-path",
                ));
            }
            _ => return Err(wrong(format!("'{}' is neither module-path nor pin-source", shown(name)))),
        }
    }
    if token.label.is_none() && token.serial.is_none() && token.slot_id.is_none() {
        return Err(wrong("say which token: token=LABEL, serial=NUMBER or slot-id=NUMBER"));
    }
    if object.is_none() && id.is_none() {
        return Err(wrong("say which key: object=LABEL or id=%BYTES"));
    }
    let module = module.ok_or_else(|| {
        wrong("say which library speaks to the token: ?module-path=/usr/lib/softhsm/libsofthsm2.so")
    })?;
    Ok(TokenKey { module, token, object, id, pin_file })
}

/// The attributes of one part of the URI, percent-decoded; none may be there twice (RFC 7512, section 2.3).
fn attributes(text: &str, separator: char) -> Result<Vec<(&str, Vec<u8>)>, Error> {
    let mut seen = BTreeSet::new();
    let mut read = Vec::new();
    for attribute in text.split(separator).filter(|_| !text.is_empty()) {
        let Some((name, value)) = attribute.split_once('=') else {
            return Err(wrong("its parts must be NAME=VALUE, with ';' between them, and '&' behind the '?'"));
        };
        if !seen.insert(name) {
            return Err(wrong(format!("'{}' is there twice", shown(name))));
        }
        let value = decode(value).ok_or_else(|| {
            wrong(format!("the value of '{}' has a character that must be written as %XX", shown(name)))
        })?;
        read.push((name, value));
    }
    Ok(read)
}

/// Undoes percent-encoding. `None` for what no URI may have as it is: blanks, control characters, all beyond ASCII, and
/// a '%' without two digits.
fn decode(text: &str) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
        decoded.push(match byte {
            b'%' => {
                let (high, low) = (digit(bytes.next())?, digit(bytes.next())?);
                u8::try_from(high * 16 + low).ok()?
            }
            _ if byte.is_ascii_graphic() => byte,
            _ => return None,
        });
    }
    Some(decoded)
}

/// Percent-encodes everything but what RFC 3986 calls unreserved, and `plain`.
fn encode(bytes: &[u8], plain: &[u8]) -> String {
    let mut encoded = String::with_capacity(bytes.len());
    for &byte in bytes {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || plain.contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

fn words(name: &str, value: Vec<u8>, bytes_max: usize) -> Result<String, Error> {
    match String::from_utf8(value) {
        Ok(text) if (1..=bytes_max).contains(&text.len()) && !text.contains('\0') => Ok(text),
        _ => Err(wrong(format!("{name} must have 1 to {bytes_max} bytes of UTF-8 without NUL"))),
    }
}

/// 1*DIGIT (RFC 7512, section 2.3).
fn slot_id(value: &[u8]) -> Result<u64, Error> {
    let digits =
        std::str::from_utf8(value).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    digits.and_then(|text| text.parse().ok()).ok_or_else(|| wrong("slot-id must be a number"))
}

fn absolute(name: &str, path: String) -> Result<PathBuf, Error> {
    let path = PathBuf::from(path);
    if path.is_absolute() { Ok(path) } else { Err(wrong(format!("{name} must be an absolute path"))) }
}

/// A file, as `file:/PATH`, `file:///PATH` or the path alone (RFC 7512, section 2.4).
fn pin_source(value: String) -> Result<PathBuf, Error> {
    let path = value.strip_prefix("file:").unwrap_or(&value);
    let path = path.strip_prefix("//").filter(|path| path.starts_with('/')).unwrap_or(path);
    if path.starts_with("//") {
        return Err(wrong("pin-source must name a file of this machine: file:/PATH"));
    }
    absolute("pin-source", path.to_owned())
}

/// A name as an error may repeat it.
fn shown(name: &str) -> String {
    name.chars().filter(char::is_ascii_graphic).take(32).collect()
}

fn wrong(what: impl fmt::Display) -> Error {
    Error::Load(format!("this is no place of a private key: {what}"), None)
}

#[cfg(test)]
mod tests;
