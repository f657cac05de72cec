//! `ingam init` and `ingam serve` as an operator runs them: in a home of their own, with what systemd would give.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, DistinguishedName, IsCa, KeyPair};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

use crate::command::{Finished, run};
use crate::openssl::Openssl;
use crate::server::{Ports, binary};
use crate::site::Site;

/// How long a start may take: each encrypted key takes half a second and more.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// How long a clean end may take.
const STOPPED_WITHIN: Duration = Duration::from_secs(2);

/// The passphrase of issuing CAs' keys in these stories.
pub const ISSUER_PASSPHRASE: &str = "held by the machine";
/// The passphrase of the root's key in these stories.
pub const ROOT_PASSPHRASE: &str = "held by people";

/// A folder with everything that `ingam init` needs to be told: https certificate, passphrases, ports.
pub struct Home {
    folder: TempDir,
    ports: Ports,
}

impl Home {
    /// With free ports.
    pub fn new() -> Self {
        let home = Self { folder: TempDir::new().expect("a temporary folder"), ports: Ports::free() };
        home.write_https_certificate();
        home.write_secret("issuer-passphrase", &format!("{ISSUER_PASSPHRASE}\n"));
        home.write_secret("root-passphrase", &format!("{ROOT_PASSPHRASE}\n"));
        home
    }

    /// Where it is.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A path in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The same as text, for arguments.
    pub fn text(&self, name: &str) -> String {
        self.path(name).to_str().expect("a path in UTF-8").to_owned()
    }

    /// Writes a file that the owner alone may read.
    pub fn write_secret(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).expect("a writable folder");
        fs::set_permissions(self.path(name), Permissions::from_mode(0o600)).expect("a file of one's own");
    }

    /// A CA made for this, and its certificate for `localhost`.
    fn write_https_certificate(&self) {
        let (ca_key, key) = (KeyPair::generate().expect("a key"), KeyPair::generate().expect("a key"));
        let mut ca = CertificateParams::default();
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca_pem = ca.self_signed(&ca_key).expect("a certificate").pem();
        let mut server = CertificateParams::new(["localhost".to_owned()]).expect("a name");
        server.distinguished_name = DistinguishedName::new();
        let issuer = rcgen::Issuer::new(ca, ca_key);
        let server = server.signed_by(&key, &issuer).expect("a certificate").pem();
        fs::write(self.path("https-ca.pem"), ca_pem).expect("a writable folder");
        fs::write(self.path("tls.pem"), server).expect("a writable folder");
        self.write_secret("tls.key", &key.serialize_pem());
    }

    /// The flags of a new configuration, all but those about keys.
    pub fn settings(&self, environment: &str) -> Vec<String> {
        let Ports { acme, publication, .. } = self.ports;
        let flags = [
            ("--environment", environment.to_owned()),
            ("--public-url", format!("https://localhost:{acme}")),
            ("--publication-url", format!("http://localhost:{publication}")),
            ("--state", self.text("state")),
            ("--tls-certificate", self.text("tls.pem")),
            ("--tls-key", self.text("tls.key")),
        ];
        flags.into_iter().flat_map(|(flag, value)| [flag.to_owned(), value]).collect()
    }

    /// The flags of a new hierarchy under both passphrases.
    pub fn new_keys(&self) -> Vec<String> {
        let flags = [
            ("--organization", "Example".to_owned()),
            ("--country", "KR".to_owned()),
            ("--issuer-passphrase-file", self.text("issuer-passphrase")),
            ("--root-passphrase-file", self.text("root-passphrase")),
        ];
        flags.into_iter().flat_map(|(flag, value)| [flag.to_owned(), value]).collect()
    }

    /// Runs `ingam init --config FILE` with more arguments, without a terminal.
    pub async fn init(&self, config: &str, arguments: &[String]) -> Finished {
        let mut command = self.command("init", config);
        command.args(arguments);
        run(&mut command, "").await
    }

    /// `ingam COMMAND --config FILE`, started here and not yet run.
    pub fn command(&self, command: &str, config: &str) -> Command {
        let mut line = Command::new(binary());
        line.arg(command).arg("--config").arg(self.path(config));
        for inherited in ["RUST_LOG", "NOTIFY_SOCKET", "CREDENTIALS_DIRECTORY"] {
            line.env_remove(inherited);
        }
        line.current_dir(self.folder.path()).kill_on_drop(true);
        line
    }

    /// Moves a configuration that `init` wrote to this machine's loopback: free ports, and this test DNS server.
    pub fn adapt(&self, config: &str, dns_port: u16) {
        let Ports { metrics, http, https, tls_alpn, .. } = self.ports;
        let changes = [
            ("\"0.0.0.0:", "\"127.0.0.1:".to_owned()),
            ("\"[::]:", "\"[::1]:".to_owned()),
            ("\"127.0.0.1:14090\"", format!("\"127.0.0.1:{metrics}\"")),
            ("[\"127.0.0.1:53\", \"[::1]:53\"]", format!("[\"127.0.0.1:{dns_port}\"]")),
            ("http_port = 80\n", format!("http_port = {http}\n")),
            ("https_port = 443\n", format!("https_port = {https}\n")),
            ("tls_alpn_port = 443\n", format!("tls_alpn_port = {tls_alpn}\n")),
        ];
        for (from, to) in changes {
            self.change(config, from, &to);
        }
    }

    /// Puts one text in the place of another in a file; it must be there.
    #[track_caller]
    pub fn change(&self, file: &str, from: &str, to: &str) {
        let text = fs::read_to_string(self.path(file)).expect("a readable file");
        assert!(text.contains(from), "{from} is not in {file}:\n{text}");
        fs::write(self.path(file), text.replace(from, to)).expect("a writable file");
    }

    /// What systemd makes of `LoadCredential=issuer-passphrase:FILE`: a folder that only this service can read.
    pub fn credentials(&self) -> PathBuf {
        let folder = self.path("credentials");
        fs::create_dir_all(&folder).expect("a writable folder");
        let file = folder.join("issuer-passphrase");
        if !file.exists() {
            fs::copy(self.path("issuer-passphrase"), &file).expect("a writable folder");
            // As it shows with an access control list.
            fs::set_permissions(&file, Permissions::from_mode(0o440)).expect("a file of one's own");
        }
        folder
    }

    /// Its ports.
    pub fn ports(&self) -> &Ports {
        &self.ports
    }

    /// What clients have to know; the test DNS is another process's.
    pub fn site(&self) -> Site {
        Site {
            directory: format!("https://localhost:{}/dir", self.ports.acme),
            tls_ca: self.path("https-ca.pem"),
            http_port: self.ports.http,
            tls_alpn_port: self.ports.tls_alpn,
            dns_port: self.ports.dns,
            dns_management_port: self.ports.dns_management,
        }
    }

    /// openssl, trusting the root in this state folder.
    pub fn openssl(&self, state: &str) -> Openssl {
        Openssl::trusting(&self.path(state).join("roots/root.pem"))
    }
}

impl Default for Home {
    fn default() -> Self {
        Self::new()
    }
}

/// A running `ingam serve`. It is killed when this is dropped.
pub struct Service {
    child: Child,
    log: PathBuf,
}

impl Service {
    /// Starts it and waits until it says `ready`; its log goes to a file. Fails the test if it does not.
    pub async fn start(mut command: Command, log: &Path) -> Self {
        let errors = File::create(log).expect("a writable folder");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(errors);
        let mut child = command.spawn().expect("the binary can be started");
        let output = child.stdout.take().expect("standard output is a pipe");
        let service = Self { child, log: log.to_owned() };
        let ready = timeout(READY_WITHIN, says_ready(output)).await;
        assert!(ready.expect("it starts in time"), "it ended before it was ready:\n{}", service.log());
        service
    }

    /// SIGHUP, as `systemctl reload` sends it; waits for nothing.
    pub fn reload(&self) {
        self.signal(Signal::HUP);
    }

    fn signal(&self, signal: Signal) {
        let pid = self.child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
        kill_process(pid.expect("it runs"), signal).expect("it runs");
    }

    /// SIGTERM, as systemd sends it; asserts a clean end within two seconds.
    pub async fn stop(mut self) {
        self.signal(Signal::TERM);
        let status = timeout(STOPPED_WITHIN, self.child.wait()).await.expect("it ends in time");
        let status = status.expect("one may wait for one's own child");
        assert!(status.success(), "SIGTERM ends it cleanly, not with {status}:\n{}", self.log());
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

async fn says_ready(output: ChildStdout) -> bool {
    let mut lines = BufReader::new(output).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if line == "ready" {
            return true;
        }
    }
    false
}
