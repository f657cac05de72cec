//! DER (X.690), as little of it as certificate status needs: a [`Writer`] that writes back to front, and a strict
//! [`Reader`].
//!
//! The writer fills its buffer from the end, so that every length is known when it has to be written and nothing is
//! moved or measured twice. The reader accepts one encoding of each value only: definite and shortest lengths, shortest
//! integers, no bytes left over. It never calls itself; how deep a structure is read is what the caller writes down.

mod reader;
mod writer;

pub use reader::{Element, Error, Reader};
pub use writer::Writer;

/// Tags of the types in use (X.690, section 8.1.2), with the bit for constructed values already in.
pub mod tag {
    /// BOOLEAN.
    pub const BOOLEAN: u8 = 0x01;
    /// INTEGER.
    pub const INTEGER: u8 = 0x02;
    /// BIT STRING.
    pub const BIT_STRING: u8 = 0x03;
    /// OCTET STRING.
    pub const OCTET_STRING: u8 = 0x04;
    /// NULL.
    pub const NULL: u8 = 0x05;
    /// OBJECT IDENTIFIER.
    pub const OBJECT_IDENTIFIER: u8 = 0x06;
    /// ENUMERATED.
    pub const ENUMERATED: u8 = 0x0a;
    /// UTF8String.
    pub const UTF8_STRING: u8 = 0x0c;
    /// UTCTime.
    pub const UTC_TIME: u8 = 0x17;
    /// GeneralizedTime.
    pub const GENERALIZED_TIME: u8 = 0x18;
    /// SEQUENCE and SEQUENCE OF.
    pub const SEQUENCE: u8 = 0x30;
    /// SET and SET OF.
    pub const SET: u8 = 0x31;

    /// The tag `[number]` of a context, around another value (EXPLICIT) or in place of a constructed one's tag.
    /// Only the five lowest bits of `number` count.
    pub const fn context(number: u8) -> u8 {
        0xa0 | (number & 0x1f)
    }

    /// The tag `[number]` of a context in place of a primitive value's tag (IMPLICIT). Only the five lowest bits of
    /// `number` count.
    pub const fn context_primitive(number: u8) -> u8 {
        0x80 | (number & 0x1f)
    }
}
