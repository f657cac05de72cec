//! The file format of age (<https://age-encryption.org/v1>), as far as backups need it: one recipient's X25519 key, and a payload
//! in chunks of 64 KiB. What is written here, every age program opens with the identity, without this one.
//!
//! ```text
//! age-encryption.org/v1
//! -> X25519 SHARE                 ephemeral half of the key agreement
//! WRAPPED                         the file key, under what was agreed
//! --- MAC                         HMAC-SHA-256 over everything in front of it, under the file key
//! nonce 16 | chunk | … | chunk    ChaCha20-Poly1305; the nonce counts chunks, and says which one is the last
//! ```

use std::fmt;
use std::io::{self, Read, Write};

use ingam_protocol::time::{Random, random_array};
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::{hkdf, hmac};
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

use super::text::{base64, bech32_decode, bech32_encode, from_base64};

const VERSION: &str = "age-encryption.org/v1";
const FILE_KEY_BYTES: usize = 16;
const TAG_BYTES: usize = 16;
/// A chunk's plaintext.
const CHUNK_BYTES: usize = 64 << 10;
/// A header with one recipient is far shorter.
const HEADER_BYTES_MAX: u64 = 4096;

/// Who can open a backup: `age1…`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Recipient([u8; 32]);

/// The other half: `AGE-SECRET-KEY-1…`.
pub struct Identity(StaticSecret);

impl Recipient {
    /// Reads `age1…`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let key = bech32_decode("age", text.trim()).and_then(|bytes| bytes.try_into().ok());
        key.map(Self).ok_or("it is no recipient of age: one begins with age1 and comes from age-keygen, or from ingam admin backup-key")
    }
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&bech32_encode("age", &self.0))
    }
}

impl fmt::Debug for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Identity {
    /// A new one.
    pub fn new(random: &dyn Random) -> Self {
        Self(StaticSecret::from(random_array::<32>(random)))
    }

    /// Reads the first line of an identity file that is neither empty nor a comment: `AGE-SECRET-KEY-1…`.
    ///
    /// # Errors
    /// What is wrong with it; it does not repeat it.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let key = lines.take(1).next().and_then(|line| bech32_decode("age-secret-key-", line));
        let key: Option<[u8; 32]> = key.and_then(|bytes| Zeroizing::new(bytes).as_slice().try_into().ok());
        key.map(|key| Self(StaticSecret::from(key)))
            .ok_or("it holds no identity of age: a line that begins with AGE-SECRET-KEY-1")
    }

    /// Its text, for a file.
    pub fn expose(&self) -> Zeroizing<String> {
        Zeroizing::new(bech32_encode("age-secret-key-", self.0.as_bytes()).to_ascii_uppercase())
    }

    /// Whom to write for.
    pub fn recipient(&self) -> Recipient {
        Recipient(PublicKey::from(&self.0).to_bytes())
    }
}

fn derive(secret: &[u8], salt: &[u8], info: &[u8]) -> io::Result<Zeroizing<[u8; 32]>> {
    let extracted = hkdf::Salt::new(hkdf::HKDF_SHA256, salt).extract(secret);
    let info = [info];
    let mut key = Zeroizing::new([0; 32]);
    let expanded =
        extracted.expand(&info, hkdf::HKDF_SHA256).map_err(|_| broken("a key cannot be derived"))?;
    expanded.fill(key.as_mut_slice()).map_err(|_| broken("a key cannot be derived"))?;
    Ok(key)
}

fn cipher(key: &[u8; 32]) -> io::Result<LessSafeKey> {
    UnboundKey::new(&CHACHA20_POLY1305, key)
        .map(LessSafeKey::new)
        .map_err(|_| broken("a key cannot be loaded"))
}

fn broken(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

/// What both sides agree on.
fn wrapping(shared: &[u8], share: &[u8; 32], recipient: &[u8; 32]) -> io::Result<LessSafeKey> {
    let salt = [share.as_slice(), recipient].concat();
    cipher(&*derive(shared, &salt, b"age-encryption.org/v1/X25519")?)
}

/// The body of a stanza: its lines have 64 characters each, but for the last one, which has fewer.
fn stanza_body<'a>(lines: &mut impl Iterator<Item = &'a str>) -> String {
    let mut body = String::new();
    for line in lines {
        body.push_str(line);
        if line.len() < 64 {
            break;
        }
    }
    body
}

fn header_mac(file_key: &[u8]) -> io::Result<hmac::Key> {
    Ok(hmac::Key::new(hmac::HMAC_SHA256, derive(file_key, &[], b"header")?.as_slice()))
}

/// Counts chunks.
#[derive(Default)]
struct Chunks(u64);

impl Chunks {
    fn next(&mut self, is_last: bool) -> io::Result<Nonce> {
        let mut nonce = [0; NONCE_LEN];
        if let Some(counter) = nonce.get_mut(3..11) {
            counter.copy_from_slice(&self.0.to_be_bytes());
        }
        if let Some(last) = nonce.last_mut() {
            *last = u8::from(is_last);
        }
        self.0 = self.0.checked_add(1).ok_or_else(|| broken("it is too long"))?;
        Ok(Nonce::assume_unique_for_key(nonce))
    }
}

/// Writes what is put into it, encrypted. Without [`Encrypting::finish`] it is cut short, and does not open.
pub struct Encrypting<W: Write> {
    out: W,
    key: LessSafeKey,
    chunks: Chunks,
    buffer: Vec<u8>,
}

impl<W: Write> Encrypting<W> {
    /// Begins a file for the recipient.
    ///
    /// # Errors
    /// Whatever writing meets.
    pub fn new(mut out: W, recipient: Recipient, random: &dyn Random) -> io::Result<Self> {
        let file_key = Zeroizing::new(random_array::<FILE_KEY_BYTES>(random));
        let ephemeral = StaticSecret::from(random_array::<32>(random));
        let share = PublicKey::from(&ephemeral).to_bytes();
        let shared = ephemeral.diffie_hellman(&PublicKey::from(recipient.0));
        if !shared.was_contributory() {
            return Err(broken("the recipient is no key that anybody can have"));
        }
        let mut wrapped = file_key.to_vec();
        wrapping(shared.as_bytes(), &share, &recipient.0)?
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key([0; NONCE_LEN]),
                Aad::empty(),
                &mut wrapped,
            )
            .map_err(|_| broken("the file key cannot be wrapped"))?;
        let header = format!("{VERSION}\n-> X25519 {}\n{}\n---", base64(&share), base64(&wrapped));
        let mac = hmac::sign(&header_mac(file_key.as_slice())?, header.as_bytes());
        let nonce = random_array::<16>(random);
        out.write_all(format!("{header} {}\n", base64(mac.as_ref())).as_bytes())?;
        out.write_all(&nonce)?;
        let key = cipher(&*derive(file_key.as_slice(), &nonce, b"payload")?)?;
        Ok(Self { out, key, chunks: Chunks::default(), buffer: Vec::with_capacity(CHUNK_BYTES + TAG_BYTES) })
    }

    fn chunk(&mut self, is_last: bool) -> io::Result<()> {
        let nonce = self.chunks.next(is_last)?;
        let sealed = self.key.seal_in_place_append_tag(nonce, Aad::empty(), &mut self.buffer);
        sealed.map_err(|_| broken("a chunk cannot be encrypted"))?;
        self.out.write_all(&self.buffer)?;
        self.buffer.clear();
        Ok(())
    }

    /// Writes the last chunk.
    ///
    /// # Errors
    /// Whatever writing meets.
    pub fn finish(mut self) -> io::Result<W> {
        self.chunk(true)?;
        Ok(self.out)
    }
}

impl<W: Write> Write for Encrypting<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.buffer.len() == CHUNK_BYTES {
            // There is more: it was not the last one.
            self.chunk(false)?;
        }
        let (taken, _) = bytes.split_at(bytes.len().min(CHUNK_BYTES - self.buffer.len()));
        self.buffer.extend_from_slice(taken);
        Ok(taken.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        // A chunk is written when it is full, or the last.
        Ok(())
    }
}

/// Reads what [`Encrypting`] wrote. What comes out is what was put in: a chunk is checked before any byte of it comes, and
/// a file that was cut short ends with an error.
pub struct Decrypting<R: Read> {
    source: R,
    key: LessSafeKey,
    chunks: Chunks,
    /// The chunk in hand, and how much of it was taken.
    plain: Vec<u8>,
    taken: usize,
    /// The first byte behind the chunk in hand, which had to be read to know whether it is the last.
    ahead: Option<u8>,
    is_over: bool,
}

impl<R: Read> Decrypting<R> {
    /// Opens a file.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidData`] if it is none, is for somebody else, or was changed; whatever reading meets.
    pub fn new(mut source: R, identity: &Identity) -> io::Result<Self> {
        let header = read_header(&mut source)?;
        let mut lines = header.lines();
        let none = || broken("it is no file of age with one X25519 recipient");
        if lines.next() != Some(VERSION) {
            return Err(none());
        }
        let (mut own, mut mac) = (None, None);
        while let Some(line) = lines.next() {
            if let Some(text) = line.strip_prefix("--- ") {
                mac = from_base64(text);
                break;
            }
            let (kind, body) = (line.strip_prefix("-> ").ok_or_else(none)?, stanza_body(&mut lines));
            // Other kinds of stanzas are for others, or for nobody.
            if let Some(share) = kind.strip_prefix("X25519 ") {
                own = from_base64(share).zip(from_base64(&body)).filter(|_| own.is_none());
            }
        }
        let ((share, mut wrapped), mac) = own.zip(mac).ok_or_else(none)?;
        let share: [u8; 32] = share.try_into().map_err(|_| none())?;
        let shared = identity.0.diffie_hellman(&PublicKey::from(share));
        let key = wrapping(shared.as_bytes(), &share, &identity.recipient().0)?;
        let nonce = Nonce::assume_unique_for_key([0; NONCE_LEN]);
        let file_key = key.open_in_place(nonce, Aad::empty(), &mut wrapped);
        let file_key =
            file_key.map_err(|_| broken("it was encrypted for another recipient, or was changed"))?;
        if !shared.was_contributory() || file_key.len() != FILE_KEY_BYTES {
            return Err(none());
        }
        let signed = header.rsplit_once(' ').map_or("", |(signed, _)| signed);
        hmac::verify(&header_mac(file_key)?, signed.as_bytes(), &mac)
            .map_err(|_| broken("its header was changed"))?;
        let mut nonce = [0; 16];
        source.read_exact(&mut nonce)?;
        let key = cipher(&*derive(file_key, &nonce, b"payload")?)?;
        Ok(Self {
            source,
            key,
            chunks: Chunks::default(),
            plain: Vec::new(),
            taken: 0,
            ahead: None,
            is_over: false,
        })
    }

    fn next_chunk(&mut self) -> io::Result<()> {
        let mut sealed: Vec<u8> = self.ahead.take().into_iter().collect();
        let room = (CHUNK_BYTES + TAG_BYTES - sealed.len()) as u64;
        self.source.by_ref().take(room).read_to_end(&mut sealed)?;
        let mut ahead = [0];
        let is_last = loop {
            match self.source.read(&mut ahead) {
                Ok(count) => break count == 0,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        };
        self.ahead = Some(ahead[0]).filter(|_| !is_last);
        let is_first = self.chunks.0 == 0;
        let nonce = self.chunks.next(is_last)?;
        let opened = self.key.open_in_place(nonce, Aad::empty(), &mut sealed);
        let length = opened.map_err(|_| broken("it was changed, or cut short"))?.len();
        if length == 0 && !is_first {
            return Err(broken("it ends with an empty chunk"));
        }
        sealed.truncate(length);
        (self.plain, self.taken, self.is_over) = (sealed, 0, is_last);
        Ok(())
    }
}

fn read_header(source: &mut impl Read) -> io::Result<String> {
    // Byte by byte: what follows is not the header's. Whoever reads a file has a buffer in front of it.
    let mut header = Vec::new();
    let (mut source, mut byte, mut line) = (source.take(HEADER_BYTES_MAX), [0], 0);
    while source.read(&mut byte)? == 1 {
        let [byte] = byte;
        if byte == b'\n' {
            if header.get(line..).is_some_and(|line| line.starts_with(b"--- ")) {
                return String::from_utf8(header).map_err(|_| broken("its header is no text"));
            }
            line = header.len() + 1;
        }
        header.push(byte);
    }
    Err(broken("it has no header of age"))
}

impl<R: Read> Read for Decrypting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.taken == self.plain.len() {
            if self.is_over || buffer.is_empty() {
                return Ok(0);
            }
            self.next_chunk()?;
        }
        let left = self.plain.get(self.taken..).unwrap_or_default();
        let count = left.len().min(buffer.len());
        let (from, to) = (left.get(..count), buffer.get_mut(..count));
        if let (Some(from), Some(to)) = (from, to) {
            to.copy_from_slice(from);
        }
        self.taken += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use ingam_protocol::time::SeededRandom;

    use super::*;

    fn encrypted(plain: &[u8], recipient: Recipient, seed: u64) -> Vec<u8> {
        let mut writer = Encrypting::new(Vec::new(), recipient, &SeededRandom::new(seed)).unwrap();
        writer.write_all(plain).unwrap();
        writer.finish().unwrap()
    }

    fn decrypted(sealed: &[u8], identity: &Identity) -> io::Result<Vec<u8>> {
        let mut plain = Vec::new();
        Decrypting::new(sealed, identity)?.read_to_end(&mut plain)?;
        Ok(plain)
    }

    #[test]
    fn what_was_put_in_comes_out_at_every_length_around_a_chunk() {
        let identity = Identity::new(&SeededRandom::new(1));
        for length in [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES] {
            let plain: Vec<u8> = (0..=u8::MAX).cycle().take(length).collect();
            let sealed = encrypted(&plain, identity.recipient(), 2);
            assert_eq!(decrypted(&sealed, &identity).unwrap(), plain, "{length}");
            let other = Identity::new(&SeededRandom::new(3));
            assert!(decrypted(&sealed, &other).is_err());
        }
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_found() {
        let identity = Identity::new(&SeededRandom::new(1));
        let sealed = encrypted(b"what was put in", identity.recipient(), 2);
        for at in 0..sealed.len() {
            for bit in 0..8 {
                let mut changed = sealed.clone();
                changed[at] ^= 1 << bit;
                assert!(decrypted(&changed, &identity).is_err(), "{at}.{bit}");
            }
            assert!(decrypted(&sealed[..at], &identity).is_err(), "{at}");
        }
        // Whole chunks that are missing at the end, or change places.
        let long = encrypted(&vec![7; 3 * CHUNK_BYTES], identity.recipient(), 3);
        let chunk = CHUNK_BYTES + TAG_BYTES;
        assert!(decrypted(&long[..long.len() - chunk], &identity).is_err());
        let front = long.len() - 3 * chunk;
        let swapped = [
            &long[..front],
            &long[front + chunk..front + 2 * chunk],
            &long[front..front + chunk],
            &long[front + 2 * chunk..],
        ]
        .concat();
        assert!(decrypted(&swapped, &identity).is_err());
    }

    #[test]
    fn files_and_keys_of_another_implementation_are_read() {
        // Made with rage's library, in Python (pyrage).
        let identity = Identity::parse(include_str!("testdata/identity.txt")).unwrap();
        assert_eq!(identity.recipient().to_string(), include_str!("testdata/recipient.txt").trim());
        assert_eq!(Recipient::parse(include_str!("testdata/recipient.txt")).unwrap(), identity.recipient());
        let plain = decrypted(include_bytes!("testdata/sealed.age"), &identity).unwrap();
        assert_eq!(plain, b"a line that another program encrypted\n");
        assert_eq!(identity.expose().trim(), include_str!("testdata/identity.txt").lines().last().unwrap());
        assert!(Recipient::parse("age1qqqq").is_err());
        assert!(Identity::parse("# nothing").is_err());
    }
}
