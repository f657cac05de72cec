//! What an operator may say about remote perspectives.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use ingam_protocol::Findings;
use ingam_protocol::corroboration::{Quorum, Registry};
use serde::{Deserialize, Serialize};

use super::{Config, TIMEOUT_MS_MAX, is_perspective_name};

/// The most remote perspectives that are asked.
pub(crate) const REMOTES_MAX: usize = 32;

/// How far two perspectives have to be from each other (BR 3.2.2.9), in kilometres.
pub const DISTANCE_KM_MIN: f64 = 500.0;

/// The Earth's mean radius.
const EARTH_KM: f64 = 6371.0;

/// A place on the Earth, in degrees.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Location {
    /// Towards the north pole, from -90 to 90.
    pub latitude: f64,
    /// Towards the east, from -180 to 180.
    pub longitude: f64,
}

impl Location {
    /// The great-circle distance to another place.
    pub fn distance_km(self, other: Self) -> f64 {
        let (here, there) = (self.latitude.to_radians(), other.latitude.to_radians());
        let east = (other.longitude - self.longitude).to_radians();
        let half = |angle: f64| (angle / 2.0).sin().powi(2);
        let chord = half(there - here) + here.cos() * there.cos() * half(east);
        2.0 * EARTH_KM * chord.sqrt().min(1.0).asin()
    }

    fn is_on_earth(self) -> bool {
        (-90.0..=90.0).contains(&self.latitude) && (-180.0..=180.0).contains(&self.longitude)
    }
}

/// A remote perspective: another process that speaks Open MPIC, of Ingam or of another maker.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct RemoteConfig {
    /// Its name in the records, as `seoul-2`: 1 to 64 letters, digits, hyphens and dots.
    pub name: String,
    /// Where it is asked, as `https://seoul-2.example:8443`: `/dcv` and `/caa` come after. Each has its own host or
    /// port.
    pub url: String,
    /// The registry in whose region it lies: `AFRINIC`, `APNIC`, `ARIN`, `LACNIC` or `RIPE NCC`.
    pub registry: Option<Registry>,
    /// Where it stands. Perspectives have to be 500 km apart (BR 3.2.2.9); where this is given it is looked at.
    pub location: Option<Location>,
}

impl RemoteConfig {
    /// The host and port at which it is asked, whichever way the URL is written.
    fn door(&self) -> Option<(String, u16)> {
        let url = url::Url::parse(&self.url).ok()?;
        Some((url.host_str()?.trim_end_matches('.').to_owned(), url.port_or_known_default()?))
    }
}

/// How remote perspectives are asked, and when enough of them agree.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct CorroborationConfig {
    /// PEM file of the certificate that this CA shows to them, and its chain.
    pub certificate: Option<PathBuf>,
    /// PEM file of its key, PKCS #8.
    pub key: Option<PathBuf>,
    /// PEM file of the CAs that their certificates have to be from; no others count.
    pub server_ca: Option<PathBuf>,
    /// How long one may take to answer, in milliseconds; never longer than `total_timeout_ms`. Default: 25000.
    pub timeout_ms: u64,
    /// In how many registries' regions those that agree have to lie, 1 to 5. Default: 2 (BR 3.2.2.9).
    pub registries_min: u8,
}

impl Default for CorroborationConfig {
    fn default() -> Self {
        Self {
            certificate: None,
            key: None,
            server_ca: None,
            timeout_ms: 25_000,
            registries_min: Quorum::REGISTRIES_MIN,
        }
    }
}

/// Two perspectives that are nearer to each other than is allowed.
#[derive(Clone, Debug, PartialEq)]
pub struct TooClose {
    /// Their names.
    pub names: [String; 2],
    /// How far they are apart, in kilometres.
    pub distance_km: f64,
}

impl Config {
    /// Every pair of perspectives, this one included, whose places are known and less than 500 km apart (BR 3.2.2.9).
    pub fn too_close(&self) -> Vec<TooClose> {
        let here = self.location.map(|location| (&self.perspective, location));
        let remotes = self.remotes.iter().filter_map(|remote| Some((&remote.name, remote.location?)));
        let placed: Vec<(&String, Location)> = here.into_iter().chain(remotes).collect();
        let mut pairs = Vec::new();
        for (index, (one, at)) in placed.iter().enumerate() {
            for (other, there) in placed.iter().skip(index + 1) {
                let distance_km = at.distance_km(*there);
                if distance_km < DISTANCE_KM_MIN {
                    pairs.push(TooClose { names: [(*one).clone(), (*other).clone()], distance_km });
                }
            }
        }
        pairs
    }

    /// Those perspectives whose place is not known, this one included; none where there are no remotes.
    pub fn unplaced(&self) -> Vec<&str> {
        if self.remotes.is_empty() {
            return Vec::new();
        }
        let here = self.location.is_none().then_some(self.perspective.as_str());
        let unplaced = self.remotes.iter().filter(|remote| remote.location.is_none());
        here.into_iter().chain(unplaced.map(|remote| remote.name.as_str())).collect()
    }

    /// In how many registries' regions those would lie that agree, if the worst that is allowed not to agree did not.
    pub fn registries_at_worst(&self) -> usize {
        let mut counts = BTreeMap::<Registry, usize>::new();
        for registry in self.remotes.iter().filter_map(|remote| remote.registry) {
            *counts.entry(registry).or_default() += 1;
        }
        let remotes = u8::try_from(self.remotes.len()).unwrap_or(u8::MAX);
        let mut failing = usize::from(Quorum::failures_allowed(remotes));
        let mut sizes: Vec<usize> = counts.into_values().collect();
        sizes.sort_unstable();
        // The smallest regions go first: that is the worst that can happen.
        sizes.retain(|size| {
            let is_gone = *size <= failing;
            failing -= if is_gone { *size } else { 0 };
            !is_gone
        });
        sizes.len()
    }

    pub(super) fn check_corroboration(&self, found: &mut Findings) {
        let on_earth = |location: Option<Location>| location.is_none_or(Location::is_on_earth);
        let degrees = "give latitude from -90 to 90 and longitude from -180 to 180, in degrees";
        found.require(on_earth(self.location), "location", "is no place on the Earth", degrees);
        let count = self.remotes.len();
        let fix = format!("give at most {REMOTES_MAX}");
        found.require(count <= REMOTES_MAX, "remotes", format!("has {count} perspectives"), fix);
        let mut names = vec![self.perspective.as_str()];
        let mut doors = Vec::new();
        for remote in self.remotes.iter().take(REMOTES_MAX) {
            check_remote(remote, &names, found);
            names.push(&remote.name);
            let Some(door) = remote.door() else { continue };
            let reason = format!("has {}:{} more than once, which would count as often", door.0, door.1);
            let fix = "give each perspective its own host or port, or remove one of them";
            found.require(!doors.contains(&door), "remotes.url", reason, fix);
            doors.push(door);
        }
        found.between("corroboration.timeout_ms", self.corroboration.timeout_ms, 1..=TIMEOUT_MS_MAX);
        found.between("corroboration.registries_min", self.corroboration.registries_min, 1..=5);
        if self.remotes.is_empty() {
            return;
        }
        let CorroborationConfig { certificate, key, server_ca, .. } = &self.corroboration;
        for (name, file) in [("certificate", certificate), ("key", key), ("server_ca", server_ca)] {
            found.require(
                file.is_some(),
                format!("corroboration.{name}"),
                "is missing: remote perspectives are asked over TLS in which both sides show who they are",
                "name a PEM file, as docs/operations/perspectives.md shows how to make it",
            );
        }
        self.check_registries(found);
    }

    /// Whether those that agree can lie in enough regions, and whether they do if the worst happens that may.
    fn check_registries(&self, found: &mut Findings) {
        let (worst, wanted) = (self.registries_at_worst(), usize::from(self.corroboration.registries_min));
        let best = self.remotes.iter().filter_map(|remote| remote.registry).collect::<BTreeSet<_>>().len();
        if best < wanted && self.remotes.iter().all(|remote| remote.registry.is_some()) {
            found.error(
                "remotes",
                format!(
                    "lie in {best} of the registries' regions altogether, where {wanted} are needed: no validation could \
                     succeed"
                ),
                "add perspectives in other regions, or for a private CA lower corroboration.registries_min",
            );
        } else if worst < wanted {
            found.warning(
                "remotes",
                format!(
                    "lie so that those that agree may be in {worst} of the registries' regions, where {wanted} are needed, \
                     though no more fail than may"
                ),
                "add perspectives in other regions",
            );
        }
    }
}

fn check_remote(remote: &RemoteConfig, names: &[&str], found: &mut Findings) {
    let RemoteConfig { name, url, registry, location } = remote;
    let fix = "give 1 to 64 letters, digits, hyphens and dots";
    found.require(is_perspective_name(name), "remotes.name", format!("is {name:?}"), fix);
    found.require(
        !names.contains(&name.as_str()),
        "remotes.name",
        format!("is {name:?} more than once, `perspective` included"),
        "give each its own",
    );
    let is_url = url::Url::parse(url).is_ok_and(|url| {
        url.scheme() == "https" && url.has_host() && url.query().is_none() && url.fragment().is_none()
    });
    let fix = "give one like https://seoul-2.example:8443";
    found.require(is_url, "remotes.url", format!("is {url:?}, which is no https URL"), fix);
    found.require(
        registry.is_some(),
        "remotes.registry",
        format!("is missing for {name:?}"),
        "give AFRINIC, APNIC, ARIN, LACNIC or RIPE NCC",
    );
    found.require(
        location.is_none_or(Location::is_on_earth),
        "remotes.location",
        format!("of {name:?} is no place on the Earth"),
        "give latitude from -90 to 90 and longitude from -180 to 180, in degrees",
    );
}

#[cfg(test)]
mod tests {
    use ingam_protocol::finding::Level;

    use super::*;

    fn at(latitude: f64, longitude: f64) -> Option<Location> {
        Some(Location { latitude, longitude })
    }

    fn remote(name: &str, registry: Registry, location: Option<Location>) -> RemoteConfig {
        let url = format!("https://{name}.example:8443");
        RemoteConfig { name: name.into(), url, registry: Some(registry), location }
    }

    fn five() -> Config {
        let mut config = Config { location: at(37.57, 126.98), ..Config::default() };
        config.remotes = vec![
            remote("tokyo", Registry::Apnic, at(35.68, 139.69)),
            remote("frankfurt", Registry::RipeNcc, at(50.11, 8.68)),
            remote("virginia", Registry::Arin, at(39.04, -77.49)),
            remote("saopaulo", Registry::Lacnic, at(-23.55, -46.63)),
            remote("capetown", Registry::Afrinic, at(-33.92, 18.42)),
        ];
        let file = |name: &str| Some(PathBuf::from(name));
        config.corroboration.certificate = file("client.pem");
        config.corroboration.key = file("client.key");
        config.corroboration.server_ca = file("ca.pem");
        config
    }

    fn keys(config: &Config) -> Vec<String> {
        config.check().into_iter().map(|finding| finding.key).collect()
    }

    #[test]
    fn five_perspectives_on_five_continents_are_good() {
        assert_eq!(keys(&five()), [""; 0]);
        assert!(five().too_close().is_empty() && five().unplaced().is_empty());
        assert_eq!(five().registries_at_worst(), 4);
    }

    #[test]
    fn distances_are_those_of_the_globe() {
        let [seoul, busan, tokyo, lima] =
            [(37.57, 126.98), (35.18, 129.08), (35.68, 139.69), (-12.05, -77.04)]
                .map(|(latitude, longitude)| Location { latitude, longitude });
        for (one, other, km) in [(seoul, busan, 325.0), (seoul, tokyo, 1157.0), (seoul, lima, 16_300.0)] {
            let measured = one.distance_km(other);
            assert!((measured - km).abs() < km / 100.0, "{measured} is about {km}");
        }
        assert!(seoul.distance_km(seoul) < 0.001);
        let mut config = five();
        config.remotes[1].location = at(35.18, 129.08);
        let [pair] = config.too_close().try_into().unwrap();
        assert_eq!(pair.names, ["local", "frankfurt"]);
        config.location = None;
        assert!(config.too_close().is_empty());
        assert_eq!(config.unplaced(), ["local"]);
    }

    #[test]
    fn one_region_that_may_be_lost_does_not_count() {
        let mut config = five();
        for remote in &mut config.remotes[1..] {
            remote.registry = Some(Registry::Apnic);
        }
        config.remotes[0].registry = Some(Registry::Arin);
        assert_eq!(config.registries_at_worst(), 1);
        assert_eq!(keys(&config), ["remotes"]);
        let levels =
            |config: &Config| config.check().into_iter().map(|finding| finding.level).collect::<Vec<_>>();
        assert_eq!(levels(&config), [Level::Warning]);
        // Without it there is one region, and nothing could ever agree.
        config.remotes.remove(0);
        assert_eq!(levels(&config), [Level::Error]);
        config.corroboration.registries_min = 1;
        assert_eq!(keys(&config), [""; 0]);
    }

    #[test]
    fn mistakes_are_told_by_their_keys() {
        type Change = fn(&mut Config);
        let broken: [(Change, &str); 12] = [
            (|config| config.remotes[1].name = "tokyo".into(), "remotes.name"),
            (|config| config.remotes[1].name = "local".into(), "remotes.name"),
            (|config| config.remotes[1].name = "a b".into(), "remotes.name"),
            (|config| config.remotes[1].url = "http://tokyo.example".into(), "remotes.url"),
            (|config| config.remotes[1].url = "https://tokyo.example/?a".into(), "remotes.url"),
            (|config| config.remotes[1].url = "https://TOKYO.example.:8443/b".into(), "remotes.url"),
            (
                |config| {
                    config.remotes[1].url = "https://one.example".into();
                    config.remotes[2].url = "https://one.example:443/".into();
                },
                "remotes.url",
            ),
            (|config| config.remotes[1].registry = None, "remotes.registry"),
            (|config| config.remotes[1].location = at(91.0, 0.0), "remotes.location"),
            (|config| config.location = at(0.0, f64::NAN), "location"),
            (|config| config.corroboration.key = None, "corroboration.key"),
            (|config| config.corroboration.registries_min = 6, "corroboration.registries_min"),
        ];
        for (change, key) in broken {
            let mut config = five();
            change(&mut config);
            assert!(keys(&config).iter().any(|found| found == key), "{key}: {:?}", keys(&config));
        }
        let mut ports = five();
        ports.remotes[1].url = "https://tokyo.example:8444".into();
        assert_eq!(keys(&ports), [""; 0], "another process on the same machine");
        let mut many = five();
        many.remotes = vec![many.remotes[0].clone(); 33];
        assert!(keys(&many).iter().any(|found| found == "remotes"));
    }
}
