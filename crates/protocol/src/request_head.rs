//! Reading the head of a request of HTTP/1 (RFC 9112, sections 2 to 6), strictly: whatever two readers could take for two
//! different things is refused, as is whatever somebody in front of us could have read otherwise.

use memchr::memchr;

/// At most this many bytes are the head of a request; a GET of the longest OCSP request has 40,000.
pub const HEAD_BYTES_MAX: usize = 64 * 1024;
/// At most this many fields are in it.
const FIELDS_MAX: usize = 100;

/// Why a head is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsound {
    /// It is not what RFC 9112 says, or could be read in two ways.
    Malformed,
    /// It has too many bytes or fields.
    TooLarge,
}

/// The head of a request, and what its fields say about the connection and the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head<'a> {
    /// A token, in the case that it came in.
    pub method: &'a [u8],
    /// As the client sent it: decoded by nobody.
    pub target: &'a [u8],
    /// All field lines, each with its end.
    fields: &'a [u8],
    /// How many bytes it has, with the empty line.
    pub bytes: usize,
    /// Which HTTP it is.
    pub version: Version,
    /// How many bytes of body follow; none if nothing is said.
    pub content_length: Option<u64>,
    /// The body comes in chunks.
    pub is_chunked: bool,
    /// The client waits for a word before it sends the body.
    pub is_expecting: bool,
    /// A field asks whether the client has the answer already.
    pub is_conditional: bool,
    /// The connection stays open after the answer.
    pub is_kept: bool,
}

/// The version of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.0.
    Http10,
    /// HTTP/1.1.
    Http11,
    /// The first line of HTTP/2's preface (RFC 9113, section 3.4), and nothing else of it.
    Http2,
}

impl<'a> Head<'a> {
    /// Names and values, without the spaces around these.
    pub fn fields(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        self.fields.split(|byte| *byte == b'\n').filter_map(|line| field(line.strip_suffix(b"\r")?).ok())
    }
}

/// The first line of HTTP/2's preface, and the line after it.
const HTTP2: &[u8] = b"PRI * HTTP/2.0\r\n\r\n";

/// Reads a head from the beginning of `input`; `None` if its end is still to come.
///
/// # Errors
/// [`Unsound`] if it need not be waited for.
pub fn read(input: &[u8]) -> Result<Option<Head<'_>>, Unsound> {
    // Old clients send an empty line behind a body (RFC 9112, section 2.2).
    let skipped = if input.starts_with(b"\r\n") { 2 } else { 0 };
    let input = input.get(skipped..).unwrap_or_default();
    // What is no HTTP at all, such as TLS, need not come to the end of a line.
    if input.first().is_some_and(|first| !first.is_ascii_alphabetic() && input != b"\r") {
        return Err(Unsound::Malformed);
    }
    let found = read_lines(input)?;
    if found.map_or(input.len(), |head| head.bytes) > HEAD_BYTES_MAX {
        return Err(Unsound::TooLarge);
    }
    Ok(found.map(|head| Head { bytes: head.bytes + skipped, ..head }))
}

fn read_lines(input: &[u8]) -> Result<Option<Head<'_>>, Unsound> {
    let Some((first, begin)) = line(input, 0)? else { return Ok(None) };
    let mut head = request_line(first)?;
    if head.version == Version::Http2 {
        let is_whole = input.len() >= HTTP2.len();
        let is_preface = if is_whole { input.starts_with(HTTP2) } else { HTTP2.starts_with(input) };
        head.bytes = HTTP2.len();
        return if is_preface { Ok(is_whole.then_some(head)) } else { Err(Unsound::Malformed) };
    }
    let mut seen = Seen::default();
    let mut at = begin;
    for _ in 0..=FIELDS_MAX {
        let Some((this, next)) = line(input, at)? else { return Ok(None) };
        if this.is_empty() {
            head.fields = input.get(begin..at).unwrap_or_default();
            head.bytes = next;
            return seen.settle(head).map(Some);
        }
        let (name, value) = field(this)?;
        seen.note(&mut head, name, value)?;
        at = next;
    }
    Err(Unsound::TooLarge)
}

/// The line that begins at `at`, without its end, and where the next one begins. A line ends with CR and LF, and has neither
/// of them nor other controls inside.
fn line(input: &[u8], at: usize) -> Result<Option<(&[u8], usize)>, Unsound> {
    let rest = input.get(at..).unwrap_or_default();
    let Some(length) = memchr(b'\n', rest) else { return Ok(None) };
    let line = rest.get(..length).and_then(|line| line.strip_suffix(b"\r")).ok_or(Unsound::Malformed)?;
    // Without a way out of the loop, here and below, the compiler looks at many bytes at once.
    let has_controls =
        line.iter().fold(false, |found, byte| found | ((*byte < b' ') & (*byte != b'\t')) | (*byte == 0x7f));
    if has_controls { Err(Unsound::Malformed) } else { Ok(Some((line, at + length + 1))) }
}

/// `method SP target SP version`, with one space each (RFC 9112, section 3).
fn request_line(line: &[u8]) -> Result<Head<'_>, Unsound> {
    let (method, rest) = split_once(line, b' ').ok_or(Unsound::Malformed)?;
    let (target, version) = split_once(rest, b' ').ok_or(Unsound::Malformed)?;
    let version = match version {
        b"HTTP/1.1" => Version::Http11,
        b"HTTP/1.0" => Version::Http10,
        b"HTTP/2.0" if method == b"PRI" => Version::Http2,
        _ => return Err(Unsound::Malformed),
    };
    let is_target = !target.is_empty() && target.iter().fold(true, |all, byte| all & byte.is_ascii_graphic());
    if !is_token(method) || !is_target {
        return Err(Unsound::Malformed);
    }
    Ok(Head {
        method,
        target,
        fields: &[],
        bytes: 0,
        version,
        content_length: None,
        is_chunked: false,
        is_expecting: false,
        is_conditional: false,
        is_kept: version == Version::Http11,
    })
}

/// `name ":" value`: no space before the colon, and no folded lines, which begin with one (RFC 9112, section 5).
fn field(line: &[u8]) -> Result<(&[u8], &[u8]), Unsound> {
    let (name, value) = split_once(line, b':').ok_or(Unsound::Malformed)?;
    if !is_token(name) {
        return Err(Unsound::Malformed);
    }
    Ok((name, value.trim_ascii()))
}

fn split_once(bytes: &[u8], by: u8) -> Option<(&[u8], &[u8])> {
    let at = memchr(by, bytes)?;
    Some((bytes.get(..at)?, bytes.get(at + 1..)?))
}

/// Whether these bytes are a token (RFC 9110, section 5.6.2).
fn is_token(bytes: &[u8]) -> bool {
    let is_one = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    !bytes.is_empty() && bytes.iter().all(is_one)
}

/// What must not be said twice, or not together.
#[derive(Default)]
struct Seen {
    hosts: usize,
    says_close: bool,
    says_keep_alive: bool,
}

impl Seen {
    fn note(&mut self, head: &mut Head<'_>, name: &[u8], value: &[u8]) -> Result<(), Unsound> {
        let is = |known: &[u8]| name.eq_ignore_ascii_case(known);
        match name.len() {
            4 if is(b"host") => self.hosts += 1,
            6 if is(b"expect") => head.is_expecting = true,
            10 if is(b"connection") => {
                for word in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
                    self.says_close |= word.eq_ignore_ascii_case(b"close");
                    self.says_keep_alive |= word.eq_ignore_ascii_case(b"keep-alive");
                }
            }
            13 if is(b"if-none-match") => head.is_conditional = true,
            17 if is(b"if-modified-since") => head.is_conditional = true,
            14 if is(b"content-length") => {
                // Twice the same is refused too: who comes before us may have read only one.
                let is_first = head.content_length.replace(length(value)?).is_none();
                return if is_first { Ok(()) } else { Err(Unsound::Malformed) };
            }
            17 if is(b"transfer-encoding") => {
                // Nothing else can be read, and twice is once too often.
                if head.is_chunked || !value.eq_ignore_ascii_case(b"chunked") {
                    return Err(Unsound::Malformed);
                }
                head.is_chunked = true;
            }
            _ => {}
        }
        Ok(())
    }

    /// RFC 9112, sections 3.2, 6.1 and 9.3.
    fn settle(self, head: Head<'_>) -> Result<Head<'_>, Unsound> {
        let is_old = head.version == Version::Http10;
        let has_host = self.hosts == 1 || (is_old && self.hosts == 0);
        if !has_host || (head.is_chunked && (is_old || head.content_length.is_some())) {
            return Err(Unsound::Malformed);
        }
        let is_kept = !self.says_close && (!is_old || self.says_keep_alive);
        Ok(Head { is_kept, ..head })
    }
}

/// Digits and nothing else: no sign, no list, no space.
fn length(value: &[u8]) -> Result<u64, Unsound> {
    if value.is_empty() || value.len() > 18 || !value.iter().all(u8::is_ascii_digit) {
        return Err(Unsound::Malformed);
    }
    Ok(value.iter().fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0')))
}

/// Whether an empty line, of either kind, is in what came since `searched` bytes were there: without one, a head that comes in
/// small pieces need not be read anew with each.
pub fn may_be_whole(input: &[u8], searched: usize) -> bool {
    let mut rest = input.get(searched.saturating_sub(3)..).unwrap_or_default();
    while let Some(at) = memchr(b'\n', rest) {
        rest = rest.get(at + 1..).unwrap_or_default();
        if rest.starts_with(b"\n") || rest.starts_with(b"\r\n") {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GOOD: &[u8] =
        b"POST /ocsp/a+b//c== HTTP/1.1\r\nHost: ocsp.example\r\nUser-Agent: x y\r\nContent-Length: 70\r\n\
        If-None-Match: *\r\nConnection: close\r\n\r\n";

    #[test]
    fn a_head_says_what_it_says() {
        let head = read(GOOD).unwrap().unwrap();
        assert_eq!((head.method, head.target), (&b"POST"[..], &b"/ocsp/a+b//c=="[..]));
        assert_eq!((head.version, head.bytes, head.content_length), (Version::Http11, GOOD.len(), Some(70)));
        assert!(head.is_conditional && !head.is_kept && !head.is_chunked && !head.is_expecting);
        let fields: Vec<_> = head.fields().collect();
        assert_eq!(fields.len(), 5);
        assert_eq!(fields[1], (&b"User-Agent"[..], &b"x y"[..]));
        for cut in 0..GOOD.len() {
            assert_eq!(read(&GOOD[..cut]), Ok(None));
        }
    }

    proptest! {
        #[test]
        fn whatever_is_accepted_hyper_reads_in_the_same_way(
            changes in proptest::collection::vec(
                (any::<proptest::sample::Index>(), prop_oneof![any::<u8>(), proptest::sample::select(&b"\r\n\t :,;x0"[..])]),
                0..4,
            ),
            put in proptest::collection::vec((any::<proptest::sample::Index>(), any::<proptest::sample::Index>()), 0..3),
        ) {
            let mut bytes = GOOD.to_vec();
            for (place, value) in changes {
                let place = place.index(bytes.len());
                bytes[place] = value;
            }
            // Pieces of it once more, somewhere else.
            for (from, to) in put {
                let (from, to) = (from.index(bytes.len()), to.index(bytes.len()));
                let piece = bytes[from..bytes.len().min(from + 20)].to_vec();
                bytes.splice(to..to, piece);
            }
            if let Ok(Some(head)) = read(&bytes) && head.version != Version::Http2 {
                let mut headers = [httparse::EMPTY_HEADER; FIELDS_MAX];
                let mut theirs = httparse::Request::new(&mut headers);
                prop_assert_eq!(theirs.parse(&bytes), Ok(httparse::Status::Complete(head.bytes)));
                prop_assert_eq!(theirs.method.unwrap().as_bytes(), head.method);
                prop_assert_eq!(theirs.path.unwrap().as_bytes(), head.target);
                let fields: Vec<_> = theirs.headers.iter().map(|field| (field.name.as_bytes(), field.value)).collect();
                prop_assert_eq!(fields, head.fields().collect::<Vec<_>>());
                let longer = [&bytes, &b"x"[..]].concat();
                prop_assert_eq!(read(&longer), Ok(Some(head)));
            }
        }
    }
}
