//! curl as a client of OCSP that chooses its version of HTTP, with TLS or without.

use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tokio::process::Command;

use crate::command::{Finished, run};
use crate::ocsp;

const INSTALL: &str = "Install curl, on Debian with `apt-get install curl`";

/// curl, with the CAs that it believes, and a folder for what it sends.
pub struct Curl {
    folder: TempDir,
    roots: PathBuf,
}

/// An answer, as curl tells of it.
#[derive(Debug, PartialEq, Eq)]
pub struct Received {
    /// Status, entity tag, and how long caches may keep it.
    pub head: String,
    /// The whole body.
    pub body: Vec<u8>,
}

impl Curl {
    /// Believes https servers with a certificate of the CAs in this PEM file.
    pub fn trusting(roots: &Path) -> Self {
        Self { folder: TempDir::new().expect("a temporary folder"), roots: roots.to_owned() }
    }

    /// Asks, and gives whatever came of it.
    pub async fn ask(&self, arguments: &[&str], url: &str) -> Finished {
        let mut command = Command::new("curl");
        command.args(["--silent", "--show-error", "--noproxy", "*", "--cacert"]).arg(&self.roots);
        run(command.args(arguments).arg(url), INSTALL).await
    }

    /// Asks by this version of HTTP, which has to be the one that is spoken then.
    pub async fn received(&self, (option, version): (&str, &str), arguments: &[&str], url: &str) -> Received {
        let told = "%{stderr}%{http_version}\n%{http_code} %header{etag} %header{cache-control}";
        let finished = self.ask(&[&[option, "-w", told], arguments].concat(), url).await.succeeded();
        let (spoken, head) = finished.stderr.split_once('\n').expect("two lines");
        assert_eq!(spoken, version, "{finished}");
        Received { head: head.to_owned(), body: finished.stdout.clone() }
    }

    /// Asks about a certificate by GET and POST, over http and https, by HTTP/1.1 and HTTP/2, at one of two URLs each time; asserts that
    /// all answers to GETs are the same, and those to POSTs, and gives them.
    pub async fn every_way(&self, plain: &str, tls: &str, request: &[u8]) -> [Received; 2] {
        let file = self.folder.path().join("request");
        std::fs::write(&file, request).expect("a writable folder");
        let (kind, data) = (format!("Content-Type: {}", ocsp::REQUEST), format!("@{}", file.display()));
        let post = ["--header", kind.as_str(), "--data-binary", &data];
        let ways = [
            (plain, ("--http1.1", "1.1")),
            (plain, ("--http2-prior-knowledge", "2")),
            (tls, ("--http1.1", "1.1")),
            (tls, ("--http2", "2")),
        ];
        let (mut gotten, mut posted) = (Vec::new(), Vec::new());
        for (url, version) in ways {
            gotten.push(self.received(version, &[], &ocsp::get_url(url, request)).await);
            posted.push(self.received(version, &post, url).await);
        }
        [gotten, posted].map(|mut answers| {
            let first = answers.remove(0);
            assert!(answers.iter().all(|other| *other == first), "not the same: {first:?}, {answers:?}");
            assert!(first.head.starts_with("200 \""), "{first:?}");
            first
        })
    }
}
