//! A DNS server in the test's own process, so that each place can be shown another Internet. It knows what it was told; every
//! other name has the address 127.0.0.1 and nothing else.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use hickory_proto::op::{Message, MessageType, Metadata};
use hickory_proto::rr::rdata::{A, CAA, SOA, TXT};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

use crate::ports;

/// What a DNS server says. It ends with its last copy.
#[derive(Clone)]
pub struct Names {
    /// Where it is asked, over UDP.
    pub address: SocketAddr,
    records: Arc<Mutex<HashMap<String, Vec<RData>>>>,
    _task: Arc<Running>,
}

struct Running(JoinHandle<()>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Names {
    /// Listens on a free port of 127.0.0.1.
    pub async fn listen() -> Self {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, ports::free()));
        let socket = UdpSocket::bind(address).await.expect("a port that was free");
        let records: Arc<Mutex<HashMap<String, Vec<RData>>>> = Arc::default();
        let known = Arc::clone(&records);
        let task = tokio::spawn(async move {
            let mut buffer = [0; 4096];
            while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
                let answer = answer(&known.lock().expect("nobody panics with it in hand"), &buffer[..length]);
                if let Some(answer) = answer {
                    // Whoever asked may be gone.
                    let _ = socket.send_to(&answer, from).await;
                }
            }
        });
        Self { address, records, _task: Arc::new(Running(task)) }
    }

    /// Has this TXT record at this name, beside others.
    pub fn txt(&self, name: &str, value: &str) {
        self.add(name, RData::TXT(TXT::from_bytes(vec![value.as_bytes()])));
    }

    /// Has this address at this name in the place of 127.0.0.1.
    pub fn a(&self, name: &str, address: [u8; 4]) {
        self.add(name, RData::A(A(Ipv4Addr::from(address))));
    }

    /// Has a CAA record with `issue` and this value.
    pub fn caa(&self, name: &str, value: &str) {
        let mut record = CAA::new_issue(false, None, Vec::new());
        record.value = value.as_bytes().to_vec();
        self.add(name, RData::CAA(record));
    }

    fn add(&self, name: &str, data: RData) {
        let mut records = self.records.lock().expect("nobody panics with it in hand");
        records.entry(name.to_ascii_lowercase()).or_default().push(data);
    }
}

fn answer(records: &HashMap<String, Vec<RData>>, asked: &[u8]) -> Option<Vec<u8>> {
    let asked = Message::from_vec(asked).ok()?;
    let question = asked.queries.first()?.clone();
    let name = question.name().to_ascii().trim_end_matches('.').to_ascii_lowercase();
    let mut answer = Message::new(asked.metadata.id, MessageType::Response, asked.metadata.op_code);
    answer.metadata = Metadata::response_from_request(&asked.metadata);
    answer.metadata.recursion_available = true;
    let kind = question.query_type();
    let of_kind = |data: &&RData| data.record_type() == kind;
    let mut found: Vec<RData> = records.get(&name).into_iter().flatten().filter(of_kind).cloned().collect();
    if found.is_empty() && kind == RecordType::A {
        found.push(RData::A(A(Ipv4Addr::LOCALHOST)));
    }
    answer.add_query(question.clone());
    if found.is_empty() {
        // That there is nothing is an answer only with a start of authority (RFC 2308, section 5).
        let soa = SOA::new(Name::root(), Name::root(), 1, 60, 60, 60, 60);
        answer.add_authority(Record::from_rdata(Name::root(), 60, RData::SOA(soa)));
    }
    for data in found {
        answer.add_answer(Record::from_rdata(question.name().clone(), 1, data));
    }
    answer.to_vec().ok()
}
