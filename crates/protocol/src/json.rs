//! JSON from outside, read strictly: objects only, no member twice, of bounded depth and size, and refused in words of our
//! own, which name the place and never repeat what stands there.
//!
//! ```text
//! bytes --Object::parse--> Object (members can be asked for) --read--> a type that derives `Deserialize`
//! ```
//!
//! Members that the type does not know are ignored (RFC 8555, section 7.1.1; RFC 7515, section 7.2.1).

mod reader;

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// Objects and arrays stand in one another at most this deep: an order's identifiers stand three deep.
pub const DEPTH_MAX: usize = 16;

/// At most this many values are in one text: an order of a hundred names has some three hundred.
pub const VALUES_MAX: usize = 4096;

/// How serde_json marks values inside itself: a member of such a name would turn a string into the JSON that it holds.
const RESERVED: &str = "$serde_json::private::";

/// A JSON object in UTF-8, with nothing behind it.
#[derive(Clone, Debug, Default)]
pub struct Object(Map<String, Value>);

/// Why JSON is refused; the words go to the client and read on from "it" or from the name of what was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadJson {
    /// Where: `identifiers[0].type`; empty for the whole.
    place: String,
    /// What is wrong there.
    what: String,
}

impl BadJson {
    fn new(what: impl Into<String>) -> Self {
        Self { place: String::new(), what: what.into() }
    }
}

impl fmt::Display for BadJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place.as_str() {
            "" => write!(f, "it {}", self.what),
            place => write!(f, "\"{place}\" {}", self.what),
        }
    }
}

impl std::error::Error for BadJson {}

impl Object {
    /// Reads an object.
    ///
    /// # Errors
    /// [`BadJson`] for anything else, for a member that is there twice at any depth, and for more than [`DEPTH_MAX`] or
    /// [`VALUES_MAX`] allow: nothing is read past the first thing that is wrong.
    pub fn parse(json: &[u8]) -> Result<Self, BadJson> {
        let text = std::str::from_utf8(json).map_err(|_| BadJson::new("is not UTF-8"))?;
        if !text.trim_ascii_start().starts_with('{') {
            return Err(BadJson::new("is no JSON object"));
        }
        let state = State { left: Cell::new(VALUES_MAX), why: Cell::new("is not valid JSON") };
        let mut reader = serde_json::Deserializer::from_str(text);
        let value = Tree { depth: DEPTH_MAX, state: &state }.deserialize(&mut reader);
        match value.and_then(|value| reader.end().map(|()| value)) {
            Ok(Value::Object(members)) => Ok(Self(members)),
            Ok(_) => Err(BadJson::new("is no JSON object")),
            Err(error) => {
                let (why, line, column) = (state.why.get(), error.line(), error.column());
                Err(BadJson::new(format!("{why}, at line {line} column {column}")))
            }
        }
    }

    /// Whether a member of this name is there, be it null.
    pub fn has(&self, member: &str) -> bool {
        self.0.contains_key(member)
    }

    /// Reads the members into a type. An array is never taken for an object, though serde would.
    ///
    /// # Errors
    /// [`BadJson`] names the member that is missing or of another type.
    pub fn read<T: DeserializeOwned>(self) -> Result<T, BadJson> {
        T::deserialize(reader::Reader(Value::Object(self.0)))
    }
}

/// What is left to be read, and why reading ended.
struct State {
    left: Cell<usize>,
    why: Cell<&'static str>,
}

/// Reads one value at so much depth.
#[derive(Clone, Copy)]
struct Tree<'a> {
    depth: usize,
    state: &'a State,
}

impl Tree<'_> {
    fn refuse<E: serde::de::Error>(self, why: &'static str) -> E {
        self.state.why.set(why);
        E::custom(why)
    }

    /// The reader of what is inside an array or an object.
    fn inside<E: serde::de::Error>(self) -> Result<Self, E> {
        let depth = self.depth.checked_sub(1);
        depth.map(|depth| Self { depth, ..self }).ok_or_else(|| self.refuse("is nested too deeply"))
    }

    fn count<E: serde::de::Error>(self, value: Value) -> Result<Value, E> {
        match self.state.left.get().checked_sub(1) {
            None => Err(self.refuse("has too many values")),
            Some(left) => {
                self.state.left.set(left);
                Ok(value)
            }
        }
    }
}

impl<'de> DeserializeSeed<'de> for Tree<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Tree<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<Value, E> {
        self.count(Value::Null)
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<Value, E> {
        self.count(value.into())
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Value, E> {
        self.count(value.into())
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Value, E> {
        self.count(value.into())
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        self.count(value.into())
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<Value, E> {
        self.count(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let inside = self.inside()?;
        let mut elements = Vec::new();
        while let Some(element) = access.next_element_seed(inside)? {
            elements.push(element);
        }
        self.count(Value::Array(elements))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let inside = self.inside()?;
        let mut members = Map::new();
        while let Some(name) = access.next_key::<String>()? {
            if members.contains_key(&name) {
                return Err(self.refuse("has a member twice"));
            }
            if name.starts_with(RESERVED) {
                return Err(self.refuse("has a member with a reserved name"));
            }
            members.insert(name, access.next_value_seed(inside)?);
        }
        self.count(Value::Object(members))
    }
}

#[cfg(test)]
mod tests;
