//! The whole program as a responder without keys: `ingam serve --role responder` over answers in great numbers.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ingam_protocol::ocsp::lone_cert_id;
use tempfile::TempDir;

use crate::ocsp::By;
use crate::ocsp::target::{Target, http_request, one_answer, whole};

/// Such a responder.
pub struct Tables {
    name: String,
    process: Child,
    address: SocketAddr,
    /// DER of requests for certificates by chance.
    questions: Vec<Vec<u8>>,
    answer_bytes: usize,
    _folder: TempDir,
}

impl Drop for Tables {
    fn drop(&mut self) {
        let pid = i32::try_from(self.process.id()).ok().and_then(rustix::process::Pid::from_raw);
        if let Some(pid) = pid {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let _ = self.process.wait();
    }
}

impl Tables {
    /// Starts it over what crates/responder/examples/synthetic.rs has written into a folder, and says how long that took.
    pub fn start(answers: &Path, threads: usize) -> Self {
        let program = std::env::current_exe().expect("this program").with_file_name("ingam");
        let folder = tempfile::tempdir().expect("a folder");
        let port =
            || TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a free port");
        let (address, metrics) = (port(), port());
        let below =
            |name: &str| answers.join(name).canonicalize().expect("answers are there").display().to_string();
        let state = below("state");
        let config = format!(
            "environment = \"development\"\nstate = {state:?}\n[listen]\npublication = [\"{address}\"]\nmetrics = [\"{metrics}\"]\n\
             [limits]\nconnections_max = 16000\n[answers]\nfolder = {:?}\nkey = {:?}\n[responder]\nthreads = {threads}\n",
            below("state/answers"),
            below("answers.pub"),
        );
        let file = folder.path().join("responder.toml");
        fs::write(&file, config).expect("a file");
        let begun = Instant::now();
        let mut process = Command::new(&program)
            .args(["serve", "--role", "responder", "--config"])
            .arg(&file)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{} cannot be started: {error}", program.display()));
        let mut lines = BufReader::new(process.stdout.take().expect("a pipe")).lines();
        while lines.next().expect("it says `ready`").expect("a line") != "ready" {}
        let count = answers.file_name().unwrap_or_default().to_string_lossy().into_owned();
        println!("{count} certificates: ready after {:.1} s", begun.elapsed().as_secs_f64());
        let questions = fs::read_to_string(answers.join("questions")).expect("questions");
        let questions: Vec<_> =
            questions.lines().map(|line| STANDARD.decode(line).expect("base64")).collect();
        let mut this = Self {
            name: format!("ingam, {count}"),
            process,
            address,
            questions,
            answer_bytes: 0,
            _folder: folder,
        };
        let mut stream = TcpStream::connect(address).expect("the responder listens");
        stream.write_all(&this.request(By::Get, 0)).expect("a request is taken");
        this.answer_bytes = one_answer(&mut BufReader::new(stream)).len();
        this
    }

    pub fn answer_bytes(&self) -> usize {
        self.answer_bytes
    }
}

impl Target for Tables {
    fn name(&self) -> &str {
        &self.name
    }

    fn address(&self) -> SocketAddr {
        self.address
    }

    fn pid(&self) -> u32 {
        self.process.id()
    }

    fn count(&self) -> u32 {
        u32::try_from(self.questions.len()).expect("as many as there are")
    }

    fn request(&self, by: By, number: u32) -> Vec<u8> {
        http_request(by, "/ocsp", &self.questions[number as usize])
    }

    /// Whether it is an answer about the certificate that was asked for; its signature is chance.
    fn judge(&self, number: u32, bytes: &[u8]) -> Option<(usize, bool)> {
        let body = whole(bytes)?;
        let asked = lone_cert_id(&self.questions[number as usize]).expect("a request for one certificate");
        Some((body.len(), memchr::memmem::find(body, asked).is_some()))
    }
}
