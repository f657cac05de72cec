//! ACME clients that nobody here wrote, each put through everything that it can do, against the real process.
//!
//! Each file is one client: register, issue in every way, renew, revoke, change the account's key and contacts, end the
//! account. openssl judges chains and statuses; what became of an account, operators look up. What a client has no way
//! to do stands in its file with the reason; an ability that is in neither fails the story. `whole` prints the table of
//! them all and holds docs/clients.md against it; `INGAM_TRANSCRIPTS=write` writes it there. A failure: a client is
//! missing. Not a failure: what a client prints, and another version of it than the page tells.

mod acme_client;
mod acme_library;
mod apache;
mod caddy;
mod certbot;
mod dehydrated;
mod driver;
mod instant_acme;
mod lego;
mod lego_four;
mod matrix;
mod uacme;
mod whole;
mod world;

/// Whether a directory without `renewalInfo` (RFC 9773) is a failure.
const RENEWAL_INFO_IS_OFFERED: bool = true;
/// Whether it is a failure that operators can make no keys for external accounts (RFC 8555, section 7.3.4).
const EAB_IS_OFFERED: bool = true;
