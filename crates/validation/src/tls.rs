//! TLS towards servers that nothing is known of yet.
//!
//! Neither configuration looks who signed a certificate: http-01's redirects to `https` ignore certificates (a site
//! that is getting its first one has none that holds), and tls-alpn-01 looks at its certificate itself. The provider
//! is named here, and never installed for the whole process.

use std::io;
use std::sync::Arc;

use ingam_protocol::Bytes;
use ingam_protocol::acme::ErrorType;
use ingam_protocol::identifier::Host;
use ring::digest;
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls13_signature_with_raw_key};
use rustls::{AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::config::{Config, ConfigError};
use crate::dial::words;
use crate::evidence::TlsFacts;
use crate::label;
use crate::outcome::Failure;
use crate::quote::printable;

/// The application protocol of RFC 8737, section 6.2.
pub(crate) const ACME_TLS: &[u8] = b"acme-tls/1";

/// The largest certificate that is kept as evidence.
const CERTIFICATE_MAX_BYTES: usize = 16 * 1024;

/// The two ways in which TLS is spoken here.
pub(crate) struct Tls {
    /// For http-01's redirects to `https`: no certificate is looked at.
    https: TlsConnector,
    /// For tls-alpn-01: `acme-tls/1` and nothing else; the server must own its certificate's key.
    acme_tls: TlsConnector,
}

impl Tls {
    pub(crate) fn new() -> Result<Self, ConfigError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let algorithms = provider.signature_verification_algorithms;
        let https = client(&provider, Arc::new(AnyCertificate { algorithms }), b"http/1.1")?;
        let acme_tls = client(&provider, Arc::new(OwnKey { algorithms }), ACME_TLS)?;
        Ok(Self { https, acme_tls })
    }

    /// A TLS connection over `stream` whose server may show whatever certificate it likes.
    pub(crate) async fn connect_https<S>(
        &self,
        host: &Host,
        stream: S,
        config: &Config,
    ) -> Result<TlsStream<S>, Failure>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        handshake(&self.https, Peer { host, server_name: host.to_string() }, stream, config).await
    }

    /// A TLS connection over `stream` that offered `acme-tls/1` alone, to a server that owns its certificate's key.
    ///
    /// An address is asked for by its name in the reverse zones (RFC 8738, section 6).
    pub(crate) async fn connect_acme_tls<S>(
        &self,
        host: &Host,
        stream: S,
        config: &Config,
    ) -> Result<TlsStream<S>, Failure>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let server_name = match host {
            Host::Name(name) => name.to_string(),
            Host::Address(address) => label::reverse_zone(*address),
        };
        handshake(&self.acme_tls, Peer { host, server_name }, stream, config).await
    }
}

/// Who is to answer.
struct Peer<'a> {
    /// As it is called in messages.
    host: &'a Host,
    /// As it is asked for in the handshake.
    server_name: String,
}

fn client(
    provider: &Arc<CryptoProvider>,
    verifier: Arc<dyn ServerCertVerifier>,
    application_protocol: &[u8],
) -> Result<TlsConnector, ConfigError> {
    let mut config = ClientConfig::builder_with_provider(Arc::clone(provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| ConfigError::new(format!("TLS: {error}")))?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    config.alpn_protocols = vec![application_protocol.to_vec()];
    // Nothing of one validation may be used in another.
    config.resumption = Resumption::disabled();
    Ok(TlsConnector::from(Arc::new(config)))
}

async fn handshake<S>(
    connector: &TlsConnector,
    peer: Peer<'_>,
    stream: S,
    config: &Config,
) -> Result<TlsStream<S>, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let Peer { host, server_name } = peer;
    let server = ServerName::try_from(server_name)
        .map_err(|_| Failure::new(ErrorType::Malformed, format!("{host} cannot be a TLS server name")))?;
    match timeout(config.handshake_timeout(), connector.connect(server, stream)).await {
        Err(_) => Err(Failure::connection(format!("TLS: the handshake with {host} did not end in time"))),
        Ok(Err(error)) => Err(handshake_failure(host, &error)),
        Ok(Ok(stream)) => Ok(stream),
    }
}

fn handshake_failure(host: &Host, error: &io::Error) -> Failure {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    let detail = match inner {
        None => {
            return Failure::connection(format!("TLS: the handshake with {host} failed: {}", words(error)));
        }
        Some(rustls::Error::AlertReceived(AlertDescription::NoApplicationProtocol)) => {
            "the server does not speak the application protocol that was offered".to_owned()
        }
        Some(rustls::Error::InvalidMessage(_)) => {
            "the answer is not TLS; is this a plain HTTP port?".to_owned()
        }
        Some(other) => printable(other.to_string().as_bytes(), 160),
    };
    Failure::new(ErrorType::Tls, format!("TLS: the handshake with {host} failed: {detail}"))
}

/// What the handshake settled; the certificate itself only if it is to be kept.
pub(crate) fn facts<S>(stream: &TlsStream<S>, keep_certificate: bool) -> TlsFacts {
    let (_, connection) = stream.get_ref();
    let certificate = connection.peer_certificates().and_then(|chain| chain.first());
    TlsFacts {
        version: connection.protocol_version().map(|version| format!("{version:?}")),
        application_protocol: connection.alpn_protocol().map(|protocol| printable(protocol, 32)),
        certificate_sha256: certificate
            .map(|certificate| Bytes::from(digest::digest(&digest::SHA256, certificate).as_ref())),
        certificate: certificate
            .filter(|certificate| keep_certificate && certificate.len() <= CERTIFICATE_MAX_BYTES)
            .map(|certificate| Bytes::from(certificate.as_ref())),
    }
}

/// Takes any certificate and any signature: the connection is no more trusted than plain HTTP.
#[derive(Debug)]
struct AnyCertificate {
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let mut schemes = self.algorithms.supported_schemes();
        // Nothing is verified, so servers with keys that we cannot verify are welcome too.
        schemes.push(SignatureScheme::ECDSA_NISTP521_SHA512);
        schemes
    }
}

/// Takes any certificate, but verifies that the server signed the handshake with its key.
///
/// The usual functions parse the certificate by webpki, which refuses the critical acmeIdentifier extension that
/// RFC 8737, section 3, asks for. So the key is taken out and used bare.
#[derive(Debug)]
struct OwnKey {
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for OwnKey {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        // The certificate is looked at after the handshake, where there are words for what is wrong with it.
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let spki = public_key(certificate)?;
        let key = webpki::RawPublicKeyEntity::try_from(&spki)
            .map_err(|_| rustls::Error::InvalidCertificate(CertificateError::BadEncoding))?;
        // In TLS 1.2 the scheme does not fix the curve, so each algorithm of the scheme may be the one.
        let algorithms = self
            .algorithms
            .mapping
            .iter()
            .filter(|(scheme, _)| *scheme == signature.scheme)
            .flat_map(|(_, algorithms)| algorithms.iter());
        for algorithm in algorithms {
            if key.verify_signature(*algorithm, message, signature.signature()).is_ok() {
                return Ok(HandshakeSignatureValid::assertion());
            }
        }
        Err(rustls::Error::InvalidCertificate(CertificateError::BadSignature))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature_with_raw_key(message, &public_key(certificate)?, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

fn public_key(certificate: &CertificateDer<'_>) -> Result<SubjectPublicKeyInfoDer<'static>, rustls::Error> {
    let (_, parsed) = X509Certificate::from_der(certificate)
        .map_err(|_| rustls::Error::InvalidCertificate(CertificateError::BadEncoding))?;
    Ok(SubjectPublicKeyInfoDer::from(parsed.tbs_certificate.subject_pki.raw.to_vec()))
}
