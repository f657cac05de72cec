//! A table of TOML as serde reads it, with a mistake that knows where it is and of what kind it is.
//!
//! The library's own errors are texts. Whoever wants to tell all mistakes has to take each one's value out of the table
//! and read on, and needs its path for that.

use std::fmt::Display;

use ingam_protocol::finding::dotted;
use serde::de::value::{StrDeserializer, StringDeserializer};
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, Error, Expected, IntoDeserializer, MapAccess, SeqAccess,
    Unexpected, Visitor,
};
use serde::forward_to_deserialize_any;
use toml::{Table, Value};

/// A step from a value to one in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Key(String),
    Index(usize),
}

/// What kind of mistake it is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The path ends with a key that nobody knows; these are known there.
    UnknownKey(&'static [&'static str]),
    /// The table at the path lacks this key.
    MissingKey(&'static str),
    /// One of these names should be there.
    Choice(&'static [&'static str]),
    /// Something else should be there, as serde calls it.
    Expected(String),
    /// The type itself refused the value, and said this.
    Other(String),
}

/// The first mistake in a table.
#[derive(Debug)]
pub(crate) struct Mistake {
    /// From the innermost step to the outermost: it grows on the way out.
    steps: Vec<Step>,
    pub(crate) kind: Kind,
}

impl Mistake {
    fn new(kind: Kind) -> Self {
        Self { steps: Vec::new(), kind }
    }

    fn within(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    /// Where it is, from the outermost step to the innermost.
    pub(crate) fn path(&self) -> Vec<Step> {
        self.steps.iter().rev().cloned().collect()
    }
}

/// The dotted path of these steps.
pub(crate) fn key_of(path: &[Step]) -> String {
    path.iter().fold(String::new(), |above, step| match step {
        Step::Key(key) => dotted(&above, key),
        Step::Index(index) => format!("{above}[{index}]"),
    })
}

impl Display for Mistake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {:?}", key_of(&self.path()), self.kind)
    }
}

impl std::error::Error for Mistake {}

impl Error for Mistake {
    fn custom<T: Display>(message: T) -> Self {
        Self::new(Kind::Other(message.to_string()))
    }

    fn invalid_type(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(Kind::Expected(expected.to_string()))
    }

    fn invalid_value(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(Kind::Expected(expected.to_string()))
    }

    fn invalid_length(_: usize, expected: &dyn Expected) -> Self {
        Self::new(Kind::Expected(expected.to_string()))
    }

    fn unknown_variant(_: &str, known: &'static [&'static str]) -> Self {
        Self::new(Kind::Choice(known))
    }

    fn unknown_field(_: &str, known: &'static [&'static str]) -> Self {
        Self::new(Kind::UnknownKey(known))
    }

    fn missing_field(field: &'static str) -> Self {
        Self::new(Kind::MissingKey(field))
    }
}

/// Reads a whole table.
///
/// # Errors
/// The first [`Mistake`].
pub(crate) fn read<T: DeserializeOwned>(table: &Table) -> Result<T, Mistake> {
    T::deserialize(Whole(table))
}

/// Takes the value at `path` out of the table; a path that leads nowhere changes nothing.
pub(crate) fn take_out(table: &mut Table, path: &[Step]) {
    let [Step::Key(first), rest @ ..] = path else { return };
    let [way @ .., last] = rest else {
        table.remove(first);
        return;
    };
    let mut value = table.get_mut(first);
    for step in way {
        value = value.and_then(|value| inner_mut(value, step));
    }
    match (value, last) {
        (Some(Value::Table(table)), Step::Key(key)) => drop(table.remove(key)),
        (Some(Value::Array(values)), Step::Index(index)) if *index < values.len() => {
            values.remove(*index);
        }
        _ => {}
    }
}

/// The value at `path`.
pub(crate) fn value_at<'t>(table: &'t Table, path: &[Step]) -> Option<&'t Value> {
    let [Step::Key(first), rest @ ..] = path else { return None };
    rest.iter().try_fold(table.get(first)?, |value, step| match (value, step) {
        (Value::Table(table), Step::Key(key)) => table.get(key),
        (Value::Array(values), Step::Index(index)) => values.get(*index),
        _ => None,
    })
}

fn inner_mut<'t>(value: &'t mut Value, step: &Step) -> Option<&'t mut Value> {
    match (value, step) {
        (Value::Table(table), Step::Key(key)) => table.get_mut(key),
        (Value::Array(values), Step::Index(index)) => values.get_mut(*index),
        _ => None,
    }
}

/// The file's own table.
struct Whole<'t>(&'t Table);

impl<'de> Deserializer<'de> for Whole<'_> {
    type Error = Mistake;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistake> {
        visitor.visit_map(Entries { entries: self.0.iter(), next: None })
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

/// A value in it.
struct Node<'t>(&'t Value);

impl<'de> Deserializer<'de> for Node<'_> {
    type Error = Mistake;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistake> {
        match self.0 {
            Value::String(text) => visitor.visit_str(text),
            Value::Integer(number) => visitor.visit_i64(*number),
            Value::Float(number) => visitor.visit_f64(*number),
            Value::Boolean(flag) => visitor.visit_bool(*flag),
            // No key is a date; whoever expects anything else says so.
            Value::Datetime(_) => Err(Error::invalid_type(Unexpected::Other("a date"), &visitor)),
            Value::Array(values) => visitor.visit_seq(Elements { values: values.iter(), index: 0 }),
            Value::Table(table) => Whole(table).deserialize_any(visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistake> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Mistake> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        names: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mistake> {
        match self.0 {
            Value::String(name) => {
                let name: StrDeserializer<'_, Mistake> = name.as_str().into_deserializer();
                visitor.visit_enum(name)
            }
            _ => Err(Mistake::new(Kind::Choice(names))),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mistake> {
        match self.0 {
            // A derived visitor would take a list for the fields in their order.
            Value::Table(table) => Whole(table).deserialize_any(visitor),
            _ => Err(Mistake::new(Kind::Expected("a table".to_owned()))),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        seq tuple tuple_struct map identifier ignored_any
    }
}

struct Entries<'t> {
    entries: toml::map::Iter<'t, String, Value>,
    next: Option<(&'t String, &'t Value)>,
}

impl<'de> MapAccess<'de> for Entries<'_> {
    type Error = Mistake;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Mistake> {
        self.next = self.entries.next();
        let Some((key, _)) = self.next else { return Ok(None) };
        let name: StringDeserializer<Mistake> = key.clone().into_deserializer();
        seed.deserialize(name).map(Some).map_err(|mistake| mistake.within(Step::Key(key.clone())))
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Mistake> {
        let (key, value) = self.next.take().ok_or_else(|| Mistake::custom("a value without a key"))?;
        seed.deserialize(Node(value)).map_err(|mistake| mistake.within(Step::Key(key.clone())))
    }
}

struct Elements<'t> {
    values: std::slice::Iter<'t, Value>,
    index: usize,
}

impl<'de> SeqAccess<'de> for Elements<'_> {
    type Error = Mistake;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Mistake> {
        let Some(value) = self.values.next() else { return Ok(None) };
        let index = self.index;
        self.index += 1;
        seed.deserialize(Node(value)).map(Some).map_err(|mistake| mistake.within(Step::Index(index)))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::net::SocketAddr;

    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Example {
        #[serde(default)]
        count: Option<u16>,
        #[serde(default)]
        addresses: Vec<SocketAddr>,
        #[serde(default)]
        kinds: BTreeMap<String, Kinds>,
        #[serde(default)]
        share: f64,
        #[serde(default)]
        part: Part,
        name: String,
    }

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(default)]
    struct Part {
        size: u8,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Kinds {
        Red,
        Green,
    }

    fn mistake(text: &str) -> (String, Kind) {
        let table: Table = text.parse().unwrap();
        let mistake = read::<Example>(&table).unwrap_err();
        (key_of(&mistake.path()), mistake.kind)
    }

    #[test]
    fn it_reads_what_the_library_reads() {
        let text =
            "name = 'a'\ncount = 7\naddresses = ['127.0.0.1:1']\nkinds = { 'a b' = 'red' }\nshare = 0.5";
        let table: Table = text.parse().unwrap();
        assert_eq!(read::<Example>(&table).unwrap(), toml::from_str::<Example>(text).unwrap());
    }

    #[test]
    fn mistakes_know_where_they_are() {
        let known: &[&str] = &["count", "addresses", "kinds", "share", "part", "name"];
        let expected = |what: &str| Kind::Expected(what.to_owned());
        for (text, key, kind) in [
            ("nam = 'a'", "nam", Kind::UnknownKey(known)),
            ("count = 1", "", Kind::MissingKey("name")),
            ("name = 1", "name", expected("a string")),
            ("name = 1979-05-27", "name", expected("a string")),
            ("count = 65536", "count", expected("u16")),
            ("count = -1", "count", expected("u16")),
            ("addresses = 'nowhere'", "addresses", expected("a sequence")),
            ("kinds = [1]", "kinds", expected("a map")),
            ("part = []", "part", expected("a table")),
            ("[kinds]\n'a b' = 'blue'", "kinds.\"a b\"", Kind::Choice(&["red", "green"])),
            ("[kinds]\na = 1", "kinds.a", Kind::Choice(&["red", "green"])),
        ] {
            assert_eq!(mistake(text), (key.to_owned(), kind), "{text}");
        }
        let (key, kind) = mistake("addresses = ['127.0.0.1:1', 'nowhere']");
        assert_eq!(key, "addresses[1]");
        assert!(matches!(kind, Kind::Other(_)), "{kind:?}");
    }

    #[test]
    fn values_are_found_and_taken_out_by_their_path() {
        let mut table: Table = "a = [{ b = 1, c = 2 }, 3]".parse().unwrap();
        let path = [Step::Key("a".into()), Step::Index(0), Step::Key("b".into())];
        assert_eq!(value_at(&table, &path), Some(&Value::Integer(1)));
        take_out(&mut table, &path);
        take_out(&mut table, &path);
        take_out(&mut table, &[Step::Key("a".into()), Step::Index(7)]);
        take_out(&mut table, &[Step::Index(0)]);
        assert_eq!(table.to_string().trim(), "a = [{ c = 2 }, 3]");
        take_out(&mut table, &[Step::Key("a".into()), Step::Index(0)]);
        assert_eq!(table.to_string().trim(), "a = [3]");
        take_out(&mut table, &[Step::Key("a".into())]);
        assert!(table.is_empty());
    }
}
