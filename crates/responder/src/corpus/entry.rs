//! One certificate's answer, in as few bytes as it takes: everything that does not follow from its issuer and from who signed.

use ingam_protocol::ocsp::CertStatus;
use ingam_protocol::{Reason, Serial, Timestamp};

/// How many bytes an entry takes, in memory and in a file.
pub(crate) const ENTRY_BYTES: usize = 94;
/// All certificates have their answers in memory: 100 million entries in 10 GB at most, under one hash.
const _: () = assert!(ENTRY_BYTES <= 100);
/// How many of them are the serial number, by which entries are sorted.
pub(super) const SERIAL_BYTES: usize = 20;

/// What stands in an entry's last byte but one where it is no reason of a revocation (RFC 5280, section 5.3.1).
const GOOD: u8 = 254;
const WITHDRAWN: u8 = 255;

/// What is known of a certificate's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// It says this.
    Status(CertStatus),
    /// It says something that is not so any more, and there is no other yet.
    Withdrawn,
}

/// A signature, and what it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) serial: Serial,
    pub(crate) told: Told,
    /// thisUpdate, and producedAt, in whole seconds.
    pub(crate) this_update: Timestamp,
    /// Which of its table's signers signed.
    pub(crate) signer: u8,
    /// Both numbers of an ECDSA signature on P-256.
    pub(crate) signature: [u8; 64],
}

impl Entry {
    /// `serial 20 | signature 64 | this_update u32 | revoked_at u32 | reason or state u8 | signer u8`, big-endian, times in
    /// seconds since the epoch: until 2106. `None` if a time does not fit.
    pub(crate) fn encode(&self) -> Option<[u8; ENTRY_BYTES]> {
        let seconds = |moment: Timestamp| u32::try_from(moment.unix_s()).ok();
        let (state, revoked_at) = match self.told {
            Told::Withdrawn => (WITHDRAWN, 0),
            Told::Status(CertStatus::Good) => (GOOD, 0),
            Told::Status(CertStatus::Revoked { at, reason }) => (reason.number(), seconds(at)?),
        };
        let mut bytes = [0; ENTRY_BYTES];
        let mut at = 0;
        let parts: [&[u8]; 6] = [
            &sortable(&self.serial),
            &self.signature,
            &seconds(self.this_update)?.to_be_bytes(),
            &revoked_at.to_be_bytes(),
            &[state],
            &[self.signer],
        ];
        for part in parts {
            bytes.get_mut(at..at + part.len())?.copy_from_slice(part);
            at += part.len();
        }
        Some(bytes)
    }

    /// `None` if the bytes are no entry.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (serial, rest) = bytes.split_first_chunk::<SERIAL_BYTES>()?;
        let (signature, rest) = rest.split_first_chunk::<64>()?;
        let (this_update, rest) = rest.split_first_chunk::<4>()?;
        let (revoked_at, rest) = rest.split_first_chunk::<4>()?;
        let &[state, signer] = rest else { return None };
        let moment = |seconds: &[u8; 4]| Timestamp::from_unix_s(u64::from(u32::from_be_bytes(*seconds)));
        let told = match state {
            WITHDRAWN => Told::Withdrawn,
            GOOD => Told::Status(CertStatus::Good),
            number => Told::Status(CertStatus::Revoked {
                at: moment(revoked_at),
                reason: Reason::from_number(number)?,
            }),
        };
        Some(Self {
            serial: Serial::from_be_bytes(serial)?,
            told,
            this_update: moment(this_update),
            signer,
            signature: *signature,
        })
    }
}

/// A serial number with zeros in front, so that the order of bytes is the order of numbers.
pub(super) fn sortable(serial: &Serial) -> [u8; SERIAL_BYTES] {
    let mut bytes = [0; SERIAL_BYTES];
    let digits = serial.as_bytes();
    let start = SERIAL_BYTES.saturating_sub(digits.len());
    for (place, digit) in bytes.iter_mut().skip(start).zip(digits) {
        *place = *digit;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_come_back_and_what_is_none_does_not() {
        let moment = Timestamp::from_unix_s(1_795_255_200);
        let revoked = |reason| Told::Status(CertStatus::Revoked { at: moment, reason });
        for told in [
            Told::Withdrawn,
            Told::Status(CertStatus::Good),
            revoked(Reason::Unspecified),
            revoked(Reason::KeyCompromise),
        ] {
            for serial in [&[1][..], &[0x7f; 20]] {
                let serial = Serial::from_be_bytes(serial).unwrap();
                let entry = Entry { serial, told, this_update: moment, signer: 3, signature: [9; 64] };
                let bytes = entry.encode().unwrap();
                assert_eq!(Entry::decode(&bytes), Some(entry));
                assert_eq!(Entry::decode(&bytes[1..]), None);
            }
        }
        assert_eq!(Entry::decode(&[0; ENTRY_BYTES]), None, "zero is no serial number");
        assert_eq!(Entry::decode(&[7; ENTRY_BYTES]), None, "there is no reason 7");
        let far = Timestamp::from_unix_s(1 << 32);
        let serial = Serial::from_be_bytes(&[1]).unwrap();
        let entry = Entry { serial, told: Told::Withdrawn, this_update: far, signer: 0, signature: [0; 64] };
        assert_eq!(entry.encode(), None);
    }
}
