//! A small DNS with a root of its own, for tests: signed zones, unsigned ones, and ones with every fault that a zone can have.
//!
//! It answers as name servers do (RFC 1034, section 4.3.2; RFC 4035, section 3; RFC 5155, section 7), each zone at a loopback
//! address of its own and all at one port. Feature `zones` gives it to the tests of other crates.

mod denial;
mod fixture;
mod key;
mod server;
mod zone;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use trust_dns_resolver::proto::op::{Edns, Message, MessageType, Metadata, Query, ResponseCode};
use trust_dns_resolver::proto::rr::rdata::opt::EdnsOption;

use crate::{AddressRange, Config, RootHint};

pub use crate::resolver::feed::{Fed, feed};
pub use fixture::{NAMES, REFUSED_SERVER, ROOT};
use zone::{Fault, Zone};

/// The zones, and the sockets that they are served at.
#[derive(Debug)]
pub struct Zones {
    port: u16,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    zones: Vec<Zone>,
    asked: Mutex<Vec<Query>>,
}

impl Zones {
    /// Serves the zones at a free port. Within a Tokio runtime, and until that ends.
    ///
    /// # Panics
    /// If loopback has no free port.
    pub async fn serve() -> Self {
        let shared = Arc::new(Shared { zones: fixture::zones(), asked: Mutex::default() });
        let port = server::serve(&shared).await;
        Self { port, shared }
    }

    /// The root's keys, as lines of a zone file.
    pub fn anchors(&self) -> String {
        let root = self.shared.zones.iter().find(|zone| zone.name.is_root());
        root.map(Zone::anchors).unwrap_or_default()
    }

    /// Where the root's server is.
    pub fn root(&self) -> SocketAddr {
        SocketAddr::new(ROOT.into(), self.port)
    }

    /// Full recursion over these zones: the port, the root, and the addresses that their servers are at.
    ///
    /// The root's keys have to be in the file that `trust_anchors` names.
    pub fn recursion(&self) -> Config {
        let servers = self.shared.zones.iter().map(|zone| zone.server);
        let range = |address: Ipv4Addr| address.to_string().parse::<AddressRange>().ok();
        Config {
            resolvers: Vec::new(),
            root_hints: vec![RootHint::Server(ROOT.into())],
            dns_port: self.port,
            addresses_allowed: servers.filter_map(range).collect(),
            caa_issuer_domains: vec!["ca.example".into()],
            ..Config::default()
        }
    }

    /// Each zone's name with a dot at its end, and its server, for a resolver that is told where every zone is.
    pub fn servers(&self) -> Vec<(String, SocketAddr)> {
        let server = |zone: &Zone| (zone.name.to_ascii(), SocketAddr::new(zone.server.into(), self.port));
        self.shared.zones.iter().map(server).collect()
    }

    /// How many questions came.
    pub fn asked(&self) -> usize {
        self.shared.asked.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

impl Shared {
    /// What the server at an address answers, and nothing if it keeps silent.
    fn answer(&self, server: Ipv4Addr, request: &[u8], is_datagram: bool) -> Option<Vec<u8>> {
        let request = Message::from_vec(request).ok()?;
        let query = request.queries.first()?.clone();
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).push(query.clone());
        let mut response = Message::new(request.metadata.id, MessageType::Response, request.metadata.op_code);
        response.metadata = Metadata::response_from_request(&request.metadata);
        response.add_query(query.clone());
        let wants_dnssec = request.edns.as_ref().is_some_and(|edns| edns.flags().dnssec_ok);
        let room = request.edns.as_ref().map_or(512, |edns| usize::from(edns.max_payload()));
        if request.edns.is_some() {
            let mut edns = Edns::new();
            edns.set_max_payload(1232).set_dnssec_ok(wants_dnssec);
            response.edns = Some(edns);
        }
        let here = self.zones.iter().filter(|zone| zone.server == server && zone.serves(&query));
        let Some(zone) = here.max_by_key(|zone| zone.name.num_labels()) else {
            response.metadata.response_code = ResponseCode::Refused;
            if let Some(edns) = &mut response.edns {
                let error = [&[0, 20], b"not served here".as_slice()].concat();
                edns.options_mut().options.push((15.into(), EdnsOption::Unknown(15, error)));
            }
            return response.to_vec().ok();
        };
        if zone.has(Fault::Silence) || (is_datagram && zone.has(Fault::TcpAlone)) {
            return None;
        }
        zone.answer(&query, wants_dnssec, &mut response);
        if is_datagram && zone.has(Fault::Truncation) {
            response.answers.clear();
            response.authorities.clear();
            response.metadata.truncation = true;
        }
        let bytes = response.to_vec().ok()?;
        if !is_datagram || bytes.len() <= room {
            return Some(bytes);
        }
        response.answers.clear();
        response.authorities.clear();
        response.additionals.clear();
        response.metadata.truncation = true;
        response.to_vec().ok()
    }
}
