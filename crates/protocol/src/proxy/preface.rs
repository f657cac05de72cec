//! The PROXY protocol, versions 1 and 2, as HAProxy's proxy-protocol.txt defines it: the few bytes by which a proxy tells
//! for whom it opened a connection, before anything else goes over it.
//!
//! [`read`] never asks for a byte beyond them, so what follows stays in the socket.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// What version 2 begins with.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";

/// What version 1 begins with.
const WORD: &[u8] = b"PROXY ";

/// No line of version 1 is longer, its end included (section 2.1).
const LINE_BYTES_MAX: usize = 107;

/// The fixed part of version 2.
const FIXED_BYTES: usize = 16;

/// No preface is longer. Version 2 could have 64 KiB; proxies that add what they know of a client stay far below this.
pub const BYTES_MAX: usize = 4096;

/// How far a preface was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// So many more bytes belong to it at the least; never 0.
    More(usize),
    /// It is whole. `None`: the proxy speaks for itself (a check of its own), or knows no address.
    Whole(Option<SocketAddr>),
}

/// Why bytes are no preface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadPreface(pub &'static str);

impl fmt::Display for BadPreface {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for BadPreface {}

/// Looks at the first bytes of a connection.
///
/// # Errors
/// [`BadPreface`] as soon as they can be no preface any more.
pub fn read(bytes: &[u8]) -> Result<Reading, BadPreface> {
    if bytes.is_empty() {
        // As much as both versions have.
        return Ok(Reading::More(SIGNATURE.len()));
    }
    let begins = |begin: &[u8]| bytes.iter().zip(begin).all(|(one, other)| one == other);
    if begins(&SIGNATURE) {
        version_2(bytes)
    } else if begins(WORD) {
        version_1(bytes)
    } else {
        Err(BadPreface("no PROXY protocol header came first"))
    }
}

fn version_1(bytes: &[u8]) -> Result<Reading, BadPreface> {
    let bad = BadPreface("the line of PROXY protocol version 1 is not as it should be");
    // The shortest is `PROXY UNKNOWN` and its end.
    let shortest = WORD.len() + "UNKNOWN\r\n".len();
    if bytes.len() < shortest {
        return Ok(Reading::More(shortest - bytes.len()));
    }
    let Some(line) = bytes.strip_suffix(b"\r\n") else {
        let is_open = bytes.len() < LINE_BYTES_MAX && !bytes.contains(&b'\n');
        return if is_open { Ok(Reading::More(1)) } else { Err(bad) };
    };
    if bytes.len() > LINE_BYTES_MAX {
        return Err(bad);
    }
    let line = std::str::from_utf8(line).map_err(|_| bad)?;
    let words: Vec<&str> = line.split(' ').collect();
    match words.as_slice() {
        // Whatever else is on the line is to be passed over.
        [_, "UNKNOWN", ..] => Ok(Reading::Whole(None)),
        [_, "TCP4", from, to, from_port, to_port] => {
            let from: Ipv4Addr = from.parse().map_err(|_| bad)?;
            to.parse::<Ipv4Addr>().map_err(|_| bad)?;
            port(to_port).ok_or(bad)?;
            Ok(Reading::Whole(Some((from, port(from_port).ok_or(bad)?).into())))
        }
        [_, "TCP6", from, to, from_port, to_port] => {
            let from: Ipv6Addr = from.parse().map_err(|_| bad)?;
            to.parse::<Ipv6Addr>().map_err(|_| bad)?;
            port(to_port).ok_or(bad)?;
            Ok(Reading::Whole(Some((from, port(from_port).ok_or(bad)?).into())))
        }
        _ => Err(bad),
    }
}

/// A port in decimal, without signs and leading zeros.
fn port(text: &str) -> Option<u16> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| is_plain)
}

fn version_2(bytes: &[u8]) -> Result<Reading, BadPreface> {
    let [.., command, family, high, low] = *bytes.get(..FIXED_BYTES).unwrap_or_default() else {
        return Ok(Reading::More(FIXED_BYTES.saturating_sub(bytes.len())));
    };
    let whole = FIXED_BYTES + usize::from(u16::from_be_bytes([high, low]));
    if whole > BYTES_MAX {
        return Err(BadPreface("the header of PROXY protocol version 2 is longer than 4096 bytes"));
    }
    // What was told is looked at first, so that nobody sends what would not be read anyway.
    let is_local = match command {
        0x20 => true,
        0x21 => false,
        _ => return Err(BadPreface("the header is of another version or command than this knows")),
    };
    let address_bytes = match family {
        // Nothing, or a socket of the proxy's own machine: no address that could be counted.
        0x00 | 0x31 => 0,
        0x11 => 12,
        0x21 => 36,
        _ if is_local => 0,
        _ => return Err(BadPreface("the header is for another family of addresses than TCP's")),
    };
    if !is_local && whole < FIXED_BYTES + address_bytes {
        return Err(BadPreface("the header is too short for its addresses"));
    }
    if bytes.len() < whole {
        return Ok(Reading::More(whole - bytes.len()));
    }
    let told = bytes.get(FIXED_BYTES..whole).unwrap_or_default();
    Ok(Reading::Whole(if is_local { None } else { client(family, told) }))
}

/// The client in the addresses of version 2: both addresses, then both ports, the client's first.
fn client(family: u8, told: &[u8]) -> Option<SocketAddr> {
    let (address, ports_at): (IpAddr, usize) = match family {
        0x11 => (<[u8; 4]>::try_from(told.get(..4)?).ok()?.into(), 8),
        0x21 => (<[u8; 16]>::try_from(told.get(..16)?).ok()?.into(), 32),
        _ => return None,
    };
    let port = u16::from_be_bytes(told.get(ports_at..ports_at + 2)?.try_into().ok()?);
    Some((address, port).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds `bytes` as a socket would, never more than was asked for. What was told, and how many bytes it took.
    fn fed(bytes: &[u8]) -> Result<(Option<SocketAddr>, usize), String> {
        let mut read_bytes = 0;
        for _ in 0..BYTES_MAX {
            match read(&bytes[..read_bytes]).map_err(|bad| bad.to_string())? {
                Reading::Whole(told) => return Ok((told, read_bytes)),
                Reading::More(more) => {
                    assert!(more > 0);
                    read_bytes += more;
                    assert!(read_bytes <= BYTES_MAX);
                    if read_bytes > bytes.len() {
                        return Err("it ended".to_owned());
                    }
                }
            }
        }
        panic!("it never ends");
    }

    fn version_2(command: u8, family: u8, told: &[u8]) -> Vec<u8> {
        let length = u16::try_from(told.len()).unwrap().to_be_bytes();
        [&SIGNATURE[..], &[command, family], &length, told].concat()
    }

    #[test]
    fn version_1_tells_the_client() {
        for (line, expected) in [
            ("PROXY TCP4 192.0.2.1 198.51.100.1 4711 443\r\n", Some("192.0.2.1:4711")),
            ("PROXY TCP6 2001:db8::1 2001:db8::2 0 443\r\n", Some("[2001:db8::1]:0")),
            ("PROXY UNKNOWN\r\n", None),
            ("PROXY UNKNOWN ffff:: ffff:: 65535 65535\r\n", None),
        ] {
            let whole = format!("{line}\u{16}\u{3}\u{1}");
            let expected = (expected.map(|text| text.parse().unwrap()), line.len());
            assert_eq!(fed(whole.as_bytes()), Ok(expected), "{line}");
        }
        let longest = format!("PROXY UNKNOWN {}\r\n", "f".repeat(LINE_BYTES_MAX - 16));
        assert_eq!(fed(longest.as_bytes()), Ok((None, LINE_BYTES_MAX)));
    }

    #[test]
    fn version_1_is_read_strictly() {
        for bad in [
            "PROXY TCP4 192.0.2.1 198.51.100.1 4711\r\n",
            "PROXY TCP4  192.0.2.1 198.51.100.1 4711 443\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.1 4711 443 \r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.1 4711 443\n\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.1 04711 443\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.1 +4711 443\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.1 4711 65536\r\n",
            "PROXY TCP4 192.0.2.01 198.51.100.1 4711 443\r\n",
            "PROXY TCP4 2001:db8::1 2001:db8::2 4711 443\r\n",
            "PROXY TCP6 192.0.2.1 198.51.100.1 4711 443\r\n",
            "PROXY UDP4 192.0.2.1 198.51.100.1 4711 443\r\n",
            "PROXY TCP4 é 198.51.100.1 4711 443\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.1 4711 443\rx\r\n",
            "PROXY\tTCP4 192.0.2.1 198.51.100.1 4711 443\r\n",
            "proxy UNKNOWN\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
            "\u{16}\u{3}\u{1}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}",
        ] {
            assert_ne!(fed(bad.as_bytes()).map_err(|why| why == "it ended"), Err(true), "{bad:?}");
            assert!(fed(bad.as_bytes()).is_err(), "{bad:?}");
        }
        let endless = format!("PROXY UNKNOWN {}", "f".repeat(5000));
        assert!(fed(endless.as_bytes()).unwrap_err().contains("version 1"));
    }

    #[test]
    fn version_2_tells_the_client() {
        let v4 = [192, 0, 2, 1, 198, 51, 100, 1, 0x12, 0x67, 1, 187];
        let v6 = [&[0x20, 1, 0xd, 0xb8][..], &[0; 11], &[1], &[0; 16], &[0x12, 0x67, 1, 187]].concat();
        let (v4_client, v6_client) = ("192.0.2.1:4711", "[2001:db8::1]:4711");
        for (command, family, told, expected) in [
            (0x21, 0x11, &v4[..], Some(v4_client)),
            (0x21, 0x21, &v6, Some(v6_client)),
            // With more that the proxy knows.
            (0x21, 0x11, &[&v4[..], &[4, 0, 1, 0]].concat(), Some(v4_client)),
            (0x21, 0x31, &[0; 216], None),
            (0x21, 0x00, &[], None),
            (0x21, 0x00, &[1, 2, 3], None),
            // The proxy's own checks, whatever else they say.
            (0x20, 0x00, &[], None),
            (0x20, 0x11, &v4, None),
            (0x20, 0x99, &[1], None),
        ] {
            let preface = version_2(command, family, told);
            let expected = (expected.map(|text| text.parse().unwrap()), preface.len());
            assert_eq!(fed(&[&preface[..], b"\x16\x03\x01"].concat()), Ok(expected), "{command} {family}");
        }
        let longest = version_2(0x21, 0x11, &[1; BYTES_MAX - FIXED_BYTES]);
        assert_eq!(fed(&longest).unwrap().1, BYTES_MAX);
    }

    #[test]
    fn version_2_is_read_strictly() {
        let v4 = [192, 0, 2, 1, 198, 51, 100, 1, 0x12, 0x67, 1, 187];
        for (command, family, told) in [
            (0x11, 0x11, &v4[..]),
            (0x22, 0x11, &v4),
            (0x2f, 0x11, &v4),
            (0x21, 0x12, &v4),
            (0x21, 0x41, &v4),
            (0x21, 0x11, &v4[..11]),
            (0x21, 0x21, &[0; 35]),
            (0x21, 0x11, &[1; BYTES_MAX - FIXED_BYTES + 1]),
            (0x20, 0x00, &[1; 65535]),
        ] {
            // The fixed part is enough to refuse it: the rest is not waited for.
            let preface = version_2(command, family, told);
            assert!(fed(&preface[..FIXED_BYTES]).is_err_and(|why| why != "it ended"), "{command} {family}");
        }
        for cut in 0..28 {
            assert_eq!(fed(&version_2(0x21, 0x11, &v4)[..cut]), Err("it ended".to_owned()));
        }
    }

    #[test]
    fn any_bytes_do_no_harm() {
        use crate::time::{Random, SeededRandom};
        let random = SeededRandom::new(7);
        for round in 0..20_000_usize {
            let mut bytes = vec![0; round % 300];
            random.fill(&mut bytes);
            let begin: &[u8] = match round % 3 {
                0 => &SIGNATURE,
                1 => WORD,
                _ => &[],
            };
            let _ = fed(&[begin, &bytes].concat());
        }
    }
}
