//! Web servers as they should not be.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

use crate::{Count, FOR_EVER};

/// What a server does with each connection, once it has read something.
#[derive(Clone)]
pub(crate) enum Act {
    /// Says this and closes.
    Say(Vec<u8>),
    /// Says this, and then the same bytes for ever.
    Flood(Vec<u8>, Vec<u8>),
    /// Says this, a byte at a time, slowly.
    Drip(Vec<u8>),
    /// Says nothing and stays.
    Silence,
    /// Closes by a reset.
    Reset,
    /// Sends elsewhere.
    Redirect(String),
    /// Sends to the path before it with one more step, for ever.
    Circle,
}

/// Something that happens before a server answers.
pub(crate) trait Before: Send + Sync + 'static {
    fn happen(&self) -> impl Future<Output = ()> + Send;
}

pub(crate) fn count() -> Count {
    Arc::new(AtomicUsize::new(0))
}

/// What goes wrong; what the server does; the problem's type; and words that have to be in it.
pub(crate) fn misbehaving() -> Vec<(&'static str, Act, &'static str, &'static str)> {
    let say = |text: &str| Act::Say(text.as_bytes().to_vec());
    let ok = b"HTTP/1.1 200 OK\r\n".to_vec();
    let with = |rest: &str| [ok.clone(), rest.as_bytes().to_vec()].concat();
    vec![
        ("redirects in circles", Act::Circle, "connection", "more than 10 redirects"),
        ("drips", Act::Drip(with("Content-Length: 1000\r\n\r\n")), "connection", "did not end, in time"),
        (
            "10 GB",
            Act::Flood(with("Content-Length: 10737418240\r\n\r\n"), vec![b'a'; 65_536]),
            "unauthorized",
            "is longer than 10240 bytes",
        ),
        (
            "chunks without end",
            Act::Flood(
                with("Transfer-Encoding: chunked\r\n\r\n"),
                b"400\r\n".iter().copied().chain([b'a'; 1024]).chain(*b"\r\n").collect(),
            ),
            "unauthorized",
            "is longer than 10240 bytes",
        ),
        (
            "headers without end",
            Act::Flood(ok.clone(), b"X-A: aaaaaaaaaaaaaaaaaaaaaaaa\r\n".to_vec()),
            "connection",
            "headers are too large",
        ),
        ("silence", Act::Silence, "connection", "did not come"),
        ("a reset", Act::Reset, "connection", "HTTP: asking for"),
        ("no HTTP", say("SSH-2.0-OpenSSH_9.9\r\n"), "connection", "is not HTTP/1.1"),
        (
            "nothing there",
            say("HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\ngone"),
            "unauthorized",
            "answered 404, with \"gone\"",
        ),
        (
            "another file",
            say("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"),
            "unauthorized",
            "found \"hello\"",
        ),
        ("https that is none", Act::Redirect("https://{host}/".to_owned()), "tls", "is not TLS"),
        (
            "another port",
            Act::Redirect("http://{host}:8080/".to_owned()),
            "connection",
            "only ports 80 and 443",
        ),
        ("another protocol", Act::Redirect("ftp://{host}/".to_owned()), "connection", "only http and https"),
        (
            "bytes that no terminal should see",
            say("HTTP/1.1 500 \r\nContent-Length: 6\r\n\r\n\u{1b}[31m\u{7}"),
            "unauthorized",
            "answered 500",
        ),
    ]
}

/// Listens and does the same with each connection.
pub(crate) async fn serve(address: &str, act: Act, seen: Count) {
    let listener = TcpListener::bind(address).await.unwrap_or_else(|error| panic!("{address}: {error}"));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            seen.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(play(stream, act.clone()));
        }
    });
}

/// Redirects, after something has happened.
pub(crate) async fn serve_then(address: &str, location: &'static str, seen: Count, before: impl Before) {
    let listener = TcpListener::bind(address).await.unwrap_or_else(|error| panic!("{address}: {error}"));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            seen.fetch_add(1, Ordering::SeqCst);
            before.happen().await;
            play(stream, Act::Redirect(location.to_owned())).await;
        }
    });
}

/// The validation may hang up at any moment; that is its right.
async fn play(mut stream: TcpStream, act: Act) {
    let mut head = vec![0; 4096];
    let length = stream.read(&mut head).await.unwrap_or(0);
    let head = String::from_utf8_lossy(&head[..length]).into_owned();
    match act {
        Act::Say(bytes) => {
            let _ = stream.write_all(&bytes).await;
            let _ = stream.shutdown().await;
        }
        Act::Flood(first, then) => {
            let _ = stream.write_all(&first).await;
            while stream.write_all(&then).await.is_ok() {}
        }
        Act::Drip(bytes) => {
            for byte in bytes.iter().chain(std::iter::repeat(&b'a')) {
                if stream.write_all(&[*byte]).await.is_err() {
                    return;
                }
                sleep(Duration::from_millis(100)).await;
            }
        }
        Act::Silence => sleep(FOR_EVER).await,
        Act::Reset => {
            // A socket that is closed with unread bytes and no lingering resets.
            let _ = stream.set_zero_linger();
        }
        Act::Redirect(location) => redirect(&mut stream, &location.replace("{host}", &host(&head))).await,
        Act::Circle => {
            let path = head.split_whitespace().nth(1).unwrap_or("/").to_owned();
            redirect(&mut stream, &format!("{path}x")).await;
        }
    }
}

fn host(head: &str) -> String {
    head.lines().find_map(|line| line.strip_prefix("host: ")).unwrap_or_default().to_owned()
}

async fn redirect(stream: &mut TcpStream, location: &str) {
    let answer = format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n");
    let _ = stream.write_all(answer.as_bytes()).await;
    let _ = stream.shutdown().await;
}
