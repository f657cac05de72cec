//! The servers that are asked.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ingam_protocol::Serial;
use ingam_protocol::ocsp::{AskedIssuer, HashAlgorithm, encode_cert_id, encode_request};
use tempfile::TempDir;

use crate::ocsp::By;

/// A server.
pub trait Target {
    fn name(&self) -> &str;
    fn address(&self) -> SocketAddr;
    /// Its first process; the others are children of this one.
    fn pid(&self) -> u32;
    /// How many different requests there are.
    fn count(&self) -> u32;
    fn request(&self, by: By, number: u32) -> Vec<u8>;
    /// How long the body is that `bytes` begin with, and whether it is the answer; `None` if it is not all there yet.
    fn judge(&self, number: u32, bytes: &[u8]) -> Option<(usize, bool)>;
}

/// Our responder.
pub struct Responding {
    name: &'static str,
    process: Child,
    address: SocketAddr,
    answers: Vec<Vec<u8>>,
}

impl Drop for Responding {
    fn drop(&mut self) {
        // Without its standard input, it ends by itself.
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}

impl Responding {
    /// Starts it and asks for every certificate once.
    pub fn start(mode: &'static str, threads: usize, certificates: u32) -> Self {
        let program = std::env::current_exe().expect("this program").with_file_name("examples").join("serve");
        let bytes = u64::from(certificates) * 4_000 + (1 << 24);
        let mut process = Command::new(&program)
            .args([&threads.to_string(), &bytes.to_string(), mode])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{} cannot be started: {error}", program.display()));
        let mut line = String::new();
        let output = process.stdout.take().expect("a pipe");
        BufReader::new(output).read_line(&mut line).expect("its address");
        let address = line.trim().parse().expect("an address");
        let name = if mode == "hyper" { "hyper" } else { "ingam" };
        let mut this = Self { name, process, address, answers: Vec::new() };
        this.answers =
            (0..certificates).collect::<Vec<_>>().chunks(64).flat_map(|some| this.ask(some)).collect();
        this
    }

    /// Asks for some certificates over one connection.
    fn ask(&self, numbers: &[u32]) -> Vec<Vec<u8>> {
        let mut stream = TcpStream::connect(self.address).expect("the responder listens");
        let requests: Vec<u8> = numbers.iter().flat_map(|number| self.request(By::Get, *number)).collect();
        stream.write_all(&requests).expect("requests are taken");
        let mut reader = BufReader::new(stream);
        numbers.iter().map(|_| one_answer(&mut reader)).collect()
    }

    pub fn answer_bytes(&self) -> usize {
        self.answers.first().map_or(0, Vec::len)
    }
}

pub fn one_answer(reader: &mut impl BufRead) -> Vec<u8> {
    let mut length = None;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).expect("an answer");
        if let Some(value) = line.strip_prefix("content-length: ") {
            length = value.trim().parse().ok();
        }
        if line == "\r\n" {
            break;
        }
    }
    let mut body = vec![0; length.expect("a length")];
    reader.read_exact(&mut body).expect("a body");
    assert!(body.len() > 100, "an answer about a certificate: {body:02x?}");
    body
}

impl Target for Responding {
    fn name(&self) -> &str {
        self.name
    }

    fn address(&self) -> SocketAddr {
        self.address
    }

    fn pid(&self) -> u32 {
        self.process.id()
    }

    fn count(&self) -> u32 {
        u32::try_from(self.answers.len()).expect("as many as were asked for")
    }

    fn request(&self, by: By, number: u32) -> Vec<u8> {
        http_request(by, "/ocsp", &ocsp_request(number, None))
    }

    fn judge(&self, number: u32, bytes: &[u8]) -> Option<(usize, bool)> {
        let answer = &self.answers[number as usize];
        bytes.get(..answer.len()).map(|told| (answer.len(), told == answer))
    }
}

/// The request as HTTP has it.
pub fn http_request(by: By, path: &str, der: &[u8]) -> Vec<u8> {
    let get = || format!("GET {path}/{}", STANDARD.encode(der));
    match by {
        By::Get => format!("{} HTTP/1.1\r\nHost: localhost\r\n\r\n", get()).into_bytes(),
        By::LoneGet => {
            format!("{} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", get()).into_bytes()
        }
        By::OldGet => {
            format!("{} HTTP/1.0\r\nHost: localhost\r\nConnection: close\r\n\r\n", get()).into_bytes()
        }
        By::Post => {
            let kind = "application/ocsp-request";
            let head = format!(
                "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n",
                der.len()
            );
            [head.as_bytes(), der].concat()
        }
    }
}

/// DER of a request for a certificate of the responder's one issuer.
pub fn ocsp_request(number: u32, nonce: Option<&[u8]>) -> Vec<u8> {
    let issuer = AskedIssuer { subject: b"issuer", public_key: b"issuer" };
    let serial =
        Serial::from_be_bytes(&[&[0x40; 14][..], &number.to_be_bytes()].concat()).expect("a serial number");
    encode_request(&encode_cert_id(HashAlgorithm::Sha1, issuer, &serial), nonce)
}

/// nginx with one static file.
pub struct Nginx {
    process: Child,
    address: SocketAddr,
    body: Vec<u8>,
    folder: TempDir,
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let mut stop = Command::new("nginx");
        stop.arg("-c").arg(self.folder.path().join("nginx.conf")).args(["-s", "stop"]).stderr(Stdio::null());
        let _ = stop.status();
        let _ = self.process.wait();
    }
}

impl Nginx {
    /// Starts it with a file of so many bytes.
    pub fn start(threads: usize, bytes: usize) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let body: Vec<u8> = (0..bytes).map(|at| u8::try_from(at % 251).unwrap_or_default()).collect();
        std::fs::write(folder.path().join("a"), &body).expect("a file");
        let address =
            TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a free port");
        let path = folder.path().display();
        let config = format!(
            "daemon off; worker_processes {threads}; worker_rlimit_nofile 20000; pid {path}/pid; error_log {path}/error crit;\n\
             events {{ worker_connections 16000; use epoll; }}\n\
             http {{ access_log off; sendfile off; tcp_nodelay on; server_tokens off; reset_timedout_connection off;\n\
             keepalive_requests 1000000000; keepalive_timeout 600s; default_type application/ocsp-response;\n\
             open_file_cache max=100 inactive=1h; open_file_cache_valid 1h;\n\
             client_body_temp_path {path}/b; proxy_temp_path {path}/p; fastcgi_temp_path {path}/f;\n\
             uwsgi_temp_path {path}/u; scgi_temp_path {path}/s;\n\
             server {{ listen {address} reuseport backlog=4096; root {path}; }} }}\n"
        );
        std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .expect("a mode");
        let file = folder.path().join("nginx.conf");
        std::fs::write(&file, config).expect("a file");
        let process =
            Command::new("nginx").arg("-c").arg(&file).spawn().expect("nginx: apt-get install nginx-light");
        let this = Self { process, address, body, folder };
        for _ in 0..1000 {
            if TcpStream::connect(address).is_ok() {
                return this;
            }
            // Nothing tells when it listens.
            std::thread::park_timeout(Duration::from_millis(10));
        }
        panic!("nginx does not listen");
    }
}

impl Target for Nginx {
    fn name(&self) -> &str {
        "nginx"
    }

    fn address(&self) -> SocketAddr {
        self.address
    }

    fn pid(&self) -> u32 {
        self.process.id()
    }

    fn count(&self) -> u32 {
        1
    }

    /// It serves no POST: what it does for a GET is the measure of both.
    fn request(&self, by: By, _: u32) -> Vec<u8> {
        let (version, end) = match by {
            By::Get | By::Post => ("1.1", ""),
            By::LoneGet => ("1.1", "Connection: close\r\n"),
            By::OldGet => ("1.0", "Connection: close\r\n"),
        };
        format!("GET /a HTTP/{version}\r\nHost: localhost\r\n{end}\r\n").into_bytes()
    }

    fn judge(&self, _: u32, bytes: &[u8]) -> Option<(usize, bool)> {
        bytes.get(..self.body.len()).map(|told| (self.body.len(), told == self.body))
    }
}

/// Our responder, asked with nonces, so that it signs for each request.
pub struct Live(pub Responding);

impl Target for Live {
    fn name(&self) -> &str {
        "ingam"
    }

    fn address(&self) -> SocketAddr {
        self.0.address
    }

    fn pid(&self) -> u32 {
        self.0.pid()
    }

    fn count(&self) -> u32 {
        50_000
    }

    fn request(&self, by: By, number: u32) -> Vec<u8> {
        http_request(by, "/ocsp", &ocsp_request(number, Some(&nonce(number))))
    }

    /// Whether it is an answer with this nonce; its signature is not verified here.
    fn judge(&self, number: u32, bytes: &[u8]) -> Option<(usize, bool)> {
        let body = whole(bytes)?;
        Some((body.len(), memchr::memmem::find(body, &nonce(number)).is_some()))
    }
}

/// The DER of the answer that `bytes` begin with, once it is all there.
pub fn whole(bytes: &[u8]) -> Option<&[u8]> {
    let length = match bytes {
        [0x30, 0x82, high, low, ..] => 4 + usize::from(u16::from_be_bytes([*high, *low])),
        [0x30, low, ..] => 2 + usize::from(*low),
        _ => return None,
    };
    bytes.get(..length)
}

fn nonce(number: u32) -> [u8; 16] {
    let mut nonce = [0x5a; 16];
    nonce[..4].copy_from_slice(&number.to_be_bytes());
    nonce
}

/// How many files this process may have open.
pub fn open_files_max() -> u64 {
    rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(u64::MAX)
}
