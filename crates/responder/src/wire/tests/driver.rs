//! A connection with a client that is a list of writes.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use ingam_protocol::proxy::Front;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::tests::world::World;
use crate::wire::WireLimits;
use crate::wire::connection::{Connection, Next, Stream};
use crate::wire::desk::Desk;
use crate::wire::general;

pub(super) const LIMITS: WireLimits =
    WireLimits { idle: Duration::from_secs(60), header: Duration::from_secs(10) };

/// The client's end: what it sends, piece by piece, then its end of the stream if `ends`; and what it has read.
#[derive(Default)]
pub(super) struct Client {
    pub(super) pieces: VecDeque<Vec<u8>>,
    pub(super) ends: bool,
    pub(super) received: Vec<u8>,
    /// How much it reads until it is told to read more.
    pub(super) room: usize,
    pub(super) is_finished: bool,
}

impl Client {
    pub(super) fn new(pieces: &[&[u8]]) -> Self {
        let pieces = pieces.iter().filter(|piece| !piece.is_empty()).map(|piece| piece.to_vec()).collect();
        Self { pieces, ends: true, room: usize::MAX, ..Self::default() }
    }
}

impl Read for Client {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(piece) = self.pieces.front_mut() else {
            return if self.ends { Ok(0) } else { Err(ErrorKind::WouldBlock.into()) };
        };
        let count = piece.len().min(buffer.len());
        buffer[..count].copy_from_slice(&piece[..count]);
        piece.drain(..count);
        if piece.is_empty() {
            self.pieces.pop_front();
        }
        Ok(count)
    }
}

impl Write for Client {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes.len().min(self.room);
        if count == 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        self.room -= count;
        self.received.extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Stream for Client {
    fn write_last(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write(bytes)
    }

    fn finish(&mut self) {
        self.is_finished = true;
    }
}

/// How a connection ended, or that it waits.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum End {
    Waits,
    Closed,
    Unsaid(&'static str),
    /// With what nobody has answered yet.
    HandedOver(Vec<u8>),
}

pub(super) fn connection(desk: &Desk) -> Connection {
    Connection::new(SocketAddr::from(([192, 0, 2, 1], 4711)), desk)
}

pub(super) fn desk(world: &World) -> Desk {
    let mut desk = Desk::new(world.responder.clone(), LIMITS, Front::default());
    desk.begin_round();
    desk
}

/// A desk and a connection.
pub(super) fn opened(world: &World) -> (Desk, Connection) {
    let desk = desk(world);
    let connection = connection(&desk);
    (desk, connection)
}

/// Lets a connection go on until it has nothing more to do.
pub(super) async fn drive(
    world: &World,
    desk: &mut Desk,
    connection: &mut Connection,
    client: &mut Client,
) -> End {
    loop {
        match connection.turn(client, desk) {
            Next::Again => desk.begin_round(),
            // Each piece is an event of its own.
            Next::Wait if !client.pieces.is_empty() && client.room > 0 => connection.readable(false),
            Next::Wait if client.ends && client.room > 0 => connection.readable(true),
            Next::Wait => return End::Waits,
            Next::Ask(question) => {
                let reply = general::reply(&world.responder, *question).await;
                connection.reply(reply, desk);
            }
            Next::HandOver => {
                let connection = std::mem::replace(connection, self::connection(desk));
                return End::HandedOver(connection.into_held());
            }
            Next::Unsaid(why) => return End::Unsaid(why),
            Next::Close => return End::Closed,
        }
    }
}

/// Everything that comes back for these writes, after which the client ends its side; through hyper where that is handed over.
pub(crate) async fn by_wire(world: &World, pieces: &[&[u8]]) -> Vec<u8> {
    let ((mut desk, mut connection), mut client) = (opened(world), Client::new(pieces));
    match drive(world, &mut desk, &mut connection, &mut client).await {
        End::HandedOver(held) => {
            let rest: Vec<u8> = client.pieces.into_iter().flatten().collect();
            let mut received = client.received;
            received.extend(by_hyper(world, &[held, rest].concat()).await);
            received
        }
        End::Closed | End::Waits | End::Unsaid(_) => client.received,
    }
}

/// The same through hyper alone.
pub(crate) async fn by_hyper(world: &World, sent: &[u8]) -> Vec<u8> {
    let (mut client, server) = tokio::io::duplex(1 << 20);
    let responder = world.responder.clone();
    let service = service_fn(move |request| {
        let responder = responder.clone();
        async move { Ok::<_, std::convert::Infallible>(responder.handle(request).await) }
    });
    let serving = tokio::spawn(async move {
        let mut builder = hyper::server::conn::http1::Builder::new();
        builder.half_close(true).keep_alive(false);
        // How a connection ends is not what is tested.
        let _ = builder.serve_connection(TokioIo::new(server), service).await;
    });
    client.write_all(sent).await.unwrap();
    let mut received = Vec::new();
    client.read_to_end(&mut received).await.unwrap();
    serving.await.unwrap();
    received
}
