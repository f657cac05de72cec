//! The values of `issue` and `issuewild` (RFC 8659, section 4.2), and the parameters of RFC 8657.

use std::fmt;

use crate::outcome::CaaQuery;

/// What an `issue-value` says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct IssueValue<'a> {
    /// Empty where the value names no issuer.
    pub(crate) issuer_domain: &'a str,
    parameters: Vec<(&'a str, &'a str)>,
}

/// Why one property does not permit.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The value does not follow the grammar, which is as if it named no issuer.
    Malformed,
    /// It names no issuer.
    Nobody,
    /// It names another issuer.
    OtherIssuer,
    /// It is for another account.
    OtherAccount,
    /// It is for other validation methods.
    OtherMethod,
    /// A parameter that may stand once stands more often, so nothing can satisfy it.
    Repeated,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "is malformed",
            Self::Nobody => "permits nobody",
            Self::OtherIssuer => "permits another CA",
            Self::OtherAccount => "has an accounturi that is not this account's",
            Self::OtherMethod => "has validationmethods without the one that was used",
            Self::Repeated => "has the same parameter twice",
        })
    }
}

/// Whether one `issue` or `issuewild` value permits one of `issuers` to answer `query` with a certificate.
pub(crate) fn permits(value: &[u8], issuers: &[String], query: &CaaQuery) -> Result<(), Refusal> {
    let parsed = std::str::from_utf8(value).ok().and_then(parse).ok_or(Refusal::Malformed)?;
    if parsed.issuer_domain.is_empty() {
        return Err(Refusal::Nobody);
    }
    if !issuers.iter().any(|issuer| issuer.eq_ignore_ascii_case(parsed.issuer_domain)) {
        return Err(Refusal::OtherIssuer);
    }
    let uri = parsed.once("accounturi")?;
    if uri.is_some_and(|uri| uri.is_empty() || uri != query.account_uri) {
        return Err(Refusal::OtherAccount);
    }
    let methods = parsed.once("validationmethods")?;
    let is_allowed =
        |methods| !query.account_uri.is_empty() && allows_method(methods, query.challenge.name());
    if methods.is_some_and(|methods| !is_allowed(methods)) {
        return Err(Refusal::OtherMethod);
    }
    Ok(())
}

impl IssueValue<'_> {
    /// The value of a parameter that may stand once (RFC 8657, section 3). The tag's case is not looked at: a
    /// restriction counts however it is spelled.
    pub(crate) fn once(&self, tag: &str) -> Result<Option<&str>, Refusal> {
        let mut values = self.parameters.iter().filter(|(name, _)| name.eq_ignore_ascii_case(tag));
        let first = values.next();
        if values.next().is_some() {
            return Err(Refusal::Repeated);
        }
        Ok(first.map(|(_, value)| *value))
    }
}

/// Reads the grammar of RFC 8659, section 4.2, to the letter; a semicolon after the last parameter is not in it.
pub(crate) fn parse(text: &str) -> Option<IssueValue<'_>> {
    let (domain, rest) = match text.split_once(';') {
        Some((domain, rest)) => (trim(domain), Some(trim(rest))),
        None => (trim(text), None),
    };
    if !domain.is_empty() && !is_issuer_domain(domain) {
        return None;
    }
    let mut parameters = Vec::new();
    if let Some(rest) = rest.filter(|rest| !rest.is_empty()) {
        for parameter in rest.split(';') {
            let (tag, value) = parameter.split_once('=')?;
            let (tag, value) = (trim(tag), trim(value));
            let is_visible = value.bytes().all(|byte| (0x21..=0x7e).contains(&byte) && byte != b';');
            if !is_label(tag) || !is_visible {
                return None;
            }
            parameters.push((tag, value));
        }
    }
    Some(IssueValue { issuer_domain: domain, parameters })
}

/// `issuer-domain-name` of RFC 8659, section 4.2.
pub(crate) fn is_issuer_domain(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_label)
}

/// `label` and `parameter-tag`: letters, digits and inner hyphens.
fn is_label(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// Whether a list of `validationmethods` has the method. One odd or empty label makes the whole list malformed, and a
/// malformed list is satisfied by nothing (RFC 8657, section 4).
fn allows_method(methods: &str, method: &str) -> bool {
    methods.split(',').all(is_method_label) && methods.split(',').any(|label| label == method)
}

/// A label of `validationmethods` (RFC 8657, section 4).
fn is_method_label(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// `WSP` is a space or a tab and nothing else.
fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}
