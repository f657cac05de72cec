//! Why keys are refused: a stable short name for each check, for logs and metrics, and words for the client.

use std::fmt;

/// A check that a key did not pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyFlaw {
    /// It is not encoded as it has to be.
    Malformed,
    /// Its kind, curve or form is none of those that are served.
    Unsupported,
    /// Its private parts came along.
    PrivateParts,
    /// The modulus is too short, too long, or no multiple of 8 bits (BR 6.1.5).
    RsaSize,
    /// The public exponent is not 65537, the one number that everybody uses (BR 6.1.6 allows more).
    RsaExponent,
    /// The modulus is even.
    RsaEven,
    /// The modulus has a factor below 752 (BR 6.1.6).
    RsaSmallFactor,
    /// The modulus has the structure of CVE-2017-15361 (BR 6.1.1.3).
    RsaRoca,
    /// The modulus is factored by 100 rounds of Fermat's method (BR 6.1.1.3).
    RsaClosePrimes,
    /// The point is not on the curve, or not in its only encoding (BR 6.1.6).
    NotOnCurve,
    /// The point is in a small group, where anybody can sign.
    SmallOrder,
    /// The key is zero, where anybody can sign.
    MlDsaZero,
    /// It is on one of the lists of CVE-2008-0166 that the operator keeps (BR 6.1.1.3).
    DebianWeak,
    /// It is on one of the operator's other lists of keys that are known to everybody.
    Listed,
    /// Operators blocked it, or its holder showed that it is known to others (BR 6.1.1.3).
    Blocked,
}

impl KeyFlaw {
    /// All of them.
    pub const ALL: [Self; 15] = [
        Self::Malformed,
        Self::Unsupported,
        Self::PrivateParts,
        Self::RsaSize,
        Self::RsaExponent,
        Self::RsaEven,
        Self::RsaSmallFactor,
        Self::RsaRoca,
        Self::RsaClosePrimes,
        Self::NotOnCurve,
        Self::SmallOrder,
        Self::MlDsaZero,
        Self::DebianWeak,
        Self::Listed,
        Self::Blocked,
    ];

    /// Its short name, which never changes.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Unsupported => "unsupported",
            Self::PrivateParts => "private_parts",
            Self::RsaSize => "rsa_size",
            Self::RsaExponent => "rsa_exponent",
            Self::RsaEven => "rsa_even",
            Self::RsaSmallFactor => "rsa_small_factor",
            Self::RsaRoca => "rsa_roca",
            Self::RsaClosePrimes => "rsa_close_primes",
            Self::NotOnCurve => "not_on_curve",
            Self::SmallOrder => "small_order",
            Self::MlDsaZero => "ml_dsa_zero",
            Self::DebianWeak => "debian_weak",
            Self::Listed => "listed",
            Self::Blocked => "blocked",
        }
    }
}

/// Why a key is refused; the words name the check, say what to do next, and go to the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadKey {
    flaw: KeyFlaw,
    detail: String,
}

impl BadKey {
    pub(super) fn new(flaw: KeyFlaw, detail: impl Into<String>) -> Self {
        Self { flaw, detail: detail.into() }
    }

    /// Which check it was.
    pub fn flaw(&self) -> KeyFlaw {
        self.flaw
    }
}

impl fmt::Display for BadKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl std::error::Error for BadKey {}
