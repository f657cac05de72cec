//! A Unix socket as a port of this machine, as `ssh -L` makes one of it.

use std::path::Path;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, UnixStream};

/// Lets whoever connects to the port that is given back talk to the socket, for as long as the test runs.
pub async fn forward(socket: &Path) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port on loopback");
    let port = listener.local_addr().expect("a bound socket has an address").port();
    let socket = socket.to_owned();
    tokio::spawn(async move {
        while let Ok((mut outside, _)) = listener.accept().await {
            let socket = socket.clone();
            tokio::spawn(async move {
                let mut inside = UnixStream::connect(&socket).await.expect("somebody listens at the socket");
                // Either end may go at any time: that is how connections end.
                let _ = copy_bidirectional(&mut outside, &mut inside).await;
            });
        }
    });
    port
}
