//! The privacy page: what the CA does with data about people, made from the running configuration, so that page and
//! behaviour cannot drift apart.
//!
//! ```text
//! configuration ─▶ Facts ─▶ Statement (words, in each language) ─▶ Page (HTML) ─┐
//!                    │                                                          ├─▶ PrivacyPage: answers GET and HEAD
//!                    ├──────────────────────────────────────────▶ JSON twin ────┘
//!                    └─▶ difference from the facts before: what a new version says that it changed
//! ```
//!
//! - [`Facts`] is what is so, without a word of any language; the JSON twin is made of it.
//! - [`Version`] is a state of the page that was once in force, with its date and what it changed. Who keeps them is not
//!   this crate's matter.
//! - `statement` has the words, `english` and `korean` those of each language; `page` the HTML.

mod changes;
mod config;
mod facts;
mod page;
mod service;
mod statement;
mod words;

pub use changes::{Change, Version, changes};
pub use config::{Authority, Config, Contact, ContactPurpose, Contacts, Processor};
pub use facts::{
    Basis, ByAcme, ContactFacts, Facts, InForce, Kept, Operator, Purpose, RequestLogFacts, SharedFacts,
    classes,
};
pub use service::{PrivacyPage, digest_of};
pub use words::Language;
