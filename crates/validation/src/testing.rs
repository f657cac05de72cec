//! A small world of hostile and friendly servers on loopback, for this crate's tests.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hickory_proto::op::{Message, MessageType, Metadata, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, CAA, CNAME, NS, SOA, TXT};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use ingam_protocol::acme::ChallengeType;
use ingam_protocol::identifier::{DnsName, Host};
use ingam_protocol::time::FixedClock;
use ingam_protocol::{Clock, Timestamp};
use rustls_pki_types::PrivatePkcs8KeyDer;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::config::Dnssec;
use crate::{AddressPolicy, Attempt, CaaQuery, Config, LocalPerspective};

pub(crate) const TOKEN: &str = "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA";

pub(crate) const KEY_AUTHORIZATION: &str =
    "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA.9jg46WB3rR_AHD-EBXdN7cBkH1WOu0tA3M9fm21mqTI";

pub(crate) const ACCOUNT: &str = "https://ca.example/account/1";

pub(crate) const ACCOUNT_HASH_PREFIX: &str = "https://ca.example/account-hash/";

/// Of the account's key: the second half of [`KEY_AUTHORIZATION`].
pub(crate) const THUMBPRINT: &str = "9jg46WB3rR_AHD-EBXdN7cBkH1WOu0tA3M9fm21mqTI";

pub(crate) fn name(text: &str) -> DnsName {
    DnsName::parse(text).unwrap()
}

pub(crate) fn attempt(text: &str, challenge: ChallengeType) -> Attempt {
    Attempt {
        host: name(text).into(),
        beyond_the_name: false,
        challenge,
        token: TOKEN.into(),
        key_authorization: KEY_AUTHORIZATION.into(),
        account_uri: ACCOUNT.into(),
        account_hash_prefix: ACCOUNT_HASH_PREFIX.into(),
        thumbprints: vec![THUMBPRINT.into()],
    }
}

/// The same for an address.
pub(crate) fn attempt_address(text: &str, challenge: ChallengeType) -> Attempt {
    Attempt { host: Host::Address(text.parse().unwrap()), ..attempt("unused.example", challenge) }
}

pub(crate) fn query(text: &str, wildcard: bool) -> CaaQuery {
    CaaQuery { name: name(text), wildcard, challenge: ChallengeType::Http01, account_uri: ACCOUNT.into() }
}

pub(crate) fn clock() -> Arc<dyn Clock> {
    Arc::new(FixedClock::new(Timestamp::from_unix_s(1_795_255_200)))
}

/// What the DNS server does with a question.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    Code(ResponseCode),
    /// No answer at all.
    Silence,
    /// The truncation bit, over TCP too.
    Truncated,
    /// The name servers of somebody else, and no start of authority.
    Referral,
    /// Bytes that are no DNS message.
    Garbage,
    /// A record of another name.
    OtherName,
    /// Names in lower case, whatever was asked.
    LowerCase,
    /// An alias, and nothing about its target.
    AliasAlone(&'static str),
}

#[derive(Debug, Default)]
struct Zone {
    records: HashMap<String, Vec<RData>>,
    replies: HashMap<(String, Option<RecordType>), Reply>,
    asked: Vec<(String, RecordType)>,
}

/// A DNS server that knows what it was told and denies everything else.
#[derive(Clone, Debug)]
pub(crate) struct World {
    zone: Arc<Mutex<Zone>>,
    address: SocketAddr,
}

impl World {
    pub(crate) async fn new() -> Self {
        let (udp, tcp) = loop {
            let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            // The same port may be taken over TCP; then another one is tried.
            if let Ok(tcp) = TcpListener::bind(udp.local_addr().unwrap()).await {
                break (udp, tcp);
            }
        };
        let world = Self { zone: Arc::default(), address: udp.local_addr().unwrap() };
        let zone = Arc::clone(&world.zone);
        tokio::spawn(async move {
            let mut buffer = [0; 4096];
            while let Ok((length, from)) = udp.recv_from(&mut buffer).await {
                if let Some(answer) = answer(&zone, &buffer[..length], 1232) {
                    udp.send_to(&answer, from).await.unwrap();
                }
            }
        });
        let zone = Arc::clone(&world.zone);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = tcp.accept().await {
                let zone = Arc::clone(&zone);
                tokio::spawn(async move {
                    while let Ok(length) = stream.read_u16().await {
                        let mut request = vec![0; usize::from(length)];
                        stream.read_exact(&mut request).await.unwrap();
                        let Some(answer) = answer(&zone, &request, usize::from(u16::MAX)) else { continue };
                        stream.write_u16(u16::try_from(answer.len()).unwrap()).await.unwrap();
                        stream.write_all(&answer).await.unwrap();
                    }
                });
            }
        });
        world
    }

    pub(crate) fn add(&self, name: &str, data: RData) -> &Self {
        self.zone.lock().unwrap().records.entry(name.to_ascii_lowercase()).or_default().push(data);
        self
    }

    pub(crate) fn a(&self, name: &str, address: &str) -> &Self {
        self.add(name, RData::A(A(address.parse().unwrap())))
    }

    pub(crate) fn aaaa(&self, name: &str, address: &str) -> &Self {
        self.add(name, RData::AAAA(AAAA(address.parse().unwrap())))
    }

    pub(crate) fn txt(&self, name: &str, value: &[u8]) -> &Self {
        // An empty value is one empty character-string.
        let strings = if value.is_empty() { vec![value] } else { value.chunks(255).collect() };
        self.add(name, RData::TXT(TXT::from_bytes(strings)))
    }

    pub(crate) fn cname(&self, name: &str, target: &str) -> &Self {
        self.add(name, RData::CNAME(CNAME(Name::from_ascii(format!("{target}.")).unwrap())))
    }

    pub(crate) fn caa(&self, name: &str, flags: u8, tag: &str, value: &str) -> &Self {
        self.add(name, caa(flags, tag, value))
    }

    /// From now on questions about `name` (of one type, or of all) are answered so.
    pub(crate) fn reply(
        &self,
        name: &str,
        record_type: impl Into<Option<RecordType>>,
        reply: Reply,
    ) -> &Self {
        self.zone.lock().unwrap().replies.insert((name.to_owned(), record_type.into()), reply);
        self
    }

    /// How often the name was asked for, with any type.
    pub(crate) fn asked(&self, name: &str) -> usize {
        self.zone.lock().unwrap().asked.iter().filter(|(asked, _)| asked == name).count()
    }

    /// What it answers to a request, for servers of other kinds.
    pub(crate) fn respond(&self, request: &[u8]) -> Option<Vec<u8>> {
        answer(&self.zone, request, usize::from(u16::MAX))
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Loopback allowed, generous times, one CAA domain, and ports where nothing listens.
    pub(crate) fn config(&self) -> Config {
        Config {
            resolvers: vec![self.address.into()],
            dnssec: Dnssec::Off,
            http_port: 1,
            https_port: 1,
            tls_alpn_port: 1,
            addresses: AddressPolicy::AllowLoopback,
            caa_issuer_domains: vec!["ca.example".into()],
            ..Config::default()
        }
    }

    pub(crate) fn perspective(&self, change: impl FnOnce(&mut Config)) -> LocalPerspective {
        let mut config = self.config();
        change(&mut config);
        LocalPerspective::new(config, clock()).unwrap()
    }
}

pub(crate) fn caa(flags: u8, tag: &str, value: &str) -> RData {
    let mut record = CAA::new_issue(flags & 0x80 != 0, None, Vec::new());
    record.reserved_flags = flags & 0x7f;
    record.tag = tag.into();
    record.value = value.into();
    RData::CAA(record)
}

fn answer(zone: &Mutex<Zone>, request: &[u8], room: usize) -> Option<Vec<u8>> {
    let request = Message::from_vec(request).ok()?;
    let query = request.queries.first()?.clone();
    let mut owner = query.name().to_ascii().to_ascii_lowercase();
    owner.pop();
    let mut zone = zone.lock().unwrap();
    zone.asked.push((owner.clone(), query.query_type()));
    let mut response = Message::new(request.metadata.id, MessageType::Response, request.metadata.op_code);
    response.metadata = Metadata::response_from_request(&request.metadata);
    response.metadata.recursion_available = true;
    response.add_query(query.clone());
    let special = zone.replies.get(&(owner.clone(), Some(query.query_type())));
    match special.or_else(|| zone.replies.get(&(owner.clone(), None))) {
        Some(Reply::Silence) => return None,
        Some(Reply::Garbage) => return Some(b"this is not a DNS message".to_vec()),
        Some(Reply::Code(code)) => {
            response.metadata.response_code = *code;
            return response.to_vec().ok();
        }
        Some(Reply::Truncated) => {
            response.metadata.truncation = true;
            return response.to_vec().ok();
        }
        Some(Reply::Referral) => {
            response
                .add_authority(record("example", RData::NS(NS(Name::from_ascii("ns.example.").unwrap()))));
            return response.to_vec().ok();
        }
        Some(Reply::OtherName) => {
            response.add_answer(record("other.example", RData::A(A(Ipv4Addr::LOCALHOST))));
            return response.to_vec().ok();
        }
        Some(Reply::AliasAlone(target)) => {
            let target = CNAME(Name::from_ascii(format!("{target}.")).unwrap());
            response.add_answer(record(&owner, RData::CNAME(target)));
            return response.to_vec().ok();
        }
        Some(Reply::LowerCase) => {
            response.queries[0].set_name(query.name().to_lowercase());
        }
        None => {}
    }
    fill(&zone, &owner, query.query_type(), &mut response);
    let bytes = response.to_vec().unwrap();
    if bytes.len() <= room {
        return Some(bytes);
    }
    response.answers.clear();
    response.metadata.truncation = true;
    response.to_vec().ok()
}

fn fill(zone: &Zone, owner: &str, record_type: RecordType, response: &mut Message) {
    let mut owner = owner.to_owned();
    for _ in 0..20 {
        let Some(records) = zone.records.get(&owner) else {
            response.metadata.response_code = ResponseCode::NXDomain;
            break;
        };
        let alias =
            records.iter().find_map(|data| if let RData::CNAME(CNAME(to)) = data { Some(to) } else { None });
        if let Some(target) = alias {
            response.add_answer(record(&owner, RData::CNAME(CNAME(target.clone()))));
            owner = target.to_ascii().trim_end_matches('.').to_owned();
            continue;
        }
        let found: Vec<Record> = records
            .iter()
            .filter(|data| data.record_type() == record_type)
            .map(|data| record(&owner, data.clone()))
            .collect();
        if !found.is_empty() {
            response.add_answers(found);
            return;
        }
        break;
    }
    let root = Name::from_ascii("ns.example.").unwrap();
    response.add_authority(record("example", RData::SOA(SOA::new(root.clone(), root, 1, 60, 60, 60, 0))));
}

fn record(owner: &str, data: RData) -> Record {
    Record::from_rdata(Name::from_ascii(format!("{owner}.")).unwrap(), 0, data)
}

/// What a raw server does after it read a request's head.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// Writes the bytes and closes.
    Say(Vec<u8>),
    /// Writes the bytes and never closes.
    SayAndStay(Vec<u8>),
    /// Writes the bytes, one after each pause.
    Drip(Vec<u8>, Duration),
    /// Writes the first bytes, then the second ones without end.
    Flood(Vec<u8>, Vec<u8>),
}

impl Act {
    /// A whole answer.
    pub(crate) fn answer(status: &str, headers: &str, body: &str) -> Self {
        Self::Say(
            format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n{headers}\r\n{body}", body.len())
                .into_bytes(),
        )
    }

    pub(crate) fn redirect(location: &str) -> Self {
        Self::answer("302 Found", &format!("Location: {location}\r\n"), "")
    }

    pub(crate) async fn play<S>(self, stream: &mut S)
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    {
        // The other side may hang up at any time; that is its right.
        match self {
            Self::Say(bytes) => {
                let _ = stream.write_all(&bytes).await;
                let _ = stream.shutdown().await;
            }
            Self::SayAndStay(bytes) => {
                let _ = stream.write_all(&bytes).await;
                let _ = stream.flush().await;
                std::future::pending::<()>().await;
            }
            Self::Drip(bytes, pause) => {
                for byte in bytes {
                    if stream.write_all(&[byte]).await.is_err() {
                        return;
                    }
                    tokio::time::sleep(pause).await;
                }
            }
            Self::Flood(first, then) => {
                let _ = stream.write_all(&first).await;
                while stream.write_all(&then).await.is_ok() {}
            }
        }
    }
}

/// Reads up to the empty line that ends a request's head.
pub(crate) async fn read_head<S: tokio::io::AsyncRead + Unpin>(stream: &mut S) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8_lossy(&head).into_owned()
}

/// A plain HTTP server on `address` (port 0 for any); gives its port. `act` decides by the request's head.
pub(crate) async fn http_server(
    address: &str,
    act: impl Fn(&str) -> Act + Send + Sync + 'static,
) -> (u16, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind(address).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let heads = Arc::new(Mutex::new(Vec::new()));
    let (act, seen) = (Arc::new(act), Arc::clone(&heads));
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (act, seen) = (Arc::clone(&act), Arc::clone(&seen));
            tokio::spawn(async move {
                let head = read_head(&mut stream).await;
                seen.lock().unwrap().push(head.clone());
                act(&head).play(&mut stream).await;
            });
        }
    });
    (port, heads)
}

/// A server that does something with each connection; gives its port.
pub(crate) async fn raw_server<F>(serve: impl Fn(TcpStream) -> F + Send + Sync + 'static) -> u16
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
    port
}

/// A TLS server for `name` that does something with each connection; gives its port. Its certificate is its own, and long
/// over: nobody may look at it.
pub(crate) async fn tls_server<F>(
    name: &str,
    serve: impl Fn(TlsStream<TcpStream>) -> F + Clone + Send + Sync + 'static,
) -> u16
where
    F: Future<Output = ()> + Send + 'static,
{
    let mut params = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.not_after = rcgen::date_time_ymd(2001, 1, 1);
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap().der().clone();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], PrivatePkcs8KeyDer::from(key.serialize_der()).into())
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    raw_server(move |stream| {
        let (acceptor, serve) = (acceptor.clone(), serve.clone());
        async move {
            // What the client does with the handshake is its own matter.
            if let Ok(stream) = acceptor.accept(stream).await {
                serve(stream).await;
            }
        }
    })
    .await
}
