//! One DNS message in, one out.
//!
//! Every name exists. The last two labels of a name are its zone, so that clients which look for the start of
//! authority find one, with a name server that has an address.

use hickory_proto::op::{Edns, Message, MessageType, Metadata, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, CAA, CNAME, NS, SOA, TXT};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};

use super::records::{Host, Policy, Records};

/// Answers are never cached: the next question may have another answer.
const TTL_S: u32 = 0;

/// What fits into UDP where the question says nothing else (RFC 1035, section 2.3.4).
const UDP_BYTES: u16 = 512;

/// The most that is sent over UDP whatever the question says.
const UDP_MAX_BYTES: u16 = 4096;

/// The most aliases that are followed.
const ALIASES_MAX: usize = 8;

/// What one character-string of a TXT record holds (RFC 1035, section 3.3).
const STRING_MAX_BYTES: usize = 255;

/// Answers a message that came over UDP; `None` for what is no question.
pub(super) fn udp(records: &Records, request: &[u8]) -> Option<Vec<u8>> {
    let request = Message::from_vec(request).ok()?;
    let room =
        request.edns.as_ref().map_or(UDP_BYTES, |edns| edns.max_payload().clamp(UDP_BYTES, UDP_MAX_BYTES));
    respond(records, &request, room)
}

/// Answers a message that came over TCP; `None` for what is no question.
pub(super) fn tcp(records: &Records, request: &[u8]) -> Option<Vec<u8>> {
    let request = Message::from_vec(request).ok()?;
    respond(records, &request, u16::MAX)
}

fn respond(records: &Records, request: &Message, room_bytes: u16) -> Option<Vec<u8>> {
    if request.metadata.message_type != MessageType::Query {
        return None;
    }
    let mut response = empty(request);
    match (request.metadata.op_code, request.queries.as_slice()) {
        (OpCode::Query, [query]) if query.query_class() == DNSClass::IN => {
            fill(records, query, &mut response)
        }
        (OpCode::Query, [_]) => response.metadata.response_code = ResponseCode::Refused,
        (OpCode::Query, _) => response.metadata.response_code = ResponseCode::FormErr,
        _ => response.metadata.response_code = ResponseCode::NotImp,
    }
    let bytes = response.to_vec().ok()?;
    if bytes.len() <= usize::from(room_bytes) {
        return Some(bytes);
    }
    let mut cut = empty(request);
    cut.metadata.truncation = true;
    cut.to_vec().ok()
}

/// The answer's header, the question in the case in which it was asked, and EDNS if the question has it.
fn empty(request: &Message) -> Message {
    let mut response = Message::new(request.metadata.id, MessageType::Response, request.metadata.op_code);
    response.metadata = Metadata::response_from_request(&request.metadata);
    response.metadata.authoritative = true;
    // Stub resolvers ask for recursion and doubt a server that offers none.
    response.metadata.recursion_available = true;
    response.add_queries(request.queries.iter().cloned());
    if request.edns.is_some() {
        let mut edns = Edns::new();
        edns.set_max_payload(UDP_MAX_BYTES);
        response.set_edns(edns);
    }
    response
}

fn fill(records: &Records, query: &Query, response: &mut Message) {
    records.remember(query.name(), query.query_type().into(), query.query_class().into());
    let mut owner = query.name().clone();
    let mut host = records.host(&owner);
    for _ in 0..ALIASES_MAX {
        let (false, Some(target)) = (host.servfail, host.alias.take()) else { break };
        response.add_answer(record(&owner, RData::CNAME(CNAME(target.clone()))));
        if query.query_type() == RecordType::CNAME {
            return;
        }
        owner = target;
        host = records.host(&owner);
    }
    if host.servfail || host.alias.is_some() {
        // An alias is left only where aliases go on without end, which a resolver cannot answer either.
        response.answers.clear();
        response.metadata.response_code = ResponseCode::ServFail;
        return;
    }
    let found = data(&host, &owner, query.query_type());
    if found.is_empty() {
        response.add_authority(record(&zone(&owner), start_of_authority(&owner)));
    }
    response.add_answers(found.into_iter().map(|data| record(&owner, data)));
}

fn data(host: &Host, owner: &Name, record_type: RecordType) -> Vec<RData> {
    let is_zone = *owner == zone(owner);
    match record_type {
        RecordType::A => host.ipv4.iter().map(|address| RData::A(A(*address))).collect(),
        RecordType::AAAA => host.ipv6.iter().map(|address| RData::AAAA(AAAA(*address))).collect(),
        RecordType::TXT => host.txt.iter().map(|value| text(value)).collect(),
        RecordType::CAA => host.caa.iter().map(authorization).collect(),
        RecordType::SOA if is_zone => vec![start_of_authority(owner)],
        RecordType::NS if is_zone => vec![RData::NS(NS(below(owner, "ns")))],
        _ => Vec::new(),
    }
}

/// A long value becomes several character-strings, which readers put together again.
fn text(value: &str) -> RData {
    let mut strings: Vec<&[u8]> = value.as_bytes().chunks(STRING_MAX_BYTES).collect();
    if strings.is_empty() {
        strings.push(b"");
    }
    RData::TXT(TXT::from_bytes(strings))
}

fn authorization(policy: &Policy) -> RData {
    let mut record = CAA::new_issue(policy.flags & 0x80 != 0, None, Vec::new());
    record.reserved_flags = policy.flags & 0x7f;
    record.tag = policy.tag.clone();
    record.value = policy.value.clone().into_bytes();
    RData::CAA(record)
}

/// The last two labels, or all there are.
fn zone(name: &Name) -> Name {
    name.trim_to(usize::from(name.num_labels().min(2)))
}

fn start_of_authority(name: &Name) -> RData {
    let zone = zone(name);
    RData::SOA(SOA::new(below(&zone, "ns"), below(&zone, "hostmaster"), 1, 60, 60, 3600, 0))
}

fn below(zone: &Name, label: &str) -> Name {
    zone.prepend_label(label).unwrap_or_else(|_| zone.clone())
}

fn record(owner: &Name, data: RData) -> Record {
    Record::from_rdata(owner.clone(), TTL_S, data)
}

#[cfg(test)]
mod tests {
    use std::str::FromStr as _;

    use super::*;

    fn ask(records: &Records, name: &str, record_type: RecordType) -> Message {
        let mut request = Message::query();
        request.add_query(Query::query(Name::from_ascii(name).unwrap(), record_type));
        let bytes = tcp(records, &request.to_vec().unwrap()).unwrap();
        let response = Message::from_vec(&bytes).unwrap();
        assert_eq!(response.metadata.id, request.metadata.id);
        assert_eq!(response.queries, request.queries);
        response
    }

    fn answers(records: &Records, name: &str, record_type: RecordType) -> Vec<String> {
        ask(records, name, record_type).answers.iter().map(|record| record.data.to_string()).collect()
    }

    #[test]
    fn every_name_points_to_this_machine_and_has_nothing_else() {
        let records = Records::new();
        assert_eq!(answers(&records, "a.example.org.", RecordType::A), ["127.0.0.1"]);
        for record_type in
            [RecordType::AAAA, RecordType::TXT, RecordType::CAA, RecordType::DNSKEY, RecordType::MX]
        {
            let response = ask(&records, "a.example.org.", record_type);
            assert_eq!(response.metadata.response_code, ResponseCode::NoError);
            assert!(response.answers.is_empty());
            assert_eq!(response.authorities[0].name.to_ascii(), "example.org.");
            assert_eq!(response.authorities[0].record_type(), RecordType::SOA);
        }
    }

    #[test]
    fn what_was_told_is_answered_in_any_case_and_with_any_dots() {
        let records = Records::new();
        records.add_txt("_ACME-challenge.example.org.", "one".into()).unwrap();
        records.add_txt("_acme-challenge.EXAMPLE.org", "two".into()).unwrap();
        let response = ask(&records, "_acme-Challenge.eXample.org.", RecordType::TXT);
        assert_eq!(response.answers.len(), 2);
        // The question's case comes back, in the question and in the answers.
        assert_eq!(response.answers[0].name.to_ascii(), "_acme-Challenge.eXample.org.");
        records.clear("_acme-challenge.example.org", |host| host.txt.clear()).unwrap();
        assert!(answers(&records, "_acme-challenge.example.org.", RecordType::TXT).is_empty());
    }

    #[test]
    fn long_texts_are_split_and_come_back_whole() {
        let records = Records::new();
        let value = "x".repeat(700);
        records.add_txt("a.example", value.clone()).unwrap();
        let response = ask(&records, "a.example.", RecordType::TXT);
        let RData::TXT(text) = &response.answers[0].data else { panic!("no TXT") };
        assert_eq!(text.txt_data.len(), 3);
        assert_eq!(text.txt_data.concat(), value.as_bytes());
    }

    #[test]
    fn zones_are_found_as_clients_look_for_them() {
        let records = Records::new();
        assert!(ask(&records, "_acme-challenge.www.example.org.", RecordType::SOA).answers.is_empty());
        assert!(ask(&records, "www.example.org.", RecordType::SOA).answers.is_empty());
        let found = ask(&records, "example.org.", RecordType::SOA);
        assert_eq!(found.answers[0].name.to_ascii(), "example.org.");
        assert_eq!(answers(&records, "example.org.", RecordType::NS), ["ns.example.org."]);
        assert_eq!(answers(&records, "ns.example.org.", RecordType::A), ["127.0.0.1"]);
        // The ends of the tree answer too.
        ask(&records, "org.", RecordType::SOA);
        ask(&records, ".", RecordType::NS);
    }

    #[test]
    fn aliases_are_followed_and_loops_fail() {
        let records = Records::new();
        records.set_alias("a.example", "b.example.").unwrap();
        records.set_alias("b.example", "c.example").unwrap();
        records.add_txt("c.example", "found".into()).unwrap();
        let response = ask(&records, "a.example.", RecordType::TXT);
        let types: Vec<RecordType> = response.answers.iter().map(Record::record_type).collect();
        assert_eq!(types, [RecordType::CNAME, RecordType::CNAME, RecordType::TXT]);
        assert_eq!(answers(&records, "a.example.", RecordType::CNAME), ["b.example."]);
        records.set_alias("c.example", "a.example").unwrap();
        let response = ask(&records, "a.example.", RecordType::TXT);
        assert_eq!(response.metadata.response_code, ResponseCode::ServFail);
    }

    #[test]
    fn servfail_overrides_everything() {
        let records = Records::new();
        records.add_txt("a.example", "x".into()).unwrap();
        records.set_servfail("a.example").unwrap();
        let response = ask(&records, "A.example.", RecordType::TXT);
        assert_eq!(response.metadata.response_code, ResponseCode::ServFail);
        assert!(response.answers.is_empty());
    }

    #[test]
    fn policies_keep_flags_tags_and_values() {
        let records = Records::new();
        let policy = Policy { flags: 128, tag: "issue".into(), value: "ca.example; a=b".into() };
        records.add_caa("a.example", vec![policy]).unwrap();
        let response = ask(&records, "a.example.", RecordType::CAA);
        let RData::CAA(found) = &response.answers[0].data else { panic!("no CAA") };
        assert_eq!(
            (found.flags(), found.tag.as_str(), found.value.as_slice()),
            (128, "issue", &b"ca.example; a=b"[..])
        );
    }

    #[test]
    fn what_does_not_fit_is_truncated_over_udp_alone() {
        let records = Records::new();
        for number in 0..20 {
            records.add_txt("a.example", format!("{number}{}", "x".repeat(60))).unwrap();
        }
        let mut request = Message::query();
        request.add_query(Query::query(Name::from_str("a.example.").unwrap(), RecordType::TXT));
        let plain = request.to_vec().unwrap();
        let response = Message::from_vec(&udp(&records, &plain).unwrap()).unwrap();
        assert!(response.metadata.truncation && response.answers.is_empty());
        assert_eq!(Message::from_vec(&tcp(&records, &plain).unwrap()).unwrap().answers.len(), 20);
        let mut edns = Edns::new();
        edns.set_max_payload(4096);
        request.set_edns(edns);
        let response = Message::from_vec(&udp(&records, &request.to_vec().unwrap()).unwrap()).unwrap();
        assert_eq!(response.answers.len(), 20);
        assert!(response.edns.is_some());
    }

    #[test]
    fn messages_from_hell_get_no_answer_or_an_error() {
        let records = Records::new();
        assert_eq!(udp(&records, b""), None);
        assert_eq!(udp(&records, &[0xff; 12]), None);
        assert_eq!(udp(&records, &[0; 65_535]).map(|bytes| bytes.len() < 100), Some(true));
        let mut request = Message::query();
        request.add_query(Query::query(Name::from_str("a.example.").unwrap(), RecordType::A));
        let good = request.to_vec().unwrap();
        for cut in 0..good.len() {
            let _ = tcp(&records, &good[..cut]);
        }
        for place in 0..good.len() {
            for bit in 0..8 {
                let mut bad = good.clone();
                bad[place] ^= 1 << bit;
                let _ = udp(&records, &bad);
            }
        }
        request.metadata.message_type = MessageType::Response;
        assert_eq!(udp(&records, &request.to_vec().unwrap()), None);
    }
}
