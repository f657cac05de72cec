//! The sockets that the zones are served at.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};

use super::Shared;

/// How often another port is tried, where one is taken at one of the addresses.
const TRIES: usize = 50;

/// Opens a socket of each kind at each server's address, all at one port, and serves them; gives the port.
#[expect(clippy::panic, reason = "tests call this, and a panic is how they fail")]
pub(super) async fn serve(shared: &Arc<Shared>) -> u16 {
    let addresses: BTreeSet<Ipv4Addr> = shared.zones.iter().map(|zone| zone.server).collect();
    for _ in 0..TRIES {
        if let Some((port, sockets)) = open(&addresses).await {
            for (address, udp, tcp) in sockets {
                tokio::spawn(datagrams(shared.clone(), address, udp));
                tokio::spawn(streams(shared.clone(), address, tcp));
            }
            return port;
        }
    }
    panic!("loopback has no port that is free at all of {addresses:?}")
}

type Sockets = Vec<(Ipv4Addr, UdpSocket, TcpListener)>;

async fn open(addresses: &BTreeSet<Ipv4Addr>) -> Option<(u16, Sockets)> {
    let mut port = 0;
    let mut sockets = Vec::new();
    for &address in addresses {
        let udp = UdpSocket::bind((address, port)).await.ok()?;
        port = udp.local_addr().ok()?.port();
        sockets.push((address, udp, TcpListener::bind((address, port)).await.ok()?));
    }
    Some((port, sockets))
}

async fn datagrams(shared: Arc<Shared>, address: Ipv4Addr, socket: UdpSocket) {
    let mut buffer = [0; 4096];
    while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
        let request = buffer.get(..length).unwrap_or_default();
        if let Some(answer) = shared.answer(address, request, true) {
            // Whoever asked may be gone.
            let _ = socket.send_to(&answer, from).await;
        }
    }
}

async fn streams(shared: Arc<Shared>, address: Ipv4Addr, listener: TcpListener) {
    while let Ok((stream, _)) = listener.accept().await {
        let shared = shared.clone();
        tokio::spawn(async move {
            // The other side may hang up at any time.
            let _ = requests(&shared, address, stream).await;
        });
    }
}

async fn requests(shared: &Shared, address: Ipv4Addr, mut stream: TcpStream) -> std::io::Result<()> {
    loop {
        let length = stream.read_u16().await?;
        let mut request = vec![0; usize::from(length)];
        stream.read_exact(&mut request).await?;
        let Some(answer) = shared.answer(address, &request, false) else { continue };
        let length = u16::try_from(answer.len()).unwrap_or(u16::MAX);
        stream.write_all(&[&length.to_be_bytes(), answer.as_slice()].concat()).await?;
    }
}
