//! The log of OCSP requests as it goes over the wire.

use ingam_protocol::Timestamp;
use ingam_responder::request_log;

use super::time;
use crate::api;

pub(crate) fn request_log(condition: &request_log::Condition) -> api::RequestLogState {
    let segment = |(first, goes): &(Timestamp, Timestamp)| api::RequestSegment {
        first: first.to_rfc3339(),
        goes: goes.to_rfc3339(),
    };
    api::RequestLogState {
        mode: condition.mode.name().to_owned(),
        keep_s: condition.keep.as_secs(),
        segments: condition.segments.iter().map(segment).collect(),
        holds: u64::try_from(condition.holds).unwrap_or(u64::MAX),
        bytes: condition.bytes.0,
        bytes_max: condition.bytes.1,
        waiting: condition.queue.0,
        waiting_max: condition.queue.1,
        requests: condition.requests.0,
        dropped: condition.requests.1,
        dropped_at: time(condition.dropped_at),
        trouble: condition.trouble.map(ToOwned::to_owned),
        overdue: condition.is_overdue,
    }
}

pub(crate) fn request_hour(hour: &request_log::HourCounts) -> api::RequestHour {
    let certificate = |count: &request_log::CertificateCount| api::CertificateRequests {
        serial: count.serial.to_string(),
        requests: count.requests,
    };
    let issuer = |counts: &request_log::IssuerCounts| api::IssuerRequests {
        issuer: counts.issuer.as_ref().map(ToString::to_string),
        requests: counts.requests,
        answers: counts.answers.clone(),
        clients: counts.clients.clone(),
        certificates: counts.certificates.iter().map(certificate).collect(),
    };
    api::RequestHour {
        hour: hour.hour.to_rfc3339(),
        requests: hour.requests,
        dropped: hour.dropped,
        sampled: hour.sampled,
        issuers: hour.issuers.iter().map(issuer).collect(),
    }
}

pub(crate) fn request_hold(hold: &request_log::Hold) -> api::RequestHold {
    let request_log::Selection { serials, networks, from, until } = &hold.selection;
    api::RequestHold {
        id: hold.id.to_string(),
        serials: serials.iter().map(ToString::to_string).collect(),
        networks: networks.iter().map(ToString::to_string).collect(),
        from: time(*from),
        until: time(*until),
        owner: hold.owner.clone(),
        reason: hold.reason.clone(),
        opened: hold.opened.to_rfc3339(),
        ends: hold.ends.to_rfc3339(),
        renewals: hold.renewals,
    }
}

pub(crate) fn held_request(request: &request_log::LoggedRequest) -> api::HeldRequest {
    let origin = request.origin;
    // A client may call itself whatever it likes.
    let user_agent = String::from_utf8_lossy(&request.user_agent);
    let user_agent: String = user_agent.chars().filter(|c| !c.is_control()).collect();
    api::HeldRequest {
        at: request.at.to_rfc3339(),
        from: if origin.prefix_len() == origin.max_prefix_len() {
            origin.addr().to_string()
        } else {
            origin.to_string()
        },
        user_agent: Some(user_agent).filter(|text| !text.is_empty()),
        client: request.family.name().to_owned(),
        issuer: request.issuer.as_ref().map(ToString::to_string),
        serial: request.serial.as_ref().map(ToString::to_string),
        answer: request.outcome.name().to_owned(),
        stands_for: request.weight.into(),
    }
}
