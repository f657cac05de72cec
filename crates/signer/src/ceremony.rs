//! Ceremonies: what is signed with a key that is not at hand every day. A root, a CA below another, a cross-certificate, an
//! OCSP responder's certificate, a CA's CRL, and a key with the request that it is certified by.
//!
//! [`File`] is what the operator wrote; [`Plan`] is that as checked types, with every mistake found at once (`plan`).
//! [`foresee`] adds what the certificate and the request show that it names (`ahead`).
//! [`hold`] reads the certificates and opens the keys (`material`), builds the bytes (`contents`), has a throwaway key sign
//! them and the lint judge that, before the CA's own key is used (BR 4.3.1.2); verifies what came out, and gives it with a
//! transcript for people (`transcript`). Nothing is written until [`Held::write`], and nothing is ever written over.
//!
//! In a rehearsal throwaway keys stand in for every CA's key that would sign, and nothing can be written.

mod ahead;
pub(crate) mod contents;
mod file;
mod hold;
mod keys;
mod material;
pub(crate) mod plan;
#[cfg(test)]
mod tests;
mod transcript;

pub use ahead::foresee;
pub use file::File;
pub use hold::{Held, Setting, hold};
pub use keys::{KeyPlace, Passphrases};
pub use plan::Plan;
