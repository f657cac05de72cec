//! The seven days of the request log in a real state folder: a CA runs under a clock that is put forward, and addresses and a
//! user agent that nothing else has are planted in requests. At 6 days 23 hours their segment is there, and its key opens it;
//! at 7 days neither is, and nothing planted is in any file below the folder, in no form. The receipt stays.
//!
//! Debian's libfaketime moves the clock. Not a failure: that the segment goes in the last minute before.

mod search;
mod segments;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ingam_protocol::bytes::base64url;
use ingam_tests::certificate::Chain;
use ingam_tests::challenge::{Prover, WebAnswers};
use ingam_tests::client::{CertificateRequest, Client};
use ingam_tests::ocsp::{self, Hash};
use ingam_tests::server::{Server, Setup};
use serde_json::Value;
use tempfile::TempDir;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;
use tokio::time::{Instant, sleep};

use search::{Finding, Planted};
use segments::{KeySlot, open_segment};

const HOUR_S: u64 = 60 * 60;
const DAY_S: u64 = 24 * HOUR_S;
/// How long anything may take to be seen.
const WITHIN: Duration = Duration::from_secs(30);

/// A clock that processes see and that can be put forward while they run. At first it is ten minutes past an hour, so that what
/// is asked then is in one segment.
struct Clock {
    file: PathBuf,
    /// How far it was ahead of the real one at first.
    base_s: u64,
}

impl Clock {
    fn new(folder: &Path) -> Self {
        let base_s = HOUR_S - real_unix_s() % HOUR_S + 10 * 60;
        let clock = Self { file: folder.join("clock"), base_s };
        clock.put_forward(0);
        clock
    }

    /// From now on it is so many seconds ahead of what it would be; gives what it is.
    fn put_forward(&self, seconds: u64) -> u64 {
        let ahead = self.base_s + seconds;
        std::fs::write(&self.file, format!("+{ahead}\n")).expect("a writable folder");
        real_unix_s() + ahead
    }

    /// What makes a process see it. Times of files and the clock that never jumps stay what they are.
    fn environment(&self) -> Vec<(String, String)> {
        let library = std::fs::read_dir("/usr/lib").expect("a folder").find_map(|entry| {
            let path = entry.expect("a readable folder").path().join("faketime/libfaketimeMT.so.1");
            path.is_file().then_some(path)
        });
        let library = library.expect("Install libfaketime, on Debian with `apt-get install faketime`");
        [
            ("LD_PRELOAD", library.to_str().expect("UTF-8")),
            ("FAKETIME_TIMESTAMP_FILE", self.file.to_str().expect("UTF-8")),
            ("FAKETIME_CACHE_DURATION", "1"),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
            ("NO_FAKE_STAT", "1"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec()
    }
}

/// A CA that logs everything, with a proxy before its responder, and a certificate of it.
struct World {
    clock: Clock,
    server: Server,
    chain: Chain,
}

impl World {
    async fn begin() -> Self {
        let home = TempDir::new().expect("a folder");
        let clock = Clock::new(home.path());
        let further_config = "[request_log]\nmode = \"full\"\n[proxies]\ntrusted = [\"127.0.0.1\"]\n\
                              publication = \"x-forwarded-for\"\n";
        let setup = Setup {
            further_config: further_config.to_owned(),
            environment: clock.environment(),
            ..Setup::new()
        };
        let server = Server::start_in(home, setup).await;
        let mut client = Client::registered(&server.site()).await.expect("an account");
        let prover = Prover::Http(WebAnswers::listen(server.ports().http).await);
        let request = CertificateRequest::of(&["status.example.org"]);
        let issued = client.issue(&["status.example.org"], &request, &prover).await;
        Self { clock, server, chain: issued.expect("a certificate").1 }
    }

    /// Asks from this address of this machine, with further lines in the head; gives the head of the answer.
    async fn ask(&self, from: [u8; 4], further: &str) -> String {
        let request = ocsp::request_for(&self.chain, Hash::Sha1);
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind(SocketAddr::from((from, 0))).expect("all of 127/8 is this machine's");
        let place = SocketAddr::from(([127, 0, 0, 1], self.server.ports().publication));
        let mut stream = socket.connect(place).await.expect("the responder listens");
        let head = format!(
            "POST /ocsp HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{further}Content-Type: {}\r\n\
             Content-Length: {}\r\n\r\n",
            ocsp::REQUEST,
            request.len()
        );
        stream.write_all(&[head.as_bytes(), &request].concat()).await.expect("a request");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.expect("an answer");
        let end = answer.windows(4).position(|window| window == b"\r\n\r\n").expect("an HTTP answer");
        let head = String::from_utf8_lossy(&answer[..end]).into_owned();
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        assert_eq!(ocsp::status(&answer[end + 4..]), ocsp::Status::Good, "{head}");
        head
    }

    /// Puts the clock so far forward since the beginning, and waits until the CA sees it.
    async fn put_forward(&self, seconds: u64) {
        let expected = self.clock.put_forward(seconds);
        let begin = Instant::now();
        loop {
            let head = self.ask([127, 0, 0, 1], "").await;
            let date = head.lines().find_map(|line| line.strip_prefix("date: ")).expect("a date");
            let date = OffsetDateTime::parse(&date.replace("GMT", "+0000"), &Rfc2822).expect("a date");
            if u64::try_from(date.unix_timestamp()).expect("after 1970") + 1 >= expected {
                return;
            }
            assert!(begin.elapsed() < WITHIN, "the CA sees {date}, and not {seconds} seconds more");
            sleep(Duration::from_millis(50)).await;
        }
    }

    fn log(&self) -> PathBuf {
        self.server.state().join("request-log")
    }

    /// The keys of segments and holds that are there now.
    fn keys(&self) -> Vec<KeySlot> {
        segments::keys(&self.log().join("keys"))
    }

    async fn admin(&self, line: &[&str]) -> Value {
        let arguments = [&["--json"], line].concat();
        let finished = self.server.admin(&arguments).await.succeeded();
        serde_json::from_slice(&finished.stdout).expect("JSON")
    }

    /// Waits for the segment in which everything planted is, and gives its key.
    async fn segment(&self, planted: &Planted) -> KeySlot {
        let begin = Instant::now();
        loop {
            for slot in self.keys().into_iter().filter(|slot| slot.is_segment) {
                let contents = open_segment(&self.log().join(slot.file_name()), &slot);
                if planted.missing(&contents).is_empty() {
                    return slot;
                }
            }
            assert!(begin.elapsed() < WITHIN, "what was asked is not in one segment");
            sleep(Duration::from_millis(100)).await;
        }
    }

    /// Everything planted that is found in any file below the folder of the CA, its logs among them.
    fn found(&self, planted: &Planted) -> Vec<Finding> {
        let mut found = planted.found_below(self.server.home());
        // What the keys that are there open is no secret.
        for slot in self.keys() {
            let path = self.log().join(slot.file_name());
            found.extend(planted.found_in(&path, &open_segment(&path, &slot)));
        }
        found
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the clock of the process under test is set by that of the machine"
)]
fn real_unix_s() -> u64 {
    u64::try_from(OffsetDateTime::now_utc().unix_timestamp()).expect("after 1970")
}

#[tokio::test(flavor = "multi_thread")]
async fn at_six_days_and_23_hours_it_is_there_and_at_seven_days_nothing_is() {
    let mut world = World::begin().await;
    let planted = Planted::new();
    let agent = format!("User-Agent: {}\r\n", search::AGENT);
    world.ask(search::DIRECT, &agent).await;
    for client in [search::PROXIED_V4, search::PROXIED_V6] {
        world.ask([127, 0, 0, 1], &format!("{agent}X-Forwarded-For: {client}\r\n")).await;
    }
    let segment = world.segment(&planted).await;
    let file = world.log().join(segment.file_name());
    assert_eq!(planted.found_below(world.server.home()), [], "sealed at any time");

    world.put_forward(6 * DAY_S + 23 * HOUR_S).await;
    assert!(world.keys().contains(&segment), "its key is there");
    let contents = open_segment(&file, &segment);
    assert_eq!(planted.missing(&contents), Vec::<String>::new(), "the key opens it");
    let sealed = std::fs::read(&file).expect("its file is there");
    let hold = ["ocsp", "hold", "open", "--serial", &world.chain.serial_hex(), "--reason", "case 12"];
    let hold = world.admin(&hold).await["id"].as_str().expect("an id").to_owned();
    let held = world.admin(&["ocsp", "hold", "requests", &hold, "--reason", "case 12"]).await;
    for client in ["127.77.66.55", search::PROXIED_V4, search::PROXIED_V6] {
        let items = held["items"].as_array().expect("a list");
        assert!(items.iter().any(|item| item["from"] == client), "{client}: {held}");
    }
    world.admin(&["ocsp", "hold", "close", &hold, "--reason", "case 12 is over"]).await;

    world.put_forward(7 * DAY_S).await;
    let begin = Instant::now();
    while file.exists() || world.keys().iter().any(|slot| slot.id == segment.id) {
        assert!(begin.elapsed() < WITHIN, "seven days are over, and {} is there", file.display());
        sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(world.found(&planted), [], "seven days are over");
    // The journal is sealed: what is in it is asked for. No record of the CA has anything of what was planted.
    let search = ["log", "search", "--limit", "1000", "--reason", "the seven days are over"];
    let records = world.admin(&search).await.to_string();
    assert_eq!(planted.found_in(Path::new("the journal"), records.as_bytes()), []);
    let receipt =
        ["log", "search", "--type", "request_segment_destroyed", "--reason", "a look at the receipt"];
    let receipt = world.admin(&receipt).await.to_string();
    let segment_name = base64url(&segment.id);
    assert!(receipt.contains(&segment_name) && receipt.contains("ocsp_request_log"), "{receipt}");
    world.server.stop().await;
    assert_eq!(world.found(&planted), [], "nor does the end of the process leave any of it");
    let secrets = Planted::of([
        ("the key".to_owned(), segment.key.to_vec()),
        // The middle of the first frame, which no other has.
        ("the sealed segment".to_owned(), sealed[sealed.len() / 2..][..32].to_vec()),
    ]);
    assert_eq!(secrets.found_below(world.server.home()), []);
}
