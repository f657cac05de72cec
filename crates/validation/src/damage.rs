//! For fuzzers, and for what they found: what the checkers make of any bytes of a site, without a socket.

use ingam_protocol::Timestamp;
use ingam_protocol::acme::ChallengeType;
use ingam_protocol::identifier::{DnsName, Host};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

use crate::config::Config;
use crate::evidence::Evidence;
use crate::outcome::Failure;
use crate::sought::{File, sha256};
use crate::{http_01, tls_alpn_01};

/// The token of every attempt here; part of a key authorization that nobody has.
const TOKEN: &str = "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA";

/// What has to be shown.
pub const KEY_AUTHORIZATION: &str =
    "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA.9jg46WB3rR_AHD-EBXdN7cBkH1WOu0tA3M9fm21mqTI";

/// The name that it is to be shown of.
pub const NAME: &str = "www.example.org";

/// How much of an answer is under way at once.
const PIPE_BYTES: usize = 64 * 1024;

/// More than any words for the owner of a name have.
const WORDS_MAX_BYTES: usize = 1024;

/// What http-01 makes of a whole answer of a web server; whether it shows control.
///
/// # Panics
/// If what would be kept or told is not printable, or has no bound.
pub fn http_answer(bytes: &[u8]) -> bool {
    let (Some(host), Some(runtime)) = (host(), runtime()) else { return false };
    let Ok(file) = File::new(TOKEN, KEY_AUTHORIZATION) else { return false };
    let mut evidence = Evidence::new("damage", host.clone(), ChallengeType::Http01, Timestamp::default());
    let (stream, server) = tokio::io::duplex(PIPE_BYTES);
    let answer = bytes.to_vec();
    let result = runtime.block_on(async {
        tokio::spawn(serve(server, answer));
        http_01::one_answer(stream, &host, &file, &Config::default(), &mut evidence).await
    });
    let kept = serde_json::to_string(&evidence).unwrap_or_default();
    assert!(is_printable(&kept) && kept.len() < 4096, "{kept}");
    told(result)
}

/// Answers the first request, and closes; hyper takes what comes before a request for somebody else's.
async fn serve(mut stream: DuplexStream, answer: Vec<u8>) {
    let mut request = [0; 1024];
    if stream.read(&mut request).await.is_ok() {
        // Whoever asked may have heard enough.
        drop(stream.write_all(&answer).await);
    }
}

/// What tls-alpn-01 makes of a certificate (DER) whose key the server has; whether it shows control.
///
/// # Panics
/// If what would be told is not printable, or has no bound.
pub fn acme_certificate(der: &[u8]) -> bool {
    let Some(host) = host() else { return false };
    told(tls_alpn_01::look_at(der, &host, &sha256(KEY_AUTHORIZATION)))
}

fn told(result: Result<(), Failure>) -> bool {
    match result {
        Ok(()) => true,
        Err(Failure { detail, .. }) => {
            assert!(is_printable(&detail) && detail.len() < WORDS_MAX_BYTES, "{detail}");
            false
        }
    }
}

fn is_printable(text: &str) -> bool {
    text.bytes().all(|byte| (0x20..0x7f).contains(&byte))
}

fn host() -> Option<Host> {
    DnsName::parse(NAME).ok().map(Host::Name)
}

fn runtime() -> Option<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_time().build().ok()
}

#[cfg(test)]
mod tests;
