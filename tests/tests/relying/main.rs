//! Programs that rely on OCSP, none of them written here, ask a running CA, each in its own way, and get what they need:
//! openssl, GnuTLS, pyca/cryptography and NSS; nginx, Apache and HAProxy, which staple; Firefox, which is told to insist, and which
//! insists by itself where a certificate says that its server staples.
//!
//! Each sees certificates of an issuer that answers by itself and of one that has a delegate do it, good ones and revoked
//! ones. Not a failure: whether a server staples an answer that says revoked (Apache and HAProxy do, nginx does not).

mod browser;
mod insisting;
mod marionette;
mod programs;
mod stapling;
mod world;
