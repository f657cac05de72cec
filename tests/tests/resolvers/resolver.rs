//! unbound and named as processes of a test, told where every zone is, since the zones' servers are at no usual port.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use ingam_tests::{fetched, ports};
use ingam_validation::zones::Zones;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::sleep;

/// How to get the programs.
const INSTALL: &str = "scripts/test fetches unbound and bind9 into target/clients/resolvers";

/// How long one has until it listens.
const LISTENS_WITHIN: Duration = Duration::from_secs(20);

/// A running resolver; dropped, it is stopped.
pub(crate) struct Resolver {
    pub(crate) address: SocketAddr,
    _child: Child,
}

impl Resolver {
    pub(crate) async fn unbound(zones: &Zones, folder: &Path) -> Self {
        let port = ports::free();
        let anchors = folder.join("unbound.key");
        std::fs::write(&anchors, zones.anchors()).expect("a writable folder");
        let mut text = format!(
            "server:\n  interface: 127.0.0.1\n  port: {port}\n  do-ip6: no\n  do-daemonize: no\n  username: \"\"\n  \
             chroot: \"\"\n  directory: \"{folder}\"\n  pidfile: \"\"\n  use-syslog: no\n  num-threads: 1\n  \
             module-config: \"validator iterator\"\n  trust-anchor-file: \"{anchors}\"\n  trust-anchor-signaling: no\n  \
             do-not-query-localhost: no\n  qname-minimisation: no\n  ede: yes\n  verbosity: 1\n\
             remote-control:\n  control-enable: no\n",
            folder = folder.display(),
            anchors = anchors.display()
        );
        for (zone, server) in zones.servers() {
            let _ = write!(
                text,
                "stub-zone:\n  name: \"{zone}\"\n  stub-addr: {}@{}\n  stub-prime: no\n",
                server.ip(),
                server.port()
            );
        }
        let file = folder.join("unbound.conf");
        std::fs::write(&file, text).expect("a writable folder");
        let mut command = fetched::program("resolvers", "unbound");
        command.arg("-d").arg("-c").arg(file);
        Self::start(command, folder.join("unbound.log"), port).await
    }

    pub(crate) async fn named(zones: &Zones, folder: &Path) -> Self {
        let port = ports::free();
        let folder_shown = folder.display();
        let mut text = format!(
            "options {{ directory \"{folder_shown}\"; pid-file none; session-keyfile none; lock-file none; \
             listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }}; recursion yes; dnssec-validation yes; \
             empty-zones-enable no; qname-minimization off; managed-keys-directory \"{folder_shown}\"; }};\n\
             controls {{ }};\ntrust-anchors {{\n"
        );
        for anchor in zones.anchors().lines() {
            let words: Vec<&str> = anchor.split_whitespace().collect();
            let [name, _, _, _, flags, protocol, algorithm, key @ ..] = words.as_slice() else {
                panic!("{anchor} is no DNSKEY record")
            };
            let _ =
                writeln!(text, "\"{name}\" static-key {flags} {protocol} {algorithm} \"{}\";", key.concat());
        }
        text.push_str("};\n");
        for (zone, server) in zones.servers() {
            let _ = writeln!(
                text,
                "zone \"{zone}\" {{ type forward; forward only; forwarders {{ {} port {}; }}; }};",
                server.ip(),
                server.port()
            );
        }
        let file = folder.join("named.conf");
        std::fs::write(&file, text).expect("a writable folder");
        let mut command = fetched::program("resolvers", "named");
        command.arg("-g").arg("-4").arg("-n").arg("1").arg("-c").arg(file);
        Self::start(command, folder.join("named.log"), port).await
    }

    async fn start(mut command: Command, log: PathBuf, port: u16) -> Self {
        let file = std::fs::File::create(&log).expect("a writable folder");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(file).kill_on_drop(true);
        let child =
            command.spawn().unwrap_or_else(|error| panic!("no resolver can be started: {error}. {INSTALL}"));
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            let said = std::fs::read_to_string(&log).unwrap_or_default();
            assert!(begun.elapsed() < LISTENS_WITHIN, "the resolver does not listen: {said}");
            sleep(Duration::from_millis(50)).await;
        }
        Self { address: SocketAddr::from(([127, 0, 0, 1], port)), _child: child }
    }
}
