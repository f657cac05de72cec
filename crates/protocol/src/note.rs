//! Signed notes, checkpoints and cosignatures, as C2SP writes them: the text by which outsiders hold a log to its past.
//!
//! [`Note`] is any text with signatures (c2sp.org/signed-note), [`VerifierKey`] whom they are by, [`Checkpoint`] the text that
//! a log signs (c2sp.org/tlog-checkpoint). A witness signs the same text with a time in front (`cosignature/v1`,
//! c2sp.org/tlog-cosignature); its keys have a type of their own, so that neither can be taken for the other.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::digest::{SHA256, digest};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};

use crate::time::Timestamp;

/// No note is longer.
pub const NOTE_BYTES_MAX: usize = 64 << 10;

/// No note has more signatures; at least 16 have to be taken.
pub const SIGNATURES_MAX: usize = 64;

/// What a signature line begins with.
const DASH: &str = "\u{2014} ";

/// Why a text is no note, key or checkpoint, or proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoteError {
    /// Longer than [`NOTE_BYTES_MAX`], or with more signatures than [`SIGNATURES_MAX`].
    TooLong,
    /// No text, blank line and signature lines, or signs that may not be there.
    Malformed,
    /// No verifier key, or one of a type that is not known here.
    Key,
    /// The text is no checkpoint.
    Checkpoint,
    /// No signature is by a key that was asked for.
    Unsigned,
    /// A signature by a key that was asked for is wrong.
    Signature,
}

impl fmt::Display for NoteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLong => "the note is too long",
            Self::Malformed => "this is no signed note",
            Self::Key => "this is no verifier key for Ed25519, as name+hash+key",
            Self::Checkpoint => "the note's text is no checkpoint",
            Self::Unsigned => "the note has no signature by the key that was asked for",
            Self::Signature => "the note has a signature by the key that was asked for, and it is wrong",
        })
    }
}

impl std::error::Error for NoteError {}

/// The name of a key: not empty, without spaces, plus signs and control characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyName(String);

impl KeyName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for KeyName {
    type Err = NoteError;

    fn from_str(text: &str) -> Result<Self, NoteError> {
        let is_bad = |sign: char| sign.is_whitespace() || sign.is_control() || sign == '+';
        if text.is_empty() || text.chars().any(is_bad) {
            return Err(NoteError::Malformed);
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a key signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum KeyKind {
    /// The text itself: a log.
    Log = 0x01,
    /// The text with a time in front: a witness.
    Witness = 0x04,
}

/// By what a signature is verified: a name, and an Ed25519 key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifierKey {
    name: KeyName,
    kind: KeyKind,
    public: [u8; 32],
}

impl VerifierKey {
    /// The public half of a key pair, by this name.
    pub fn of(name: KeyName, kind: KeyKind, pair: &Ed25519KeyPair) -> Self {
        let mut public = [0; 32];
        // An Ed25519 key has 32 bytes.
        public.copy_from_slice(pair.public_key().as_ref());
        Self { name, kind, public }
    }

    /// Its name.
    pub fn name(&self) -> &KeyName {
        &self.name
    }

    /// What it signs.
    pub fn kind(&self) -> KeyKind {
        self.kind
    }

    /// What signatures name it by, beside its name: the beginning of SHA-256 over name, newline, type and key.
    pub fn id(&self) -> [u8; 4] {
        let mut input = self.name.0.as_bytes().to_vec();
        input.extend_from_slice(&[b'\n', self.kind as u8]);
        input.extend_from_slice(&self.public);
        let hash = digest(&SHA256, &input);
        let mut id = [0; 4];
        for (to, from) in id.iter_mut().zip(hash.as_ref()) {
            *to = *from;
        }
        id
    }

    /// Whether the signature says that it is by this key.
    pub fn is_named_by(&self, signature: &NoteSignature) -> bool {
        signature.name == self.name && signature.id == self.id()
    }

    /// Verifies a signature over a note's text. Of a witness it gives the time at which it was made.
    ///
    /// # Errors
    /// [`NoteError::Unsigned`] if it is not said to be by this key, [`NoteError::Signature`] if it is wrong.
    pub fn verify(&self, text: &str, signature: &NoteSignature) -> Result<Option<Timestamp>, NoteError> {
        if !self.is_named_by(signature) {
            return Err(NoteError::Unsigned);
        }
        let key = UnparsedPublicKey::new(&ED25519, &self.public);
        let wrong = |_| NoteError::Signature;
        match self.kind {
            KeyKind::Log => key.verify(text.as_bytes(), &signature.bytes).map(|()| None).map_err(wrong),
            KeyKind::Witness => {
                let (time, bytes) = signature.bytes.split_first_chunk().ok_or(NoteError::Signature)?;
                let seconds = u64::from_be_bytes(*time);
                key.verify(cosigned(seconds, text).as_bytes(), bytes).map_err(wrong)?;
                Ok(Some(Timestamp::from_unix_s(seconds)))
            }
        }
    }
}

impl FromStr for VerifierKey {
    type Err = NoteError;

    fn from_str(text: &str) -> Result<Self, NoteError> {
        let mut parts = text.splitn(3, '+');
        let mut part = || parts.next().ok_or(NoteError::Key);
        let (name, id, key) = (part()?, part()?, part()?);
        let name = name.parse().map_err(|_| NoteError::Key)?;
        let bytes = STANDARD.decode(key).map_err(|_| NoteError::Key)?;
        let (kind, public) = bytes.split_first().ok_or(NoteError::Key)?;
        let kind = match kind {
            0x01 => KeyKind::Log,
            0x04 => KeyKind::Witness,
            _ => return Err(NoteError::Key),
        };
        let key = Self { name, kind, public: public.try_into().map_err(|_| NoteError::Key)? };
        if hex(&key.id()) == id { Ok(key) } else { Err(NoteError::Key) }
    }
}

/// As `name+hash+key`.
impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = vec![self.kind as u8];
        bytes.extend_from_slice(&self.public);
        write!(f, "{}+{}+{}", self.name, hex(&self.id()), STANDARD.encode(bytes))
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What a witness signs.
fn cosigned(seconds: u64, text: &str) -> String {
    format!("cosignature/v1\ntime {seconds}\n{text}")
}

/// One signature of a note: who made it, as it says, and the bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoteSignature {
    name: KeyName,
    id: [u8; 4],
    bytes: Vec<u8>,
}

impl NoteSignature {
    /// Signs a text as a log.
    pub fn by_log(name: KeyName, pair: &Ed25519KeyPair, text: &str) -> Self {
        let id = VerifierKey::of(name.clone(), KeyKind::Log, pair).id();
        Self { name, id, bytes: pair.sign(text.as_bytes()).as_ref().to_vec() }
    }

    /// Signs a text as a witness that has seen it now.
    pub fn by_witness(name: KeyName, pair: &Ed25519KeyPair, now: Timestamp, text: &str) -> Self {
        let id = VerifierKey::of(name.clone(), KeyKind::Witness, pair).id();
        let mut bytes = now.unix_s().to_be_bytes().to_vec();
        bytes.extend_from_slice(pair.sign(cosigned(now.unix_s(), text).as_bytes()).as_ref());
        Self { name, id, bytes }
    }

    /// The signatures in the lines, each with its newline.
    ///
    /// # Errors
    /// [`NoteError::TooLong`], [`NoteError::Malformed`].
    pub fn parse_lines(lines: &str) -> Result<Vec<Self>, NoteError> {
        if lines.len() > NOTE_BYTES_MAX || lines.matches('\n').count() > SIGNATURES_MAX {
            return Err(NoteError::TooLong);
        }
        lines.split_inclusive('\n').map(Self::parse).collect()
    }

    fn parse(line: &str) -> Result<Self, NoteError> {
        let malformed = NoteError::Malformed;
        let line = line.strip_suffix('\n').and_then(|line| line.strip_prefix(DASH)).ok_or(malformed)?;
        let (name, encoded) = line.split_once(' ').ok_or(malformed)?;
        let decoded = STANDARD.decode(encoded).map_err(|_| malformed)?;
        let (id, bytes) = decoded.split_first_chunk().ok_or(malformed)?;
        if bytes.is_empty() {
            return Err(malformed);
        }
        Ok(Self { name: name.parse()?, id: *id, bytes: bytes.to_vec() })
    }

    /// Whether the other says that it is by the same key.
    pub fn is_by_the_same(&self, other: &Self) -> bool {
        (&self.name, self.id) == (&other.name, other.id)
    }
}

/// As one line, without its newline.
impl fmt::Display for NoteSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = [&self.id[..], &self.bytes].concat();
        write!(f, "{DASH}{} {}", self.name, STANDARD.encode(bytes))
    }
}

/// A text, and who signed it. Until a signature is verified, the text says nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    text: String,
    signatures: Vec<NoteSignature>,
}

impl Note {
    /// A text with its first signature. The text has to end with a newline.
    ///
    /// # Errors
    /// [`NoteError::Malformed`] if it does not, or has control characters in it.
    pub fn new(text: String, signature: NoteSignature) -> Result<Self, NoteError> {
        let note = Self { text, signatures: vec![signature] };
        // The one way to see that it will be read as it was written.
        if Self::parse(&note.to_string())? == note { Ok(note) } else { Err(NoteError::Malformed) }
    }

    /// Reads a note.
    ///
    /// # Errors
    /// [`NoteError::TooLong`], [`NoteError::Malformed`].
    pub fn parse(note: &str) -> Result<Self, NoteError> {
        if note.len() > NOTE_BYTES_MAX {
            return Err(NoteError::TooLong);
        }
        if note.bytes().any(|byte| byte < b' ' && byte != b'\n') {
            return Err(NoteError::Malformed);
        }
        let blank = note.rfind("\n\n").ok_or(NoteError::Malformed)?;
        let (text, rest) = note.split_at(blank + 1);
        let lines = rest.strip_prefix('\n').filter(|lines| !lines.is_empty()).ok_or(NoteError::Malformed)?;
        Ok(Self { text: text.to_owned(), signatures: NoteSignature::parse_lines(lines)? })
    }

    /// What is signed, with its last newline.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// All signatures.
    pub fn signatures(&self) -> &[NoteSignature] {
        &self.signatures
    }

    /// Adds a signature; one by the same key goes.
    pub fn add(&mut self, signature: NoteSignature) {
        self.signatures.retain(|known| !known.is_by_the_same(&signature));
        self.signatures.push(signature);
    }

    /// Verifies every signature that says it is by this key; there has to be one. Of a witness it gives the time of the last.
    ///
    /// # Errors
    /// [`NoteError::Unsigned`], [`NoteError::Signature`].
    pub fn verify(&self, key: &VerifierKey) -> Result<Option<Timestamp>, NoteError> {
        let mut verified = Err(NoteError::Unsigned);
        for signature in self.signatures.iter().filter(|signature| key.is_named_by(signature)) {
            verified = Ok(key.verify(&self.text, signature)?);
        }
        verified
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.signatures.iter().try_for_each(|signature| writeln!(f, "{signature}"))
    }
}

/// What a log says of itself: how many leaves its tree has, and the root over them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which log.
    pub origin: String,
    /// How many leaves.
    pub size: u64,
    /// RFC 6962's Merkle tree hash of them.
    pub root: [u8; 32],
}

impl Checkpoint {
    /// Reads a note's text. Lines behind the third, which a log may add, are passed over.
    ///
    /// # Errors
    /// [`NoteError::Checkpoint`].
    pub fn parse(text: &str) -> Result<Self, NoteError> {
        let bad = NoteError::Checkpoint;
        let mut lines = text.strip_suffix('\n').ok_or(bad)?.split('\n');
        let mut line = || lines.next().filter(|line| !line.is_empty()).ok_or(bad);
        let (origin, size, root) = (line()?, line()?, line()?);
        if lines.any(str::is_empty) {
            return Err(bad);
        }
        Ok(Self {
            origin: origin.to_owned(),
            size: size_from(size).ok_or(bad)?,
            root: STANDARD.decode(root).ok().and_then(|root| root.try_into().ok()).ok_or(bad)?,
        })
    }

    /// Signs it as the log of its origin, which has to be the name of a key.
    ///
    /// # Errors
    /// [`NoteError::Malformed`] if it is none.
    pub fn sign(&self, pair: &Ed25519KeyPair) -> Result<Note, NoteError> {
        let text = self.to_string();
        let signature = NoteSignature::by_log(self.origin.parse()?, pair, &text);
        Note::new(text, signature)
    }
}

/// The note's text.
impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n{}\n{}", self.origin, self.size, STANDARD.encode(self.root))
    }
}

/// Reads a tree's size: decimal, with no zero in front.
pub fn size_from(text: &str) -> Option<u64> {
    text.parse().ok().filter(|size: &u64| size.to_string() == text)
}

/// The body of a request to a witness (c2sp.org/tlog-witness, add-checkpoint): the size that it knows, the proof that the
/// checkpoint's tree begins with that one, and the checkpoint.
pub fn add_checkpoint(old: u64, proof: &[[u8; 32]], note: &Note) -> String {
    let proof: String = proof.iter().map(|hash| format!("{}\n", STANDARD.encode(hash))).collect();
    format!("old {old}\n{proof}\n{note}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From c2sp.org/tlog-cosignature and c2sp.org/signed-note.
    const EXAMPLE: &str = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n\
        \u{2014} example.com/behind-the-sofa \
        Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n\
        \u{2014} witness.example.com/w1 \
        jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n";

    /// The key and note that golang.org/x/mod/sumdb/note has in its own tests.
    const PETER: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    const PETER_SAYS: &str = "If you think cryptography is the answer to your problem,\n\
        then you don't know what your problem is.\n\n\
        \u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";

    fn pair(seed: u8) -> Ed25519KeyPair {
        Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap()
    }

    #[test]
    fn what_others_made_is_read_and_written_as_it_was() {
        let note = Note::parse(EXAMPLE).unwrap();
        assert_eq!(note.to_string(), EXAMPLE);
        let checkpoint = Checkpoint::parse(note.text()).unwrap();
        assert_eq!(
            (checkpoint.origin.as_str(), checkpoint.size),
            ("example.com/behind-the-sofa", 20_852_163)
        );
        assert_eq!(checkpoint.to_string(), note.text());
        assert_eq!(note.signatures().len(), 2);
    }

    #[test]
    fn a_signature_of_another_maker_is_verified() {
        let key: VerifierKey = PETER.parse().unwrap();
        assert_eq!(key.to_string(), PETER);
        let note = Note::parse(PETER_SAYS).unwrap();
        assert_eq!(note.verify(&key), Ok(None));
        let changed = Note::parse(&PETER_SAYS.replacen("answer", "Answer", 1)).unwrap();
        assert_eq!(changed.verify(&key), Err(NoteError::Signature));
        assert_eq!(Note::parse(EXAMPLE).unwrap().verify(&key), Err(NoteError::Unsigned));
    }

    #[test]
    fn a_log_signs_and_a_witness_cosigns() {
        let checkpoint = Checkpoint { origin: "ca.example/log".into(), size: 3, root: [7; 32] };
        let mut note = checkpoint.sign(&pair(1)).unwrap();
        let name: KeyName = "witness.example".parse().unwrap();
        let now = Timestamp::from_unix_s(1_795_255_200);
        note.add(NoteSignature::by_witness(name.clone(), &pair(2), now, note.text()));
        note.add(NoteSignature::by_witness(name.clone(), &pair(2), now, note.text()));
        assert_eq!(note.signatures().len(), 2, "one by the same key takes the other's place");
        let note = Note::parse(&note.to_string()).unwrap();
        let log = VerifierKey::of("ca.example/log".parse().unwrap(), KeyKind::Log, &pair(1));
        let witness = VerifierKey::of(name.clone(), KeyKind::Witness, &pair(2));
        assert_eq!(note.verify(&log), Ok(None));
        assert_eq!(note.verify(&witness), Ok(Some(now)));
        let other = VerifierKey::of(name, KeyKind::Log, &pair(2));
        assert_eq!(note.verify(&other), Err(NoteError::Unsigned), "the type is part of who signed");
        assert_eq!(witness.to_string().parse(), Ok(witness));
    }

    #[test]
    fn what_is_no_note_key_or_checkpoint_is_refused() {
        let line = "\u{2014} a AAAAAAA=\n";
        for text in [
            "",
            "\n",
            "a\n",
            "a\n\n",
            &format!("a{line}"),
            &format!("a\n{line}"),
            "a\n\n\u{2014} a AAAAAA==\n",
            "a\n\n\u{2014} a+b AAAAAAA=\n",
            "a\n\n\u{2014}  AAAAAAA=\n",
            "a\n\n- a AAAAAAA=\n",
            &format!("a\tb\n\n{line}"),
            &format!("a\n\n{line}x"),
            &format!("a\n\n{}", line.trim_end()),
            "a\n\n\u{2014} a AAAAAA1=\n",
        ] {
            assert_eq!(Note::parse(text), Err(NoteError::Malformed), "{text:?}");
        }
        assert!(Note::parse(&format!("a\n\nb\n\n{line}")).is_ok(), "a text may have empty lines");
        assert_eq!(Note::parse(&"a".repeat(NOTE_BYTES_MAX + 1)), Err(NoteError::TooLong));
        assert_eq!(
            Note::parse(&format!("a\n\n{}", line.repeat(SIGNATURES_MAX + 1))),
            Err(NoteError::TooLong)
        );
        for key in
            ["", "a+b", "PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", "a+00000000+"]
        {
            assert_eq!(key.parse::<VerifierKey>(), Err(NoteError::Key), "{key}");
        }
        let root = STANDARD.encode([0; 32]);
        for text in [
            format!("a\n01\n{root}\n"),
            format!("a\n+1\n{root}\n"),
            format!("\n1\n{root}\n"),
            format!("a\n1\n{root}"),
            format!("a\n1\n{root}\n\n"),
            "a\n1\nAAAA\n".to_owned(),
            "a\n1\n".to_owned(),
        ] {
            assert_eq!(Checkpoint::parse(&text), Err(NoteError::Checkpoint), "{text:?}");
        }
        assert!(Checkpoint::parse(&format!("a\n1\n{root}\nmore\n")).is_ok());
    }

    #[test]
    fn a_witness_is_asked_as_it_is_written_down() {
        let checkpoint = Checkpoint { origin: "ca.example/log".into(), size: 3, root: [7; 32] };
        let body = add_checkpoint(2, &[[0; 32], [1; 32]], &checkpoint.sign(&pair(1)).unwrap());
        let lines: Vec<&str> = body.split('\n').collect();
        assert_eq!(lines[0], "old 2");
        assert_eq!(lines[1], "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
        assert_eq!((lines[3], lines[4]), ("", "ca.example/log"));
    }
}
