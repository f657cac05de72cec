//! The harness of the stories in `tests/tests`: it starts the real `ingam` process and looks at it from the outside.
//!
//! Nothing here knows a crate of the server. What is known is what any stranger could know: the RFCs, the command
//! line, the config file and the files in the state folder.
//!
//! - [`server`] runs the process as `ingam dev`, [`service`] as `ingam init` and `ingam serve`; [`ports`] finds it free
//!   ports; [`site`] says where a CA is and what verifies it.
//! - [`client`] is a small ACME client, made to be quick under load and to send wrong things on purpose. It is built
//!   from [`jws`] (keys and signatures), [`http`] (one kept-alive connection) and [`challenge`] (answers to http-01, dns-01).
//! - [`certificate`] reads what came back, [`ocsp`] asks for statuses without a process for each question, and
//!   [`openssl`] lets somebody else judge chain, OCSP answer and CRL; [`judge`] and [`pkilint`] files of
//!   every kind.
//! - [`curl`] asks for statuses by every version of HTTP, with TLS or without.
//! - [`certbot`] is that client, where more than one story needs it.
//! - [`operator`] is whoever runs the CA: the command line, client certificates, the admin API over mutual TLS;
//!   [`transcript`] plays written sessions of the command line again.
//! - [`perspective`] runs `ingam serve --role perspective` in several places, each of which [`names`] shows an Internet of its
//!   own.
//! - [`planted`] looks for what was planted, in every form, in every byte of every file.
//! - [`expression`] finds the names in a PromQL expression.
//! - [`token`] is SoftHSM, on which keys of CAs can be.
//! - [`forward`] makes a port of a Unix socket, [`proxy`] runs nginx and HAProxy, [`apache`] Apache, [`fetched`] finds programs that are
//!   not installed.
//! - [`command`] runs foreign programs under a time limit, [`pebble`] starts another CA for comparison, [`random`] is
//!   randomness with a seed that a failed test prints.
//!
//! The harness panics where it cannot go on: in a test that is a failure with a sentence.

pub mod apache;
pub mod certbot;
pub mod certificate;
pub mod challenge;
pub mod client;
pub mod command;
pub mod curl;
pub mod error;
pub mod expression;
pub mod fetched;
pub mod forward;
pub mod http;
pub mod judge;
pub mod jws;
pub mod names;
pub mod ocsp;
pub mod openssl;
pub mod operator;
pub mod pebble;
pub mod perspective;
pub mod pkilint;
pub mod planted;
pub mod ports;
pub mod proxy;
pub mod random;
pub mod server;
pub mod service;
pub mod site;
pub mod token;
pub mod transcript;

pub use error::Error;
