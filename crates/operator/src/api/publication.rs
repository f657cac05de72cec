//! What the responder gives out, for whoever gives it out in its place.

use ingam_protocol::Bytes;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The OCSP answers about one certificate.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct OcspAnswers {
    /// Its serial number, hexadecimal.
    pub serial: String,
    /// The issuer's name inside the CA.
    pub issuer: String,
    /// DER of the OCSPResponse for each CertID that clients send, by SHA-1 and by SHA-256, base64url.
    #[schema(value_type = Vec<String>)]
    pub answers: Vec<Bytes>,
}

/// The files that the responder publishes beside OCSP.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct PublicationPaths {
    /// The path of the base of all URLs, without a slash at the end; empty where they have none.
    pub base: String,
    /// The path of each file, with a slash in front.
    pub paths: Vec<String>,
}

/// A checkpoint of the log of records, and who cosigned it.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CosignedCheckpoint {
    /// The signed note, whole, with the witnesses' lines.
    #[schema(max_length = 65536)]
    pub note: String,
}

/// Who has cosigned a checkpoint.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Cosigners {
    /// The names of the witnesses whose signatures were taken.
    pub witnesses: Vec<String>,
}

/// A part of a published file.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct PublicationPart {
    /// The media type of the file.
    pub content_type: String,
    /// SHA-256 of the whole file, hexadecimal: parts of one file have the same.
    pub sha256: String,
    /// How many bytes the whole file has.
    pub size: u64,
    /// The bytes of this part, base64url.
    #[schema(value_type = String)]
    pub body: Bytes,
}
