//! `Forwarded` (RFC 7239) and `X-Forwarded-For`: the addresses that proxies passed a request on for.
//!
//! Both give the nearest address first, which stands last in the header, as that is what the proxy in front of us wrote.
//! `None` stands for one that cannot be read. A header that was not written as it should be is one `None` as a whole: where
//! quotes do not match, nobody can say which words are the proxy's and which the client's.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// A longer line of `Forwarded` is not read: no chain of [`super::HOPS_MAX`] proxies writes one.
const TEXT_BYTES_MAX: usize = 8 * 1024;

/// The addresses of `X-Forwarded-For`, given its lines in their order: nearest first, and no more than can count. What a client
/// wrote in front, however long, hides nothing of what proxies put behind it.
pub fn x_forwarded_for(lines: &[&str]) -> Vec<Option<IpAddr>> {
    let addresses = lines.iter().rev().flat_map(|line| line.rsplit(',')).take(super::HOPS_MAX);
    addresses.map(|text| address(text.trim_matches([' ', '\t']))).collect()
}

/// The `for` addresses of `Forwarded`, given its lines in their order: nearest first.
pub fn forwarded(lines: &[&str]) -> Vec<Option<IpAddr>> {
    let mut nearest_first = Vec::new();
    for line in lines.iter().rev().take(super::HOPS_MAX) {
        match Some(line).filter(|line| line.len() <= TEXT_BYTES_MAX).and_then(|line| elements(line)) {
            Some(elements) => nearest_first.extend(elements.into_iter().rev()),
            None => nearest_first.push(None),
        }
    }
    nearest_first
}

/// An address, with or without a port, an IPv6 one in brackets or not: proxies write it in all these ways.
fn address(text: &str) -> Option<IpAddr> {
    let bracketed = |text: &str| text.strip_prefix('[')?.strip_suffix(']')?.parse::<Ipv6Addr>().ok();
    let plain = text.parse().ok();
    plain
        .or_else(|| bracketed(text).map(IpAddr::V6))
        .or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()))
}

/// The `for` address of each element of a line (RFC 7239, section 4); `None` if the line breaks the grammar.
fn elements(line: &str) -> Option<Vec<Option<IpAddr>>> {
    let mut found = Vec::new();
    let mut rest = line;
    loop {
        let (element, behind) = element(rest)?;
        // A list may have empty elements (RFC 9110, section 5.6.1), which nobody passed on.
        found.extend(element);
        match behind {
            Some(behind) => rest = behind,
            None => return Some(found),
        }
    }
}

/// One element's `for` address, or nothing for an element that is empty; and what is behind its comma, if there is one.
type Element<'a> = (Option<Option<IpAddr>>, Option<&'a str>);

fn element(text: &str) -> Option<Element<'_>> {
    let mut whose = None;
    let (mut is_empty, mut is_twice) = (true, false);
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches([' ', '\t']);
        if !rest.is_empty() && !rest.starts_with([',', ';']) {
            is_empty = false;
            let (name, behind) = rest.split_once('=')?;
            if !is_token(name) {
                return None;
            }
            let (value, behind) = value(behind)?;
            if name.eq_ignore_ascii_case("for") {
                is_twice |= whose.is_some();
                whose = Some(value);
            }
            rest = behind.trim_start_matches([' ', '\t']);
        }
        let behind = match rest.chars().next() {
            None => None,
            Some(';') => {
                rest = rest.get(1..)?;
                continue;
            }
            Some(',') => Some(rest.get(1..)?),
            Some(_) => return None,
        };
        // Section 4 allows each name once.
        let address = whose.filter(|_| !is_twice).and_then(|node| address(&node));
        return Some(((!is_empty).then_some(address), behind));
    }
}

/// A token or a quoted string (RFC 9110, sections 5.6.2 and 5.6.4), and what is behind it.
fn value(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(|c: char| !is_token_character(c)).unwrap_or(text.len());
        let (token, behind) = text.split_at_checked(end)?;
        // A port needs quotes (section 6), and many proxies forget them.
        let port_end = behind
            .strip_prefix(':')
            .map(|port| port.find(|c: char| !c.is_ascii_digit()).unwrap_or(port.len()) + 1);
        let (port, behind) = behind.split_at_checked(port_end.unwrap_or(0))?;
        return (!token.is_empty()).then(|| (format!("{token}{port}"), behind));
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, quoted.get(at + 1..)?)),
            '\\' => value.push(characters.next()?.1),
            other => value.push(other),
        }
    }
    None
}

fn is_token(text: &str) -> bool {
    !text.is_empty() && text.chars().all(is_token_character)
}

fn is_token_character(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::HOPS_MAX;

    /// What was read, with `-` for what cannot be.
    fn shown(read: fn(&[&str]) -> Vec<Option<IpAddr>>, lines: &[&str]) -> String {
        let texts = read(lines).into_iter().map(|hop| hop.map_or("-".to_owned(), |hop| hop.to_string()));
        texts.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn x_forwarded_for_is_read_from_the_right() {
        for (lines, expected) in [
            (&["192.0.2.1"][..], "192.0.2.1"),
            (&["192.0.2.1, 10.0.0.1"], "10.0.0.1 192.0.2.1"),
            (&["192.0.2.1,10.0.0.1", " 10.0.0.2 "], "10.0.0.2 10.0.0.1 192.0.2.1"),
            (
                &["192.0.2.1:4711, [2001:db8::1]:80, [2001:db8::2], 2001:db8::3"],
                "2001:db8::3 2001:db8::2 2001:db8::1 192.0.2.1",
            ),
            (&["unknown, 192.0.2.1, , _a"], "- - 192.0.2.1 -"),
            (&[""], "-"),
            (&["192.0.2.1:, 192.0.2.1:65536, 192.0.2.01, 0x7f.1, ::1%eth0"], "- - - - -"),
            (&[], ""),
        ] {
            assert_eq!(shown(x_forwarded_for, lines), expected, "{lines:?}");
        }
    }

    #[test]
    fn forwarded_is_read_from_the_right() {
        for (lines, expected) in [
            (&["for=192.0.2.60;proto=http;by=203.0.113.43"][..], "192.0.2.60"),
            (&["For=\"[2001:db8:cafe::17]:4711\""], "2001:db8:cafe::17"),
            (&["for=192.0.2.43, for=198.51.100.17"], "198.51.100.17 192.0.2.43"),
            (&["for=192.0.2.43", "for=198.51.100.17;by=10.0.0.1"], "198.51.100.17 192.0.2.43"),
            (&["for=\"192.0.2.43:47011\",for=192.0.2.44:80 ; proto=https"], "192.0.2.44 192.0.2.43"),
            // Somebody passed it on, and does not say for whom.
            (&["for=192.0.2.43, proto=https, for=unknown, for=_hidden"], "- - - 192.0.2.43"),
            (&["for=\"\\1\\9\\2.0.2.1\""], "192.0.2.1"),
            (&["host=\"a,b;c\\\"d\";for=192.0.2.1, ,"], "192.0.2.1"),
            (&["for=192.0.2.1;for=192.0.2.2"], "-"),
            (&["", ";"], ""),
            (&[], ""),
        ] {
            assert_eq!(shown(forwarded, lines), expected, "{lines:?}");
        }
    }

    /// A client that leaves a quote open must not swallow what the proxy writes behind it, nor have its own words counted.
    #[test]
    fn a_broken_line_is_no_word_at_all() {
        for broken in [
            "for=\"198.51.100.1, for=192.0.2.1",
            "for=198.51.100.1;x=\", for=\"[2001:db8::1]\"",
            "for=198.51.100.1;x=\"\\\", for=192.0.2.1",
            "for, for=192.0.2.1",
            "for==1",
            "for=192.0.2.1 for=192.0.2.2",
            "=192.0.2.1",
            "f or=192.0.2.1",
            "for=[2001:db8::1]",
            "for=é",
        ] {
            assert_eq!(shown(forwarded, &[broken]), "-", "{broken}");
            assert_eq!(shown(forwarded, &["for=198.51.100.1", broken]), "- 198.51.100.1", "{broken}");
        }
    }

    #[test]
    fn what_is_too_long_hides_nothing() {
        let long = format!("{}, 198.51.100.1", "192.0.2.1,".repeat(10_000));
        let told = x_forwarded_for(&[&long]);
        assert_eq!((told.len(), told[0]), (HOPS_MAX, "198.51.100.1".parse().ok()));
        let long = format!("for=192.0.2.1;x={}", "a".repeat(TEXT_BYTES_MAX));
        assert_eq!(shown(forwarded, &[&long]), "-");
        assert_eq!(shown(forwarded, &[&long, "for=198.51.100.1"]), "198.51.100.1 -");
    }
}
