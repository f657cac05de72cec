//! Perspectives as processes of their own: `ingam serve --role perspective`, each with another view of the DNS, and the CA that
//! asks them.

use std::fmt::Write;
use std::fs::File;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

use crate::names::Names;
use crate::operator::{ClientCa, Person};
use crate::ports;
use crate::server::{Ports, Server, Setup, binary};

/// How long a start may take.
const READY_WITHIN: Duration = Duration::from_secs(30);

/// The registries' regions, one for each of five places.
pub const FIVE_REGIONS: [&str; 5] = ["APNIC", "RIPE NCC", "ARIN", "LACNIC", "AFRINIC"];

/// How long the CA waits for a perspective where none hangs, in milliseconds.
pub const PATIENT_MS: u64 = 25_000;

/// A perspective as the CA's file has it.
pub struct Asked {
    /// Its name.
    pub name: String,
    /// Where it is asked.
    pub url: String,
    /// The registry in whose region it lies.
    pub region: &'static str,
}

/// A perspective that runs. It is killed when this is dropped.
pub struct Place {
    /// Its name.
    pub name: String,
    /// What it sees of the DNS.
    pub names: Names,
    /// Where it is asked.
    pub port: u16,
    /// Where it is watched.
    pub metrics: u16,
    child: Option<Child>,
}

impl Place {
    /// Starts one in this folder, for holders of certificates of this CA.
    pub async fn start(home: &Path, name: &str, ca: &ClientCa, validation: &Ports) -> Self {
        let (port, metrics) = (ports::free(), ports::free());
        let names = Names::listen().await;
        let Person { certificate, key, .. } = ca.server(name);
        let Ports { http, https, tls_alpn, .. } = validation;
        let text = format!(
            r#"environment = "development"
[listen]
perspective = ["127.0.0.1:{port}"]
metrics = ["127.0.0.1:{metrics}"]
[perspective]
certificate = "{certificate}"
key = "{key}"
client_ca = "{client_ca}"
[validation]
perspective = "{name}"
resolvers = ["{resolver}"]
addresses = "allow-loopback"
http_port = {http}
https_port = {https}
tls_alpn_port = {tls_alpn}
[limits]
stop_timeout_ms = 500
"#,
            certificate = certificate.display(),
            key = key.display(),
            client_ca = ca.path.display(),
            resolver = names.address,
        );
        let config = home.join(format!("{name}.toml"));
        std::fs::write(&config, text).expect("a writable folder");
        let mut command = Command::new(binary());
        command.args(["serve", "--role", "perspective", "--config"]).arg(&config).env_remove("RUST_LOG");
        let errors = File::create(home.join(format!("{name}.log"))).expect("a writable folder");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(errors).kill_on_drop(true);
        let mut child = command.spawn().expect("the binary can be started");
        let mut lines = BufReader::new(child.stdout.take().expect("standard output is a pipe")).lines();
        let first = timeout(READY_WITHIN, lines.next_line()).await.expect("ready in time").expect("a line");
        assert_eq!(first.as_deref(), Some("ready"), "see {name}.log in {}", home.display());
        Self { name: name.to_owned(), names, port, metrics, child: Some(child) }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().and_then(Child::id).expect("it runs")
    }

    /// Kills it.
    pub async fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().await.expect("one may kill one's own child");
        }
    }

    /// Makes it hang: it takes connections, as far as the kernel does, and never answers.
    pub async fn hang(&self) {
        self.signal(Signal::STOP);
        // A thread stops when it is the kernel's turn next, which takes a moment on a busy machine.
        let begun = Instant::now();
        while !self.has_stopped() {
            assert!(begun.elapsed() < READY_WITHIN, "{} goes on", self.name);
            sleep(Duration::from_millis(1)).await;
        }
    }

    /// Whether every thread is stopped (proc_pid_stat(5)).
    fn has_stopped(&self) -> bool {
        let threads = std::fs::read_dir(format!("/proc/{}/task", self.pid())).expect("it runs");
        threads.filter_map(|thread| std::fs::read_to_string(thread.ok()?.path().join("stat")).ok()).all(
            |stat| {
                let (_, after) = stat.rsplit_once(')').expect("stat has a name in brackets");
                after.trim_start().starts_with('T')
            },
        )
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.pid()).expect("a process id");
        kill_process(Pid::from_raw(pid).expect("a process id is not zero"), signal).expect("it runs");
    }

    /// Waits for it to end by itself, and gives whether it ended well.
    pub async fn ended(&mut self, within: Duration) -> bool {
        let mut child = self.child.take().expect("it runs");
        timeout(within, child.wait()).await.expect("it ends in time").expect("it is our child").success()
    }

    /// What it is called by `[[validation.remotes]]`.
    pub fn url(&self) -> String {
        format!("https://localhost:{}", self.port)
    }
}

/// A CA and its perspectives.
pub struct Perspectives {
    /// The CA.
    pub server: Server,
    /// What its own perspective sees.
    pub primary: Names,
    /// The others.
    pub places: Vec<Place>,
    /// The CA of everybody's certificates between them.
    pub ca: ClientCa,
}

impl Perspectives {
    /// One place for each of these regions, each with all the time that a busy machine may need.
    pub async fn start(regions: &[&'static str]) -> Self {
        Self::start_with(regions, PATIENT_MS).await
    }

    /// The same, with this long for each answer.
    pub async fn start_with(regions: &[&'static str], wait_ms: u64) -> Self {
        let (home, ports, ca) = ground();
        let mut places = Vec::new();
        for index in 0..regions.len() {
            places.push(Place::start(home.path(), &format!("place-{index}"), &ca, &ports).await);
        }
        let asked = places.iter().zip(regions).map(|(place, region)| Asked {
            name: place.name.clone(),
            url: place.url(),
            region,
        });
        let asked: Vec<Asked> = asked.collect();
        Self::over((home, ports, ca), places, &asked, wait_ms).await
    }

    /// On this ground, with places that were started, and all that are asked.
    pub async fn over(
        (home, ports, ca): (TempDir, Ports, ClientCa),
        places: Vec<Place>,
        asked: &[Asked],
        wait_ms: u64,
    ) -> Self {
        let primary = Names::listen().await;
        let further_config = coordinator(&ca.person("coordinator"), &ca, asked, wait_ms);
        let further_arguments = vec!["--dns".to_owned(), primary.address.to_string()];
        let setup = Setup { ports, further_config, further_arguments, ..Setup::new() };
        let server = Server::start_in(home, setup).await;
        Self { server, primary, places, ca }
    }

    /// Everybody's view of the DNS, the primary's first.
    pub fn views(&self) -> Vec<&Names> {
        std::iter::once(&self.primary).chain(self.places.iter().map(|place| &place.names)).collect()
    }
}

/// A folder, ports and a CA between perspectives, before anything runs.
pub fn ground() -> (TempDir, Ports, ClientCa) {
    let home = TempDir::new().expect("a temporary folder");
    let ca = ClientCa::new(home.path(), "perspectives-ca");
    (home, Ports::free(), ca)
}

/// What the CA's file says of them all.
fn coordinator(shown: &Person, ca: &ClientCa, asked: &[Asked], wait_ms: u64) -> String {
    let mut text = format!(
        "[validation.corroboration]\ncertificate = \"{}\"\nkey = \"{}\"\nserver_ca = \"{}\"\ntimeout_ms = {wait_ms}\n",
        shown.certificate.display(),
        shown.key.display(),
        ca.path.display()
    );
    for Asked { name, url, region } in asked {
        write!(text, "[[validation.remotes]]\nname = \"{name}\"\nurl = \"{url}\"\nregistry = \"{region}\"\n")
            .expect("a string takes any text");
    }
    text
}
