//! Addresses that several threads listen on, each with a socket of its own, between which the kernel divides who comes.

use std::io;
use std::net::SocketAddr;

use tokio::net::TcpSocket;

use super::{BACKLOG, bind_each, socket_for};

/// Binds every address of a listener, once for each of `threads` threads: the sockets of each thread, which do not block.
///
/// # Errors
/// A line for each address that cannot be listened on.
pub(crate) fn bind_shared(
    key: &str,
    addresses: &[SocketAddr],
    threads: usize,
) -> Result<Vec<Vec<std::net::TcpListener>>, String> {
    let of_addresses = bind_each(key, addresses, |address| listen_on(address, threads))?;
    let mut of_threads: Vec<_> = (0..threads).map(|_| Vec::new()).collect();
    for sockets in of_addresses {
        for (thread, socket) in of_threads.iter_mut().zip(sockets) {
            thread.push(socket);
        }
    }
    Ok(of_threads)
}

fn listen_on(address: SocketAddr, threads: usize) -> io::Result<Vec<std::net::TcpListener>> {
    // The first is bound like any other, and shares its address only then: whoever has it already is noticed.
    let first = socket_for(address)?;
    first.bind(address)?;
    first.set_reuseport(true)?;
    let address = first.local_addr()?;
    let mut sockets = vec![first];
    for _ in 1..threads {
        let socket = socket_for(address)?;
        socket.set_reuseport(true)?;
        socket.bind(address)?;
        sockets.push(socket);
    }
    sockets.into_iter().map(listening).collect()
}

fn listening(socket: TcpSocket) -> io::Result<std::net::TcpListener> {
    // Accepted connections have it from here. Answers are small: waiting to fill a packet only makes them late.
    socket.set_nodelay(true)?;
    socket.listen(BACKLOG)?.into_std()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn threads_share_an_address_and_nobody_else_does() {
        let any = [SocketAddr::from(([127, 0, 0, 1], 0))];
        let threads = bind_shared("publication", &any, 3).unwrap();
        let taken = threads[0][0].local_addr().unwrap();
        assert!(threads.iter().all(|sockets| sockets[0].local_addr().unwrap() == taken));
        for threads in [1, 2] {
            let refused = bind_shared("publication", &[taken], threads).unwrap_err();
            assert!(refused.contains("another process"), "{refused}");
        }
        drop(threads);
        bind_shared("publication", &[taken], 1).unwrap();
    }
}
