//! That the sockets speak DNS and HTTP, whoever is at the other end. What is said is tested beside the code that says it.

use hickory_proto::op::{Message, Query};
use hickory_proto::rr::{Name, RecordType};

use super::*;

struct Server {
    udp: SocketAddr,
    tcp: SocketAddr,
    management: SocketAddr,
    stop: watch::Sender<bool>,
    task: tokio::task::JoinHandle<()>,
}

async fn start() -> Server {
    let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let management = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (stop, stopped) = watch::channel(false);
    Server {
        udp: udp.local_addr().unwrap(),
        tcp: tcp.local_addr().unwrap(),
        management: management.local_addr().unwrap(),
        stop,
        task: tokio::spawn(run(Arc::new(Records::new()), vec![udp], vec![tcp], vec![management], stopped)),
    }
}

fn question(name: &str) -> Vec<u8> {
    let mut request = Message::query();
    request.add_query(Query::query(Name::from_ascii(name).unwrap(), RecordType::TXT));
    request.to_vec().unwrap()
}

async fn post(server: &Server, text: &str) -> String {
    let mut stream = TcpStream::connect(server.management).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn what_management_is_told_is_answered_over_udp_and_tcp() {
    let server = start().await;
    let body = r#"{"host": "a.example", "value": "told"}"#;
    let request = format!(
        "POST /set-txt HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    assert!(post(&server, &request).await.starts_with("HTTP/1.1 200"));

    let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    client.connect(server.udp).await.unwrap();
    client.send(b"not DNS").await.unwrap();
    client.send(&question("a.example.")).await.unwrap();
    let mut buffer = [0; 512];
    let length = client.recv(&mut buffer).await.unwrap();
    assert_eq!(Message::from_vec(&buffer[..length]).unwrap().answers.len(), 1);

    let mut stream = TcpStream::connect(server.tcp).await.unwrap();
    for _ in 0..2 {
        let question = question("a.example.");
        stream.write_u16(u16::try_from(question.len()).unwrap()).await.unwrap();
        stream.write_all(&question).await.unwrap();
        let mut answer = vec![0; usize::from(stream.read_u16().await.unwrap())];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(Message::from_vec(&answer).unwrap().answers.len(), 1);
    }
    // What is no DNS ends the connection.
    stream.write_all(&[0, 3, 1, 2, 3]).await.unwrap();
    assert!(stream.read_u16().await.is_err());

    server.stop.send(true).unwrap();
    server.task.await.unwrap();
}

#[tokio::test]
async fn large_bodies_are_refused() {
    let server = start().await;
    let body = "x".repeat(BODY_MAX_BYTES + 1);
    let request = format!(
        "POST /set-txt HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    assert!(post(&server, &request).await.starts_with("HTTP/1.1 413"));
}
