//! http-01: a file under `/.well-known/acme-challenge/` of a name (RFC 8555, section 8.3) or an address (RFC 8738, section 4).

mod exchange;
mod target;

use ingam_protocol::identifier::Host;

use crate::dial::Network;
use crate::evidence::{Evidence, Hop, TEXT_MAX};
use crate::outcome::Failure;
use crate::quote::{printable, quote};
use crate::sought::File;
use crate::tls;

use exchange::Answer;
use target::{Scheme, Target};

/// The most redirects that are followed.
const REDIRECTS_MAX: usize = 10;

/// The largest body that is read; a key authorization has about 90 bytes.
const BODY_MAX_BYTES: usize = 10 * 1024;

pub(crate) async fn validate(
    network: &Network,
    host: &Host,
    file: &File,
    evidence: &mut Evidence,
) -> Result<(), Failure> {
    let mut target = Target::first(host, &file.token, network.config.http_port)?;
    for _ in 0..=REDIRECTS_MAX {
        match ask(network, &target, evidence).await? {
            Answer::Redirect(location) => target = target.redirect(&location, &network.config)?,
            Answer::File(body) => return compare(&target, &body, &file.key_authorization),
        }
    }
    Err(Failure::connection(format!(
        "HTTP: more than {REDIRECTS_MAX} redirects, the last to {}",
        target.shown()
    )))
}

/// Asks one server. Every hop resolves its name anew, so that no earlier answer decides where a later one goes.
async fn ask(network: &Network, target: &Target, evidence: &mut Evidence) -> Result<Answer, Failure> {
    evidence.hops.push(Hop::new(Some(target.shown()), target.host(), target.port()));
    let stream = network.dial(target.host(), target.port(), evidence).await?;
    match target.scheme() {
        Scheme::Http => exchange::request(stream, target, &network.config, evidence).await,
        Scheme::Https => {
            let stream = network.tls.connect_https(target.host(), stream, &network.config).await?;
            if let Some(hop) = evidence.hop() {
                hop.tls = Some(tls::facts(&stream, false));
            }
            exchange::request(stream, target, &network.config, evidence).await
        }
    }
}

/// What a whole answer over this connection would show, if the challenge's own URL gave it.
#[cfg(any(test, feature = "damage"))]
pub(crate) async fn one_answer<S>(
    stream: S,
    host: &Host,
    file: &File,
    config: &crate::config::Config,
    evidence: &mut Evidence,
) -> Result<(), Failure>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let target = Target::first(host, &file.token, config.http_port)?;
    evidence.hops.push(Hop::new(Some(target.shown()), target.host(), target.port()));
    match exchange::request(stream, &target, config, evidence).await? {
        Answer::Redirect(location) => {
            target.redirect(&location, config)?;
            Err(Failure::connection("a redirect shows nothing by itself"))
        }
        Answer::File(body) => compare(&target, &body, &file.key_authorization),
    }
}

/// The file must be the key authorization; white space after it is ignored (RFC 8555, section 8.3).
fn compare(target: &Target, body: &[u8], key_authorization: &str) -> Result<(), Failure> {
    if body.trim_ascii_end() == key_authorization.as_bytes() {
        return Ok(());
    }
    Err(Failure::unauthorized(format!(
        "HTTP: the file at {} is not what was asked for: found {}; expected {}",
        target.shown(),
        quote(body),
        printable(key_authorization.as_bytes(), TEXT_MAX),
    )))
}

#[cfg(test)]
mod tests;
