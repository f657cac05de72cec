//! Whether this user may listen where the configuration says. Nothing is bound to find out.

use std::net::SocketAddr;
use std::path::Path;

use ingam_protocol::Findings;
use rustix::thread::{CapabilitySet, capabilities};

use crate::config::Listen;

/// The kernel's own word on where ports for everybody begin (ip(7)).
const FIRST_FREE_PORT: &str = "/proc/sys/net/ipv4/ip_unprivileged_port_start";

pub(super) fn check(listen: &Listen, found: &mut Findings) {
    let may = capabilities(None).is_ok_and(|sets| sets.effective.contains(CapabilitySet::NET_BIND_SERVICE));
    if !may {
        low_ports(&listen.all(), first_free_port(Path::new(FIRST_FREE_PORT)), found);
    }
}

fn first_free_port(path: &Path) -> u16 {
    std::fs::read_to_string(path).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(1024)
}

fn low_ports(lists: &[(&str, &[SocketAddr])], first_free: u16, found: &mut Findings) {
    for (key, addresses) in lists {
        let low = addresses.iter().filter(|address| (1..first_free).contains(&address.port()));
        let low: Vec<String> = low.map(ToString::to_string).collect();
        if !low.is_empty() {
            found.warning(
                *key,
                format!("has {}: this user may not listen below port {first_free}", low.join(", ")),
                "let the service have CAP_NET_BIND_SERVICE, as systemd's AmbientCapabilities= gives it, or choose \
                 another port",
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn low_ports_need_a_right() {
        let keys = |first_free| {
            let mut found = Findings::new();
            low_ports(&Listen::default().all(), first_free, &mut found);
            found.into_iter().map(|finding| finding.key).collect::<Vec<_>>()
        };
        assert_eq!(keys(1024), ["listen.acme", "listen.publication"]);
        assert_eq!(keys(443), ["listen.publication"]);
        assert!(keys(80).is_empty());
        assert_eq!(first_free_port(Path::new("/nowhere")), 1024);
    }
}
