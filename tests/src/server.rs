//! The real process: configured, started, waited for, killed, started again.

use std::fmt::Write;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdout, Command};
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use crate::command::{Finished, profile_folder, run};
use crate::openssl::Openssl;
use crate::ports;
use crate::site::Site;

/// How long a start may take. On a state folder it knows, it is far quicker.
const READY_WITHIN: Duration = Duration::from_secs(30);
/// How long a clean end may take.
const STOPPED_WITHIN: Duration = Duration::from_secs(2);
const BUILD_FIRST: &str = "Run `cargo build --workspace` first";
/// How many lines of its log are shown when a test fails.
const TAIL_LINES: usize = 60;

/// The binary: `INGAM_BIN`, or the one beside the running test's own profile folder.
pub fn binary() -> PathBuf {
    let path = match std::env::var_os("INGAM_BIN") {
        Some(path) => PathBuf::from(path),
        None => profile_folder().join("ingam"),
    };
    assert!(path.is_file(), "{} is not there. {BUILD_FIRST}", path.display());
    path
}

/// Where everything listens.
#[derive(Debug, Clone)]
pub struct Ports {
    /// ACME over HTTPS.
    pub acme: u16,
    /// Management over HTTPS.
    pub management: u16,
    /// OCSP, CRLs and issuers over HTTP.
    pub publication: u16,
    /// Metrics over HTTP.
    pub metrics: u16,
    /// The admin API over HTTPS, where [`Setup::has_admin_port`] asks for it.
    pub admin: u16,
    /// The test DNS.
    pub dns: u16,
    /// The test DNS's management over HTTP.
    pub dns_management: u16,
    /// The transparency logs for tests.
    pub ct_log: u16,
    /// Where http-01 validation connects.
    pub http: u16,
    /// Where a redirect to HTTPS may lead.
    pub https: u16,
    /// Where tls-alpn-01 validation connects.
    pub tls_alpn: u16,
}

impl Ports {
    /// Ports that nobody uses now.
    pub fn free() -> Self {
        Self {
            acme: ports::free(),
            management: ports::free(),
            publication: ports::free(),
            metrics: ports::free(),
            admin: ports::free(),
            dns: ports::free(),
            dns_management: ports::free(),
            ct_log: ports::free(),
            http: ports::free(),
            https: ports::free(),
            tls_alpn: ports::free(),
        }
    }
}

/// Who a server of `ingam serve` is to its https clients.
#[derive(Debug, Clone)]
pub struct Identity {
    /// PEM file of the certificate.
    pub certificate: PathBuf,
    /// PEM file of its key.
    pub key: PathBuf,
    /// PEM file of the CA of the certificate.
    pub ca: PathBuf,
}

/// What a server is to be.
#[derive(Debug, Clone)]
pub struct Setup {
    /// Its ports.
    pub ports: Ports,
    /// Whether the admin API listens on its port too; `operator.client_ca` is for `further_config` then.
    pub has_admin_port: bool,
    /// With this, `ingam serve` runs in the place of `ingam dev`, after `ingam init`, and shows this to https clients.
    pub identity: Option<Identity>,
    /// `store.engine`.
    pub engine: String,
    /// The host of the URLs of OCSP, CRLs and issuers.
    pub publication_host: String,
    /// The port that clients see, where that is a proxy's and not `ports.acme`.
    pub public_port: Option<u16>,
    /// How often the https certificate is looked for anew, in seconds; far longer than a story by default.
    pub look_interval_s: u64,
    /// Further lines in the section `[listen]` of its config file.
    pub further_listeners: String,
    /// Further lines in the section `[validation]` of its config file.
    pub further_validation: String,
    /// Lines after the generated ones in its config file.
    pub further_config: String,
    /// Arguments after `ingam dev --config FILE --dir DIR`.
    pub further_arguments: Vec<String>,
    /// Another binary than [`binary`].
    pub program: Option<PathBuf>,
    /// Variables of its environment.
    pub environment: Vec<(String, String)>,
}

impl Setup {
    /// Free ports, and otherwise the defaults.
    pub fn new() -> Self {
        Self {
            ports: Ports::free(),
            has_admin_port: false,
            identity: None,
            engine: "redb".to_owned(),
            publication_host: "localhost".to_owned(),
            public_port: None,
            look_interval_s: 86_400,
            further_listeners: String::new(),
            further_validation: String::new(),
            further_config: String::new(),
            further_arguments: Vec::new(),
            program: None,
            environment: Vec::new(),
        }
    }

    /// The config file's text.
    pub fn config(&self) -> String {
        let ports = &self.ports;
        let mut text = String::from("environment = \"development\"\n");
        if let Some(Identity { certificate, key, .. }) = &self.identity {
            write!(
                text,
                r#"state = "state"
tls = {{ certificate = "{}", key = "{}", look_interval_s = {} }}
hierarchy.issuers.ecdsa = "ecdsa-p256"
issuance.default_profile = "classic"
profiles.classic = {{ description = "90 days", issuer = "ecdsa", validity_s = 7776000 }}
"#,
                certificate.display(),
                key.display(),
                self.look_interval_s
            )
            .expect("a string takes any text");
        }
        text.push_str("\n[listen]\n");
        let mut listeners = vec![
            ("acme", ports.acme),
            ("management", ports.management),
            ("publication", ports.publication),
            ("metrics", ports.metrics),
        ];
        if self.has_admin_port {
            listeners.push(("admin", ports.admin));
        }
        for (name, port) in listeners {
            let ipv6 = if ports::has_ipv6() { format!(", \"[::1]:{port}\"") } else { String::new() };
            writeln!(text, "{name} = [\"127.0.0.1:{port}\"{ipv6}]").expect("a string takes any text");
        }
        text.push_str(&self.further_listeners);
        if self.identity.is_none() {
            let Ports { dns, dns_management, ct_log, .. } = ports;
            write!(text, "dns = [\"127.0.0.1:{dns}\"]\ndns_management = [\"127.0.0.1:{dns_management}\"]\n")
                .expect("a string takes any text");
            writeln!(text, "ct_log = [\"127.0.0.1:{ct_log}\"]").expect("a string takes any text");
        }
        let Ports { publication, http, https, tls_alpn, .. } = ports;
        write!(
            text,
            r#"
[urls]
acme = "https://localhost:{public_port}"
publication = "http://{publication_host}:{publication}"

[validation]
http_port = {http}
https_port = {https}
tls_alpn_port = {tls_alpn}
{further_validation}
[store]
engine = "{engine}"

{further}"#,
            public_port = self.public_port(),
            publication_host = self.publication_host,
            further_validation = self.further_validation,
            engine = self.engine,
            further = self.further_config,
        )
        .expect("a string takes any text");
        text
    }

    fn public_port(&self) -> u16 {
        self.public_port.unwrap_or(self.ports.acme)
    }

    /// Writes the config file, and gives the command that starts this server on this state folder.
    pub fn command(&self, home: &Path) -> Command {
        let config = home.join("ingam.toml");
        std::fs::write(&config, self.config()).expect("a writable folder");
        let mut command = Command::new(self.program.clone().unwrap_or_else(binary));
        // What the test's own shell has is nothing to it; what the test says is.
        command.env_remove("RUST_LOG").envs(self.environment.iter().cloned());
        match self.identity {
            Some(_) => command.arg("serve").arg("--config").arg(config),
            None => command.arg("dev").arg("--config").arg(config).arg("--dir").arg(home.join("state")),
        };
        command.args(&self.further_arguments);
        command.current_dir(home).kill_on_drop(true);
        command
    }

    /// Runs it to its end, for starts that must fail.
    pub async fn run(&self, home: &Path) -> Finished {
        run(&mut self.command(home), BUILD_FIRST).await
    }
}

impl Default for Setup {
    fn default() -> Self {
        Self::new()
    }
}

/// A running `ingam dev`, with a state folder of its own. It is killed when this is dropped.
pub struct Server {
    setup: Setup,
    home: TempDir,
    child: Option<Child>,
    starts: usize,
}

impl Server {
    /// Starts one with free ports and waits until it says `ready`.
    pub async fn start() -> Self {
        Self::start_with(Setup::new()).await
    }

    /// Starts one and waits until it says `ready`; fails the test if it does not.
    pub async fn start_with(setup: Setup) -> Self {
        Self::start_in(TempDir::new().expect("a temporary folder"), setup).await
    }

    /// The same in a folder that has files which the config names.
    pub async fn start_in(home: TempDir, setup: Setup) -> Self {
        if setup.identity.is_some() {
            let config = home.path().join("ingam.toml");
            std::fs::write(&config, setup.config()).expect("a writable folder");
            let mut init = Command::new(binary());
            init.args(["init", "--config", "ingam.toml"]).current_dir(home.path());
            run(&mut init, BUILD_FIRST).await.succeeded();
        }
        let mut server = Self { setup, home, child: None, starts: 0 };
        server.restart().await;
        server
    }

    /// Starts it again on the same folder and ports, killing it first if it still runs. How long `ready` took.
    pub async fn restart(&mut self) -> Duration {
        let begun = Instant::now();
        let mut ready = self.begin().await;
        // The channel closes without `ready` if the process ends before it.
        match timeout(READY_WITHIN, ready.wait_for(|ready| *ready)).await {
            Ok(Ok(_)) => begun.elapsed(),
            Ok(Err(_)) => panic!("the server ended before it was ready"),
            Err(_) => panic!("the server was not ready within {READY_WITHIN:?}"),
        }
    }

    /// Starts it again without waiting; what is given back becomes true with `ready`.
    pub async fn begin(&mut self) -> watch::Receiver<bool> {
        self.kill().await;
        let mut command = self.setup.command(self.home.path());
        self.starts += 1;
        let errors = File::create(self.log("stderr")).expect("a writable folder");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(errors);
        let mut child = command.spawn().expect("the binary can be started");
        let output = child.stdout.take().expect("standard output is a pipe");
        let (sender, ready) = watch::channel(false);
        tokio::spawn(copy_output(output, self.log("stdout"), sender));
        self.child = Some(child);
        ready
    }

    /// SIGKILL, at once, if it runs.
    pub async fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().await.expect("one may kill one's own child");
        }
    }

    /// SIGINT, as Ctrl-C sends it; asserts a clean end within two seconds, and gives how long it took.
    pub async fn stop(&mut self) -> Duration {
        let begun = Instant::now();
        self.interrupt();
        let status = self.ended(STOPPED_WITHIN).await;
        assert!(status.success(), "Ctrl-C ends it cleanly, not with {status}");
        begun.elapsed()
    }

    /// Sends SIGINT and waits for nothing.
    pub fn interrupt(&self) {
        self.signal(Signal::INT);
    }

    /// Sends a signal and waits for nothing.
    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.pid()).expect("a process id");
        kill_process(Pid::from_raw(pid).expect("a process id is not zero"), signal).expect("it runs");
    }

    /// Writes the config file anew with other further lines; the process reads it when it is told to, or at a start.
    pub fn reconfigure(&mut self, further_config: &str) {
        self.setup.further_config = further_config.to_owned();
        std::fs::write(self.home.path().join("ingam.toml"), self.setup.config()).expect("a writable folder");
    }

    /// Waits for the process to end by itself.
    pub async fn ended(&mut self, within: Duration) -> ExitStatus {
        let child = self.child.as_mut().expect("it runs");
        let status =
            timeout(within, child.wait()).await.unwrap_or_else(|_| panic!("it still runs after {within:?}"));
        self.child = None;
        status.expect("one may wait for one's own child")
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().and_then(Child::id).expect("it runs")
    }

    /// What clients have to know.
    pub fn site(&self) -> Site {
        let ports = &self.setup.ports;
        Site {
            directory: format!("https://localhost:{}/dir", self.setup.public_port()),
            tls_ca: match &self.setup.identity {
                Some(identity) => identity.ca.clone(),
                None => self.state().join("tls-ca.pem"),
            },
            http_port: ports.http,
            tls_alpn_port: ports.tls_alpn,
            dns_port: ports.dns,
            dns_management_port: ports.dns_management,
        }
    }

    /// Its ports.
    pub fn ports(&self) -> &Ports {
        &self.setup.ports
    }

    /// Its state folder.
    pub fn state(&self) -> PathBuf {
        self.home.path().join("state")
    }

    /// The folder around the state folder: config file, logs, files of clients.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// A folder that goes with the server, for files of clients.
    pub fn scratch(&self, name: &str) -> PathBuf {
        let folder = self.home.path().join(name);
        std::fs::create_dir_all(&folder).expect("a writable folder");
        folder
    }

    /// One PEM file with all roots.
    pub fn roots(&self) -> PathBuf {
        let bundle = self.home.path().join("roots.pem");
        std::fs::write(&bundle, self.roots_pem()).expect("a writable folder");
        bundle
    }

    /// The roots of the state folder, in the order of their files' names.
    pub fn roots_pem(&self) -> String {
        let folder = std::fs::read_dir(self.state().join("roots")).expect("the state folder has roots/");
        let mut paths: Vec<PathBuf> = folder.map(|entry| entry.expect("a readable folder").path()).collect();
        paths.retain(|path| path.extension().is_some_and(|ending| ending == "pem"));
        paths.sort();
        assert!(!paths.is_empty(), "there is at least one root in roots/");
        paths.iter().map(|path| std::fs::read_to_string(path).expect("a readable root")).collect()
    }

    /// openssl, trusting this server's roots.
    pub fn openssl(&self) -> Openssl {
        Openssl::trusting(&self.roots())
    }

    /// The most memory that it has had at once so far, in MiB.
    pub fn peak_memory_mib(&self) -> u64 {
        self.memory_kib("VmHWM:") / 1024
    }

    /// The memory that it has now, in KiB.
    pub fn memory_now_kib(&self) -> u64 {
        self.memory_kib("VmRSS:")
    }

    fn memory_kib(&self, name: &str) -> u64 {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("Linux has /proc");
        let amount = status.lines().find_map(|line| line.strip_prefix(name)).expect("an amount of memory");
        amount.trim().trim_end_matches(" kB").parse().expect("a number of KiB")
    }

    /// What the last start has written to standard output so far.
    pub fn output(&self) -> String {
        std::fs::read_to_string(self.log("stdout")).unwrap_or_default()
    }

    /// What the last start has written to standard error so far.
    pub fn errors(&self) -> String {
        std::fs::read_to_string(self.log("stderr")).unwrap_or_default()
    }

    fn log(&self, stream: &str) -> PathBuf {
        self.home.path().join(format!("{stream}-{}", self.starts))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The folder goes with the test, so the end of the log is shown now or never.
        if std::thread::panicking() {
            for (name, text) in [("standard output", self.output()), ("standard error", self.errors())] {
                eprintln!("--- the server's {name}, start {}\n{}", self.starts, tail(&text));
            }
        }
    }
}

fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
}

/// Copies standard output into a file, and tells when the line `ready` went by.
async fn copy_output(output: ChildStdout, path: PathBuf, ready: watch::Sender<bool>) {
    let mut file = tokio::fs::File::create(path).await.expect("a writable folder");
    let mut lines = BufReader::new(output).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        file.write_all(format!("{line}\n").as_bytes()).await.expect("a writable file");
        file.flush().await.expect("a writable file");
        if line.trim() == "ready" {
            ready.send_replace(true);
        }
    }
}
