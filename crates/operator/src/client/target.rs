//! Paths and queries, written so that nothing in a value can mean something else.

use std::fmt;

/// What is asked for: a path, and a query behind it.
#[derive(Clone, Debug)]
pub struct Target {
    path: String,
    query: Vec<(String, String)>,
}

impl Target {
    /// A path of the API as it stands, as in `/v1/orders`.
    pub fn new(path: &str) -> Self {
        Self { path: path.to_owned(), query: Vec::new() }
    }

    /// The same path with one more segment, which may be any text.
    #[must_use]
    pub fn then(mut self, segment: &str) -> Self {
        self.path.push('/');
        self.path.push_str(&escaped(segment));
        self
    }

    /// The same with one more member of the query, in place of any of that name; with nothing, without it.
    #[must_use]
    pub fn with(mut self, name: &str, value: Option<&str>) -> Self {
        self.query.retain(|(known, _)| known != name);
        if let Some(value) = value {
            self.query.push((name.to_owned(), value.to_owned()));
        }
        self
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path)?;
        let mut before = '?';
        for (name, value) in &self.query {
            write!(f, "{before}{}={}", escaped(name), escaped(value))?;
            before = '&';
        }
        Ok(())
    }
}

/// Everything but unreserved characters (RFC 3986, section 2.3) as percent and two digits.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                escaped.push(char::from(byte));
            }
            _ => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_stay_values() {
        let target = Target::new("/v1/names").then("a/../b?c").with("text", Some("x&y=ü")).with("none", None);
        assert_eq!(target.to_string(), "/v1/names/a%2F..%2Fb%3Fc?text=x%26y%3D%C3%BC");
        let target = Target::new("/v1/names").with("after", Some("1")).with("after", Some("2"));
        assert_eq!(target.to_string(), "/v1/names?after=2");
    }
}
