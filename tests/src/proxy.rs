//! nginx and HAProxy before a server, as Debian has them; neither is installed as a service.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

use crate::fetched;

/// How long a proxy may take until it listens.
const LISTENS_WITHIN: Duration = Duration::from_secs(20);

const INSTALL: &str = "scripts/test fetches nginx and haproxy into target/clients/proxies";

/// The address from which proxies of stories connect to the server, so that it can tell them from clients, who come from
/// 127.0.0.1. All of 127.0.0.0/8 is this machine.
pub const PROXY_ADDRESS: &str = "127.0.0.2";

/// A running proxy. It is killed when this is dropped.
pub struct Proxy {
    _child: Child,
}

impl Proxy {
    /// nginx, ending TLS on this port and passing on over http.
    ///
    /// `told` are more lines of its location.
    pub async fn nginx(home: &Path, port: u16, identity: (&Path, &Path), to_port: u16, told: &str) -> Self {
        let (certificate, key) = (identity.0.display(), identity.1.display());
        let server = format!(
            "server {{\nlisten 127.0.0.1:{port} ssl http2;\n\
             ssl_certificate {certificate};\nssl_certificate_key {key};\n\
             location / {{\nproxy_pass http://127.0.0.1:{to_port};\nproxy_bind {PROXY_ADDRESS};\n{told}\n}}\n}}\n"
        );
        Self::nginx_with(home, port, &server).await
    }

    /// nginx with these lines about http, by which it listens on this port. Its log is `nginx.log`.
    pub async fn nginx_with(home: &Path, port: u16, http: &str) -> Self {
        let config = format!(
            "daemon off;\nmaster_process off;\npid nginx.pid;\nerror_log stderr;\nevents {{}}\nhttp {{\n\
             access_log off;\nclient_body_temp_path body;\nproxy_temp_path proxied;\nfastcgi_temp_path f;\n\
             uwsgi_temp_path u;\nscgi_temp_path s;\n{http}}}\n"
        );
        let file = home.join("nginx.conf");
        std::fs::write(&file, config).expect("a writable folder");
        let mut command = fetched::program("proxies", "nginx");
        command.arg("-p").arg(home).arg("-c").arg(&file).args(["-e", "stderr"]);
        Self::start(command, home.join("nginx.log"), port).await
    }

    /// nginx, giving out files over http on this port, as the configuration in the file `include` says; `told` are more lines
    /// of its server.
    pub async fn nginx_of_files(home: &Path, port: u16, include: &Path, told: &str) -> Self {
        let config = format!(
            "daemon off;\nmaster_process off;\npid nginx.pid;\nerror_log stderr;\nevents {{}}\nhttp {{\n\
             access_log off;\nclient_body_temp_path body;\nproxy_temp_path proxied;\nfastcgi_temp_path f;\n\
             uwsgi_temp_path u;\nscgi_temp_path s;\nserver {{\nlisten 127.0.0.1:{port};\n\
             include {include};\n{told}\n}}\n}}\n",
            include = include.display()
        );
        let file = home.join("nginx.conf");
        std::fs::write(&file, config).expect("a writable folder");
        let mut command = fetched::program("proxies", "nginx");
        command.arg("-p").arg(home).arg("-c").arg(&file).args(["-e", "stderr"]);
        Self::start(command, home.join("nginx.log"), port).await
    }

    /// HAProxy, passing connections on as they are; `told` are the words of its server line by which it tells for whom.
    pub async fn haproxy(home: &Path, port: u16, to_port: u16, told: &str) -> Self {
        let sections = format!(
            "listen ca\n mode tcp\n bind 127.0.0.1:{port}\n server ca 127.0.0.1:{to_port} source {PROXY_ADDRESS} {told}\n"
        );
        Self::haproxy_with(home, port, &sections).await
    }

    /// HAProxy with these sections, by which it listens on this port.
    pub async fn haproxy_with(home: &Path, port: u16, sections: &str) -> Self {
        let config =
            format!("defaults\n timeout connect 10s\n timeout client 60s\n timeout server 60s\n{sections}");
        let file = home.join("haproxy.cfg");
        std::fs::write(&file, config).expect("a writable folder");
        let mut command = fetched::program("proxies", "haproxy");
        command.arg("-db").arg("-f").arg(&file);
        Self::start(command, home.join("haproxy.log"), port).await
    }

    async fn start(mut command: Command, log: PathBuf, port: u16) -> Self {
        let file = std::fs::File::create(&log).expect("a writable folder");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(file).kill_on_drop(true);
        let child =
            command.spawn().unwrap_or_else(|error| panic!("no proxy can be started: {error}. {INSTALL}"));
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            let said = std::fs::read_to_string(&log).unwrap_or_default();
            assert!(begun.elapsed() < LISTENS_WITHIN, "the proxy does not listen: {said}");
            sleep(Duration::from_millis(50)).await;
        }
        Self { _child: child }
    }
}
