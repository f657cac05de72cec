//! The zones themselves.

use std::net::Ipv4Addr;

use trust_dns_resolver::proto::rr::RData;
use trust_dns_resolver::proto::rr::rdata::{CAA, NS, TXT};

use super::denial::Denial;
use super::key::Key;
use super::zone::{Fault, Zone, name};

/// Where the root's server is.
pub const ROOT: Ipv4Addr = Ipv4Addr::new(127, 53, 0, 1);

/// Where a server is said to be that nobody may ask.
pub const REFUSED_SERVER: Ipv4Addr = Ipv4Addr::new(127, 53, 1, 1);

/// Names with every kind of answer, for which all resolvers should come to one verdict about CAA.
pub const NAMES: &[&str] = &[
    "secure.example",
    "www.secure.example",
    "nothing.secure.example",
    "empty.secure.example",
    "hashed.example",
    "www.hashed.example",
    "nothing.hashed.example",
    "empty.hashed.example",
    "x.wild.secure.example",
    "x.wild.hashed.example",
    "iterated.example",
    "www.iterated.example",
    "insecure.example",
    "www.insecure.example",
    "nothing.insecure.example",
    "glueless.example",
    "balancer.example",
    "www.balancer.example",
    "truncated.example",
    "alias.secure.example",
    "out.secure.example",
    "cdn.secure.example",
    "cdn2.secure.example",
    "gone.secure.example",
    "x.alias.secure.example",
    "www.tree.secure.example",
    "corrupt.example",
    "www.corrupt.example",
    "broken.secure.example",
    "expired.example",
    "early.example",
    "unsigned.example",
    "www.unsigned.example",
    "www.undenied.example",
    "nothing.undenied.example",
    "www.undenied3.example",
    "otherkey.example",
    "manykeys.example",
    "child.loose",
    "silent.example",
    "lame.example",
    "endless.example",
    "loop.secure.example",
    "c0.secure.example",
];

fn server(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(127, 53, 0, number)
}

fn caa(value: &str) -> RData {
    let mut record = CAA::new_issue(false, None, Vec::new());
    record.value = value.into();
    RData::CAA(record)
}

fn txt(value: &str) -> RData {
    RData::TXT(TXT::new(vec![value.to_owned()]))
}

fn address(text: &str) -> RData {
    RData::A(text.parse::<Ipv4Addr>().expect("an address").into())
}

/// A signed zone with a CAA record for `ca.example` at its apex and a host without.
fn signed(apex: &str, number: u8) -> Zone {
    usual(Zone::new(apex, server(number), Some(Key::new())), apex)
}

fn usual(zone: Zone, apex: &str) -> Zone {
    let (host, text) = (format!("www.{apex}"), format!("text.{apex}"));
    zone.add(apex, caa("ca.example")).add(&host, address("192.0.2.1")).add(&text, txt("hello"))
}

/// The zone in which most names are: links of every kind lead away from it.
fn secure() -> Zone {
    signed("secure.example", 3)
        .alias("alias.secure.example", "hashed.example")
        .alias("out.secure.example", "insecure.example")
        .alias("cdn.secure.example", "www.insecure.example")
        .alias("cdn2.secure.example", "www.hashed.example")
        .alias("gone.secure.example", "nothing.hashed.example")
        .alias("broken.secure.example", "corrupt.example")
        .alias("loop.secure.example", "loop2.secure.example")
        .alias("loop2.secure.example", "loop.secure.example")
        .alias("*.alias.secure.example", "hashed.example")
        .alias_tree("tree.secure.example", "hashed.example")
        .add("*.wild.secure.example", txt("wild"))
        .add("a.b.empty.secure.example", txt("below"))
}

fn chain(mut zone: Zone) -> Zone {
    for number in 0..20 {
        let (owner, target) =
            (format!("c{number}.secure.example"), format!("c{}.secure.example", number + 1));
        zone = zone.alias(&owner, &target);
    }
    zone
}

/// All zones, each put below its parent.
pub(super) fn zones() -> Vec<Zone> {
    let faulty = |label: &str, number, fault| signed(&format!("{label}.example"), number).with(fault);
    let hashes = |iterations| Denial::Hashes { iterations };
    let unsigned = |label: &str, number| {
        let apex = format!("{label}.example");
        usual(Zone::new(&apex, server(number), None), &apex)
    };
    let mut below = vec![
        chain(secure()),
        signed("hashed.example", 4)
            .denied_by(hashes(0))
            .add("*.wild.hashed.example", txt("wild"))
            .add("a.b.empty.hashed.example", txt("below")),
        signed("iterated.example", 5).denied_by(hashes(200)),
        unsigned("insecure", 6),
        faulty("corrupt", 7, Fault::Corruption),
        faulty("expired", 8, Fault::Expiry),
        faulty("early", 9, Fault::Earliness),
        faulty("unsigned", 10, Fault::NoSignatures),
        faulty("undenied", 11, Fault::NoDenial).add("*.wild.undenied.example", txt("wild")),
        faulty("otherkey", 12, Fault::OtherKey),
        faulty("manykeys", 13, Fault::ManyKeys),
        faulty("tcp", 14, Fault::TcpAlone),
        faulty("truncated", 15, Fault::Truncation),
        faulty("silent", 16, Fault::Silence),
        faulty("unproven", 17, Fault::NoWildcardProof).add("*.wild.unproven.example", txt("wild")),
        faulty("undenied3", 18, Fault::NoDenial).denied_by(hashes(0)),
        unsigned("empty", 19).with(Fault::Emptiness),
        unsigned("glueless", 20),
        unsigned("balancer", 23).with(Fault::NoServersKnown),
    ];
    let mut example = Zone::new("example", server(2), Some(Key::new()));
    for zone in below.iter().filter(|zone| zone.name != name("glueless.example")) {
        example = example.delegate(zone);
    }
    example = example
        .delegate_to("glueless.example", "glueless-ns.secure.example")
        .delegate_to("endless.example", "ns.endless2.example")
        .delegate_to("endless2.example", "ns.endless.example")
        .add("lame.example", RData::NS(NS(name("ns.lame.example"))))
        .add("ns.lame.example", RData::A(server(3).into()))
        .add("inside.example", RData::NS(NS(name("ns.inside.example"))))
        .add("ns.inside.example", RData::A(REFUSED_SERVER.into()));
    if let Some(first) = below.first_mut() {
        first
            .records
            .entry(name("glueless-ns.secure.example"))
            .or_default()
            .insert(trust_dns_resolver::proto::rr::RecordType::A, vec![RData::A(server(20).into())]);
    }
    // Its parent does not deny anything, so that nobody can tell whether it is signed.
    let loose = signed("child.loose", 22).with(Fault::NoDsProof);
    let loose_parent =
        Zone::new("loose", server(21), Some(Key::new())).with(Fault::NoDenial).delegate(&loose);
    let root = Zone::new(".", ROOT, Some(Key::new())).delegate(&example).delegate(&loose_parent);
    below.extend([loose, loose_parent, example, root]);
    below
}
