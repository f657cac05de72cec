//! What the test DNS server was told, and what it was asked.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};

use hickory_proto::rr::Name;

/// The most names with records of their own.
const HOSTS_MAX: usize = 65_536;

/// The most records of one type at one name.
const VALUES_MAX: usize = 256;

/// The longest TXT or CAA value.
const VALUE_MAX_BYTES: usize = 2048;

/// The most questions that are remembered; older ones are forgotten.
const HISTORY_MAX: usize = 16_384;

/// The records and the history, shared by all sockets.
#[derive(Debug)]
pub(crate) struct Records {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    default_ipv4: Option<Ipv4Addr>,
    default_ipv6: Option<Ipv6Addr>,
    /// By name, lower case and without a trailing dot.
    hosts: BTreeMap<String, Host>,
    history: VecDeque<(String, Question)>,
}

/// What one name has instead of the defaults.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Host {
    /// Its IPv4 addresses; the default one if empty.
    pub(crate) ipv4: Vec<Ipv4Addr>,
    /// Its IPv6 addresses; the default one if empty.
    pub(crate) ipv6: Vec<Ipv6Addr>,
    /// The values of its TXT records.
    pub(crate) txt: Vec<String>,
    /// Its CAA records.
    pub(crate) caa: Vec<Policy>,
    /// The name that it is an alias of.
    pub(crate) alias: Option<Name>,
    /// Whether every question about it ends in SERVFAIL.
    pub(crate) servfail: bool,
}

/// One CAA record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Policy {
    /// The flags; 128 is "critical".
    pub(crate) flags: u8,
    /// The property's tag.
    pub(crate) tag: String,
    /// The property's value.
    pub(crate) value: String,
}

/// One question that was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Question {
    /// The name as it was written, with a trailing dot.
    pub(crate) name: String,
    /// The type's number.
    pub(crate) record_type: u16,
    /// The class's number.
    pub(crate) class: u16,
}

/// Why something was not taken; the words go to whoever asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refused(&'static str);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Refused {}

impl Default for Records {
    fn default() -> Self {
        Self::new()
    }
}

impl Records {
    /// Every name has the address 127.0.0.1 and nothing else.
    pub(crate) fn new() -> Self {
        Self {
            state: Mutex::new(State {
                default_ipv4: Some(Ipv4Addr::LOCALHOST),
                default_ipv6: None,
                hosts: BTreeMap::new(),
                history: VecDeque::new(),
            }),
        }
    }

    /// What every name without IPv4 addresses of its own has; `None` for nothing.
    pub(crate) fn set_default_ipv4(&self, address: Option<Ipv4Addr>) {
        self.lock().default_ipv4 = address;
    }

    /// What every name without IPv6 addresses of its own has; `None` for nothing.
    pub(crate) fn set_default_ipv6(&self, address: Option<Ipv6Addr>) {
        self.lock().default_ipv6 = address;
    }

    /// Adds a TXT record beside those that are there.
    pub(crate) fn add_txt(&self, host: &str, value: String) -> Result<(), Refused> {
        bounded(&value)?;
        self.change(host, |records| push(&mut records.txt, value))
    }

    /// Adds addresses; all of them must be of one kind.
    pub(crate) fn add_addresses(&self, host: &str, addresses: &[IpAddr]) -> Result<(), Refused> {
        self.change(host, |records| {
            for address in addresses {
                match address {
                    IpAddr::V4(address) => push(&mut records.ipv4, *address)?,
                    IpAddr::V6(address) => push(&mut records.ipv6, *address)?,
                }
            }
            Ok(())
        })
    }

    /// Adds CAA records.
    pub(crate) fn add_caa(&self, host: &str, policies: Vec<Policy>) -> Result<(), Refused> {
        for policy in &policies {
            bounded(&policy.value)?;
            let is_tag = policy.tag.bytes().all(|byte| byte.is_ascii_alphanumeric());
            if policy.tag.is_empty() || policy.tag.len() > 15 || !is_tag {
                return Err(Refused("a tag has 1 to 15 letters and digits"));
            }
        }
        self.change(host, |records| {
            policies.into_iter().try_for_each(|policy| push(&mut records.caa, policy))
        })
    }

    /// Makes the name an alias.
    pub(crate) fn set_alias(&self, host: &str, target: &str) -> Result<(), Refused> {
        let target = name(target)?;
        self.change(host, |records| {
            records.alias = Some(target);
            Ok(())
        })
    }

    /// Makes every question about the name end in SERVFAIL.
    pub(crate) fn set_servfail(&self, host: &str) -> Result<(), Refused> {
        self.change(host, |records| {
            records.servfail = true;
            Ok(())
        })
    }

    /// Takes something away from a name; nothing happens if it was not there.
    pub(crate) fn clear(&self, host: &str, clear: impl FnOnce(&mut Host)) -> Result<(), Refused> {
        let key = key(host)?;
        let mut state = self.lock();
        if let Some(records) = state.hosts.get_mut(&key) {
            clear(records);
            if *records == Host::default() {
                state.hosts.remove(&key);
            }
        }
        Ok(())
    }

    /// What is answered for a name, the defaults filled in.
    pub(crate) fn host(&self, name: &Name) -> Host {
        let state = self.lock();
        let mut host = state.hosts.get(&key_of(name)).cloned().unwrap_or_default();
        if host.ipv4.is_empty() {
            host.ipv4.extend(state.default_ipv4);
        }
        if host.ipv6.is_empty() {
            host.ipv6.extend(state.default_ipv6);
        }
        host
    }

    /// Remembers a question, and forgets the oldest one if there are too many.
    pub(crate) fn remember(&self, name: &Name, record_type: u16, class: u16) {
        let question = Question { name: name.to_ascii(), record_type, class };
        let mut state = self.lock();
        if state.history.len() >= HISTORY_MAX {
            state.history.pop_front();
        }
        state.history.push_back((key_of(name), question));
    }

    /// The questions about a name, oldest first.
    pub(crate) fn history(&self, host: &str) -> Result<Vec<Question>, Refused> {
        let key = key(host)?;
        let state = self.lock();
        Ok(state
            .history
            .iter()
            .filter(|(name, _)| *name == key)
            .map(|(_, question)| question.clone())
            .collect())
    }

    /// Forgets the questions about a name.
    pub(crate) fn clear_history(&self, host: &str) -> Result<(), Refused> {
        let key = key(host)?;
        self.lock().history.retain(|(name, _)| *name != key);
        Ok(())
    }

    fn change(
        &self,
        host: &str,
        change: impl FnOnce(&mut Host) -> Result<(), Refused>,
    ) -> Result<(), Refused> {
        let key = key(host)?;
        let mut state = self.lock();
        if state.hosts.len() >= HOSTS_MAX && !state.hosts.contains_key(&key) {
            return Err(Refused("there are too many hosts with records; clear some"));
        }
        change(state.hosts.entry(key).or_default())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No change can panic half-way, so what a panicking thread left is whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn bounded(value: &str) -> Result<(), Refused> {
    if value.len() > VALUE_MAX_BYTES { Err(Refused("a value has at most 2048 bytes")) } else { Ok(()) }
}

fn push<T>(values: &mut Vec<T>, value: T) -> Result<(), Refused> {
    if values.len() >= VALUES_MAX {
        return Err(Refused("the host has too many records of this type; clear some"));
    }
    values.push(value);
    Ok(())
}

fn name(host: &str) -> Result<Name, Refused> {
    if host.is_empty() {
        return Err(Refused("host must not be empty"));
    }
    let mut name = Name::from_ascii(host).map_err(|_| Refused("this is no domain name"))?;
    name.set_fqdn(true);
    Ok(name)
}

fn key(host: &str) -> Result<String, Refused> {
    name(host).map(|name| key_of(&name))
}

fn key_of(name: &Name) -> String {
    let mut key = name.to_ascii().to_ascii_lowercase();
    if key.len() > 1 && key.ends_with('.') {
        key.pop();
    }
    key
}
