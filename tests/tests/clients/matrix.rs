//! What a client can do, as its story showed it, and the table of all clients in docs/clients.md.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::OnceLock;

/// What somebody may want of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ability {
    Register,
    Http01,
    Dns01,
    TlsAlpn01,
    Wildcard,
    Ecdsa,
    Rsa,
    Renew,
    RenewalInfo,
    Profile,
    ExternalAccount,
    RevokeByAccount,
    RevokeByCertificateKey,
    KeyRollover,
    Contacts,
    Deactivate,
}

impl Ability {
    /// All of them, in the table's order.
    pub const ALL: [Self; 16] = [
        Self::Register,
        Self::Http01,
        Self::Dns01,
        Self::TlsAlpn01,
        Self::Wildcard,
        Self::Ecdsa,
        Self::Rsa,
        Self::Renew,
        Self::RenewalInfo,
        Self::Profile,
        Self::ExternalAccount,
        Self::RevokeByAccount,
        Self::RevokeByCertificateKey,
        Self::KeyRollover,
        Self::Contacts,
        Self::Deactivate,
    ];

    /// Its row's name in the table.
    pub fn title(self) -> &'static str {
        match self {
            Self::Register => "register",
            Self::Http01 => "http-01",
            Self::Dns01 => "dns-01",
            Self::TlsAlpn01 => "tls-alpn-01",
            Self::Wildcard => "wildcard",
            Self::Ecdsa => "EC key",
            Self::Rsa => "RSA key",
            Self::Renew => "renew",
            Self::RenewalInfo => "ARI",
            Self::Profile => "profile",
            Self::ExternalAccount => "EAB",
            Self::RevokeByAccount => "revoke, account key",
            Self::RevokeByCertificateKey => "revoke, certificate key",
            Self::KeyRollover => "account key rollover",
            Self::Contacts => "change contacts",
            Self::Deactivate => "deactivate account",
        }
    }
}

/// What came of one ability.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cell {
    /// The client did it, and the result was looked at.
    Shown,
    /// The client has no way to do it: why.
    Lacking(&'static str),
    /// The client can do it, and the server does not offer it yet.
    NotOffered,
}

/// One client's part of the table.
#[derive(Debug, Clone)]
pub struct Column {
    /// How the table calls it.
    pub client: &'static str,
    /// What the client said when it was asked for its version.
    pub version: String,
    /// By ability, one each.
    pub cells: BTreeMap<Ability, Cell>,
}

/// What one client is put through: told once in a process, whoever wants to hear it.
pub struct Story {
    told: OnceLock<Option<Column>>,
    tell: fn() -> Pin<Box<dyn Future<Output = Column>>>,
}

impl Story {
    /// A story that nobody has told yet.
    pub const fn new(tell: fn() -> Pin<Box<dyn Future<Output = Column>>>) -> Self {
        Self { told: OnceLock::new(), tell }
    }

    /// What the story came to; `None` if it failed, which the test that told it has written out.
    pub fn column(&self) -> Option<&Column> {
        let told = self.told.get_or_init(|| {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
            let runtime = runtime.expect("a runtime");
            catch_unwind(AssertUnwindSafe(|| runtime.block_on((self.tell)()))).ok()
        });
        told.as_ref()
    }

    /// Tells the story if nobody has, and fails the test if it fails.
    #[track_caller]
    pub fn succeeds(&self) -> &Column {
        self.column().expect("the story of this client failed: above, or with the test `whole`")
    }
}

/// The table, and below it why a client cannot do something, as Markdown.
pub fn markdown(columns: &[&Column]) -> String {
    let mut text = String::from("| |");
    for column in columns {
        write!(text, " {} |", column.client).expect("a string takes any text");
    }
    text.push_str("\n|---|");
    text.push_str(&"---|".repeat(columns.len()));
    text.push('\n');
    for ability in Ability::ALL {
        write!(text, "| {} |", ability.title()).expect("a string takes any text");
        for column in columns {
            let mark = match column.cells[&ability] {
                Cell::Shown => "yes",
                Cell::Lacking(_) => "–",
                Cell::NotOffered => "not yet",
            };
            write!(text, " {mark} |").expect("a string takes any text");
        }
        text.push('\n');
    }
    text.push_str("\nWhy there is a dash:\n\n");
    for column in columns {
        let lacking: Vec<String> = column.cells.iter().filter_map(reason).collect();
        if !lacking.is_empty() {
            writeln!(text, "- {}: {}.", column.client, lacking.join("; ")).expect("a string takes any text");
        }
    }
    text
}

fn reason((ability, cell): (&Ability, &Cell)) -> Option<String> {
    match cell {
        Cell::Lacking(why) => Some(format!("{}: {why}", ability.title())),
        Cell::Shown | Cell::NotOffered => None,
    }
}
