//! What an outsider has: the Merkle tree of RFC 9162, signed notes, and a witness.

use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use ring::digest::{SHA256, digest};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use tokio::net::TcpListener;

pub type Hash = [u8; 32];

fn sha256(parts: &[&[u8]]) -> Hash {
    digest(&SHA256, &parts.concat()).as_ref().try_into().expect("32 bytes")
}

/// RFC 9162, section 2.1.1.
pub fn leaf_hash(leaf: &[u8]) -> Hash {
    sha256(&[&[0], leaf])
}

/// RFC 9162, section 2.1.1: the root over leaves.
pub fn root_of(leaves: &[Vec<u8>]) -> Hash {
    match leaves {
        [] => sha256(&[]),
        [leaf] => leaf_hash(leaf),
        many => {
            let half = many.len().next_power_of_two() / 2;
            let (left, right) = many.split_at(half);
            sha256(&[&[1], &root_of(left), &root_of(right)])
        }
    }
}

/// RFC 9162, section 2.1.4.2.
fn is_consistent(old: (u64, Hash), new: (u64, Hash), proof: &[Hash]) -> bool {
    if old.0 == 0 || old.0 == new.0 {
        return proof.is_empty() && (old.0 == 0 || old.1 == new.1);
    }
    let mut path = proof.to_vec();
    if old.0.is_power_of_two() {
        path.insert(0, old.1);
    }
    let Some((first, rest)) = path.split_first() else { return false };
    let (mut node, mut last) = (old.0 - 1, new.0 - 1);
    while node & 1 == 1 {
        (node, last) = (node >> 1, last >> 1);
    }
    let (mut of_old, mut of_new) = (*first, *first);
    for hash in rest {
        if last == 0 {
            return false;
        }
        if node & 1 == 1 || node == last {
            of_old = sha256(&[&[1], hash, &of_old]);
            of_new = sha256(&[&[1], hash, &of_new]);
            while node & 1 == 0 && node != 0 {
                (node, last) = (node >> 1, last >> 1);
            }
        } else {
            of_new = sha256(&[&[1], &of_new, hash]);
        }
        (node, last) = (node >> 1, last >> 1);
    }
    (of_old, of_new, last) == (old.1, new.1, 0)
}

/// A checkpoint's three lines.
pub struct Head {
    pub origin: String,
    pub size: u64,
    pub root: Hash,
}

impl Head {
    pub fn of(note: &str) -> Self {
        let lines: Vec<&str> = note.split('\n').collect();
        let root = STANDARD.decode(lines[2]).expect("base64");
        Self {
            origin: lines[0].to_owned(),
            size: lines[1].parse().expect("a size"),
            root: root.try_into().expect("a hash"),
        }
    }
}

/// The text that is signed, and the lines of signatures.
fn parts(note: &str) -> (&str, &str) {
    let at = note.rfind("\n\n").expect("a blank line");
    (&note[..=at], &note[at + 2..])
}

/// The signature below a note by a key of this name and id.
fn signature(note: &str, name: &str, id: &[u8]) -> Option<Vec<u8>> {
    parts(note).1.lines().find_map(|line| {
        let encoded = line.strip_prefix(&format!("\u{2014} {name} "))?;
        STANDARD.decode(encoded).expect("base64").strip_prefix(id).map(<[u8]>::to_vec)
    })
}

fn key_id(name: &str, kind: u8, public: &[u8]) -> Vec<u8> {
    sha256(&[name.as_bytes(), b"\n", &[kind], public])[..4].to_vec()
}

/// Verifies a log's signature by its key as it is written down.
pub fn verify_log_signature(key: &str, note: &str) {
    assert!(is_signed_by_log(key, note), "{key} has not signed {note}");
}

fn is_signed_by_log(key: &str, note: &str) -> bool {
    let [name, id, encoded] = key.splitn(3, '+').collect::<Vec<_>>()[..] else { panic!("{key} is no key") };
    let public = STANDARD.decode(encoded).expect("base64");
    assert_eq!(public[0], 1, "Ed25519");
    let expected = key_id(name, 1, &public[1..]);
    assert_eq!(id, expected.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
    let Some(signature) = signature(note, name, &expected) else { return false };
    UnparsedPublicKey::new(&ED25519, &public[1..]).verify(parts(note).0.as_bytes(), &signature).is_ok()
}

/// Whether a note has a true cosignature of this one.
pub fn cosigned(by: &Cosigner, note: &str) -> bool {
    let Some(bytes) = signature(note, &by.name, &by.id()) else { return false };
    let (time, signature) = bytes.split_first_chunk().expect("a time");
    let text = format!("cosignature/v1\ntime {}\n{}", u64::from_be_bytes(*time), parts(note).0);
    UnparsedPublicKey::new(&ED25519, by.public()).verify(text.as_bytes(), signature).is_ok()
}

/// Who cosigns.
#[derive(Clone)]
pub struct Cosigner {
    name: String,
    pair: Arc<Ed25519KeyPair>,
}

impl Cosigner {
    pub fn new(name: &str) -> Self {
        let seed = sha256(&[name.as_bytes()]);
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).expect("a seed");
        Self { name: name.to_owned(), pair: Arc::new(pair) }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    fn public(&self) -> Vec<u8> {
        self.pair.public_key().as_ref().to_vec()
    }

    fn id(&self) -> Vec<u8> {
        key_id(&self.name, 4, &self.public())
    }

    fn written(&self, kind: u8) -> String {
        let id = key_id(&self.name, kind, &self.public());
        let id: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{}+{id}+{}", self.name, STANDARD.encode([&[kind][..], &self.public()].concat()))
    }

    /// The verifier key.
    pub fn key(&self) -> String {
        self.written(4)
    }

    /// The same as if it were a log's.
    pub fn key_as_log(&self) -> String {
        self.written(1)
    }

    /// A line below this note. Nobody asks when it was made.
    fn line(&self, note: &str) -> String {
        let now = 1_795_255_200_u64;
        let text = format!("cosignature/v1\ntime {now}\n{}", parts(note).0);
        let signature = self.pair.sign(text.as_bytes());
        let bytes = [&self.id()[..], &now.to_be_bytes(), signature.as_ref()].concat();
        format!("\u{2014} {} {}\n", self.name, STANDARD.encode(bytes))
    }

    /// The note as the log signed it, with this one's line alone below.
    pub fn cosign(&self, note: &str) -> String {
        let (text, lines) = parts(note);
        let log = lines.lines().next().expect("the log's line");
        format!("{text}\n{log}\n{}", self.line(note))
    }
}

/// A witness over HTTP (c2sp.org/tlog-witness). It knows no log before it is told.
pub struct Witness {
    state: Arc<State>,
    port: u16,
}

struct State {
    cosigner: Cosigner,
    log_key: Mutex<Option<String>>,
    known: Mutex<(u64, Hash)>,
    proofs: AtomicUsize,
}

impl Witness {
    pub async fn listen(cosigner: Cosigner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port on loopback");
        let port = listener.local_addr().expect("an address").port();
        let state = Arc::new(State {
            cosigner,
            log_key: Mutex::new(None),
            known: Mutex::new((0, [0; 32])),
            proofs: AtomicUsize::new(0),
        });
        let serving = state.clone();
        tokio::spawn(async move {
            loop {
                let Ok((socket, _)) = listener.accept().await else { continue };
                let state = serving.clone();
                let service = service_fn(move |request: Request<Incoming>| {
                    let state = state.clone();
                    async move {
                        let path = request.uri().path().to_owned();
                        let body = request.into_body().collect().await.expect("a body").to_bytes();
                        let (status, text) = state.answer(&path, &String::from_utf8_lossy(&body));
                        let answer = Response::builder().status(status).body(Full::new(Bytes::from(text)));
                        Ok::<_, Infallible>(answer.expect("an answer"))
                    }
                });
                tokio::spawn(async move {
                    drop(http1::Builder::new().serve_connection(TokioIo::new(socket), service).await)
                });
            }
        });
        Self { state, port }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/witness", self.port)
    }

    /// Lets it know the log.
    pub fn knows(&self, log_key: &str) {
        *self.state.log_key.lock().expect("no panic") = Some(log_key.to_owned());
    }

    /// How many proofs between two trees it has seen.
    pub fn proofs_seen(&self) -> usize {
        self.state.proofs.load(Ordering::SeqCst)
    }
}

impl State {
    fn answer(&self, path: &str, body: &str) -> (u16, String) {
        assert_eq!(path, "/witness/add-checkpoint");
        let (head, note) = body.split_once("\n\n").expect("a blank line");
        let mut lines = head.split('\n');
        let old = lines.next().and_then(|line| line.strip_prefix("old ")).expect("an old size");
        let old: u64 = old.parse().expect("a size");
        let hash =
            |line: &str| -> Hash { STANDARD.decode(line).expect("base64").try_into().expect("a hash") };
        let proof: Vec<Hash> = lines.map(hash).collect();
        let Some(log_key) = self.log_key.lock().expect("no panic").clone() else {
            return (404, "unknown origin\n".to_owned());
        };
        if !is_signed_by_log(&log_key, note) {
            return (403, "no signature\n".to_owned());
        }
        let head = Head::of(note);
        let mut known = self.known.lock().expect("no panic");
        if old != known.0 {
            return (409, format!("{}\n", known.0));
        }
        if !is_consistent(*known, (head.size, head.root), &proof) {
            return (422, "no proof\n".to_owned());
        }
        if known.0 > 0 && head.size > known.0 {
            self.proofs.fetch_add(1, Ordering::SeqCst);
        }
        *known = (head.size, head.root);
        (200, self.cosigner.line(note))
    }
}
