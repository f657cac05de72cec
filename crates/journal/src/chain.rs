//! The chain: one hash that stands for every record of a class up to here, in order.

use ingam_protocol::record::Class;
use ring::digest::{Context, SHA256};

/// The hash at the end of a chain.
///
/// `head(0) = SHA-256("ingam journal chain v1\0" | class u8)`, then for each record
/// `head(n) = SHA-256("ingam journal link v1\0" | head(n - 1) | commitment(n))`. Commitments are salted in the record,
/// so a head tells nothing about records that are gone.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Head(pub [u8; 32]);

impl Head {
    /// The head of the chain that has no link yet.
    pub fn first(class: Class) -> Self {
        Self::hash(b"ingam journal chain v1\0", &[&[class.number()]])
    }

    /// The head once the record with this commitment was added.
    pub fn next(self, commitment: &[u8; 32]) -> Self {
        Self::hash(b"ingam journal link v1\0", &[&self.0, commitment])
    }

    fn hash(domain: &[u8], parts: &[&[u8]]) -> Self {
        let mut context = Context::new(&SHA256);
        context.update(domain);
        for part in parts {
            context.update(part);
        }
        let mut out = [0; 32];
        // A SHA-256 digest has 32 bytes.
        out.copy_from_slice(context.finish().as_ref());
        Self(out)
    }
}

impl std::fmt::Display for Head {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl std::fmt::Debug for Head {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}
