//! The state folder: whether it can be used, and whether what is in it can go on.

mod published;

use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ingam_journal::folders::FileSystem;
use ingam_protocol::finding::dotted;
use ingam_protocol::{Findings, Timestamp};
use ingam_signer::hierarchy::{KeyOwner, Secrets};
use ingam_signer::{DelegateKey, Hierarchy};
use ingam_store::EngineChoice;
use ingam_store::backup::refuse_half_restored;
use rustix::fs::{Access, AtFlags, CWD, accessat, statvfs};

use super::{Dates, in_full};
use crate::config::{self, Config, Environment};
use crate::delegates;
use crate::hierarchy::{self, refuse_second_life};
use crate::production::{chain_of, key_refusals};

/// A disk with less left will soon be full.
const SPACE_LOW_BYTES: u64 = 5 << 30;

/// With less, a store cannot even be opened safely.
const SPACE_NONE_BYTES: u64 = 100 << 20;

/// What of the folder the CA writes to, or reads.
const USED: [(&str, Access); 11] = [
    ("lock", Access::WRITE_OK),
    ("hierarchy.json", Access::READ_OK),
    ("keys", Access::READ_OK.union(Access::EXEC_OK)),
    ("tls-own.pem", Access::READ_OK),
    ("store.redb", Access::READ_OK.union(Access::WRITE_OK)),
    ("store.redb.log", Access::READ_OK.union(Access::WRITE_OK)),
    ("store.sled", Access::READ_OK.union(Access::WRITE_OK).union(Access::EXEC_OK)),
    ("journal", Access::READ_OK.union(Access::WRITE_OK).union(Access::EXEC_OK)),
    ("journal-keys", Access::READ_OK.union(Access::WRITE_OK).union(Access::EXEC_OK)),
    ("log", Access::READ_OK.union(Access::WRITE_OK).union(Access::EXEC_OK)),
    ("contacts", Access::READ_OK.union(Access::WRITE_OK).union(Access::EXEC_OK)),
];

pub(super) fn check(config: &Config, now: Timestamp, found: &mut Findings) {
    if !found.is_sound("state") {
        return;
    }
    let state = &config.state;
    let Some(there) = folder(config, found) else { return };
    if let Err(ingam_store::Error::HalfRestored(_)) = refuse_half_restored(&FileSystem, state) {
        let reason = format!("is {}, into which a restore was broken off", state.display());
        found.error("state", reason, "delete everything in it, and restore again");
        return;
    }
    if let Ok(disk) = statvfs(&there) {
        space(&there, disk.f_bavail.saturating_mul(disk.f_frsize), found);
    }
    let is_signers = config.signer.state.as_ref() == Some(state);
    if config.signer.at.is_some() && !is_signers {
        // The keys are elsewhere.
        return;
    }
    if Hierarchy::is_in(state) {
        if !is_signers {
            lost_store(config, found);
        }
        hierarchy(config, now, found);
        delegates(config, found);
    } else {
        no_hierarchy(config, found);
    }
}

/// The folder, or for one that is to be made the one above; `None` if neither can be used.
fn folder(config: &Config, found: &mut Findings) -> Option<PathBuf> {
    let state = &config.state;
    let shown = state.display();
    let metadata = match state.metadata() {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == ErrorKind::NotFound => return above(state, found),
        Err(error) => {
            let fix = "give a folder that the user of the CA can reach";
            found.error("state", format!("is {shown}, which cannot be looked at: {error}"), fix);
            return None;
        }
    };
    if !metadata.is_dir() {
        found.error("state", format!("is {shown}, which is no folder"), "give a folder");
        return None;
    }
    if !may(state, Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK) {
        let fix = "give it to the user of the CA, and look as that user";
        found.error("state", format!("is {shown}, which this user may not read and write"), fix);
        return None;
    }
    let closed =
        USED.iter().filter(|(name, access)| state.join(name).exists() && !may(&state.join(name), *access));
    let closed: Vec<&str> = closed.map(|(name, _)| *name).collect();
    if !closed.is_empty() {
        let fix = "give everything in it to the user of the CA, and look as that user";
        found.error("state", format!("has what this user may not use: {}", closed.join(", ")), fix);
        return None;
    }
    let mode = metadata.permissions().mode();
    if mode & 0o007 != 0 && config.environment != Environment::Development {
        let reason = format!("is {shown}, which every user of this machine can look into");
        found.warning("state", reason, format!("chmod o= {shown}"));
    }
    Some(state.clone())
}

/// The nearest folder above that is there, if the state folder can be made in it.
fn above(state: &Path, found: &mut Findings) -> Option<PathBuf> {
    let is_there = |folder: &&Path| folder.as_os_str().is_empty() || folder.exists();
    let above = state.ancestors().skip(1).find(is_there)?;
    let above = if above.as_os_str().is_empty() { Path::new(".") } else { above };
    if above.is_dir() && may(above, Access::WRITE_OK | Access::EXEC_OK) {
        return Some(above.to_owned());
    }
    found.error(
        "state",
        format!("is {}, which is not there and cannot be made in {}", state.display(), above.display()),
        "make it, and give it to the user of the CA",
    );
    None
}

/// As whom the process acts, not as whom it was started.
fn may(path: &Path, access: Access) -> bool {
    accessat(CWD, path, access, AtFlags::EACCESS).is_ok()
}

fn space(folder: &Path, free_bytes: u64, found: &mut Findings) {
    let reason = format!("lies on a disk with {} MiB left", free_bytes >> 20);
    let fix = format!("make room on the disk of {}", folder.display());
    if free_bytes < SPACE_NONE_BYTES {
        found.error("state", reason, fix);
    } else if free_bytes < SPACE_LOW_BYTES {
        found.warning("state", reason, fix);
    }
}

/// A new CA, or what is left of an old one.
fn no_hierarchy(config: &Config, found: &mut Findings) {
    let (state, shown) = (&config.state, config.state.display());
    if let Err(finding) = refuse_second_life(state) {
        return found.push(finding);
    }
    if state.join("keys").exists() {
        return found.error(
            "state",
            format!("is {shown}, which has keys and no hierarchy.json"),
            "restore that from a backup; or, if an earlier `ingam init` was broken off, remove keys/, issuers/ and roots/",
        );
    }
    found.warning("state", format!("is {shown}, which has no hierarchy yet"), "run `ingam init`");
    if config.environment == Environment::Development {
        return;
    }
    let usual = config::Hierarchy::default();
    for (key, own, usual) in [
        ("hierarchy.country", &config.hierarchy.country, &usual.country),
        ("hierarchy.organization", &config.hierarchy.organization, &usual.organization),
    ] {
        if own == usual {
            let reason = format!("is the default, {own:?}, and goes into all CA certificates for good");
            found.warning(key, reason, "set it before `ingam init`");
        }
    }
}

/// A journal of a CA that has lived, and no store beside it: the store refuses to begin anew.
fn lost_store(config: &Config, found: &mut Findings) {
    let state = &config.state;
    let (store, other) = match config.store.engine {
        EngineChoice::Redb => ("store.redb", "store.sled"),
        EngineChoice::Sled => ("store.sled", "store.redb"),
    };
    let is_segment = |entry: std::io::Result<std::fs::DirEntry>| {
        entry.is_ok_and(|entry| entry.path().extension().is_some_and(|ending| ending == "seg"))
    };
    let has_lived = state.join("journal").read_dir().is_ok_and(|mut entries| entries.any(is_segment));
    if state.join(store).exists() || !has_lived {
        return;
    }
    if state.join(other).exists() {
        let reason = format!("wants {store}, and {} has {other}", state.display());
        found.error("store.engine", reason, "use the engine that this CA began with");
    } else {
        let reason = format!("is {}, which has a journal and no {store}", state.display());
        found.error("state", reason, "restore the store from a backup");
    }
}

/// The hierarchy that is there, and whether the configuration fits it.
fn hierarchy(config: &Config, now: Timestamp, found: &mut Findings) {
    key_files(config, found);
    let passphrase = match hierarchy::passphrase(config) {
        Ok(passphrase) => passphrase,
        Err(error) => {
            let fix = "name a file with the passphrase, which the user of the CA alone can read";
            return found.error("hierarchy.passphrase_file", error.to_string(), fix);
        }
    };
    if passphrase.is_none() && has_encrypted_keys(config) {
        // Whether the service has a credential cannot be known from here.
        let reason = "is not set, and the issuing CAs' keys are encrypted: they were not tried";
        let fix = "look with --issuer-passphrase-file; the service needs this key, or its credential issuer-passphrase";
        return found.warning("hierarchy.passphrase_file", reason, fix);
    }
    let pin = match hierarchy::pin(config) {
        Ok(pin) => pin,
        Err(error) => {
            let fix = "name a file with the PIN, which the user of the CA alone can read";
            return found.error("hierarchy.pin_file", error.to_string(), fix);
        }
    };
    let secrets = Secrets { passphrase: passphrase.as_ref(), pin: pin.as_ref() };
    let loaded = match Hierarchy::load(&config.state, secrets) {
        Ok(loaded) => loaded,
        Err(error) => {
            let reason = format!("has a hierarchy that cannot be loaded: {}", in_full(&error));
            let fix =
                "restore hierarchy.json, keys/, issuers/ and roots/ from one backup, or put the token in";
            return found.error("state", reason, fix);
        }
    };
    let shown = config.state.display();
    let mut issuers = Vec::with_capacity(loaded.intermediates.len());
    for intermediate in &loaded.intermediates {
        let name = intermediate.name.as_str();
        let key = dotted("hierarchy.issuers", name);
        found.require(
            config.hierarchy.issuers.contains_key(name),
            key.as_str(),
            format!("is missing, and {shown}/hierarchy.json has it"),
            format!("add {name}, with its kind of key"),
        );
        let Some(dates) = Dates::of(&intermediate.certificate) else { continue };
        let Dates { not_before, not_after } = dates;
        let fix = "replace it by another, or take it out: `ingam issuer`";
        found.require(now <= not_after, key.as_str(), format!("ended at {not_after}"), fix);
        let reason = format!("begins at {not_before}, and it is {now}");
        found.require(not_before <= now, key, reason, "set this machine's clock");
        issuers.push((name, dates));
    }
    for (name, profile) in &config.profiles {
        profile_issuers(&dotted("profiles", name), profile, &issuers, Looked { config, now }, found);
    }
    published::check(config, &loaded, now, found);
}

/// Keys of responders apart that are a CA's: its certificates say so, whether its keys can be read or not.
fn delegates(config: &Config, found: &mut Findings) {
    let Ok(keys) = delegates::keys(config) else { return };
    for folder in ["issuers", "roots"] {
        let Ok(files) = config.state.join(folder).read_dir() else { continue };
        for file in files.filter_map(|file| Some(file.ok()?.path())) {
            let Ok(chain) = chain_of("state", &file) else { continue };
            let own = |key: &&DelegateKey| chain.iter().any(|certificate| key.is_certified_by(certificate));
            if let Some(key) = keys.iter().find(own) {
                let why = format!("has {}, whose key is that of a CA: {}", key.name(), file.display());
                found.push(delegates::refusal(why));
            }
        }
    }
}

/// For whom and when a profile is looked at.
#[derive(Clone, Copy)]
struct Looked<'a> {
    config: &'a Config,
    now: Timestamp,
}

/// Whether a profile's issuers are there, and for how long they can sign for it.
fn profile_issuers(
    table: &str,
    profile: &config::ProfileConfig,
    issuers: &[(&str, Dates)],
    looked: Looked<'_>,
    found: &mut Findings,
) {
    let key = format!("{table}.{}", profile.issuers_key());
    for (name, weight) in profile.weights() {
        match issuers.iter().find(|(issuer, _)| *issuer == name) {
            Some((_, dates)) if weight > 0 => outlived(table, profile, (name, *dates), looked, found),
            Some(_) => {}
            None if found.is_sound(&key) => {
                let known: Vec<&str> = issuers.iter().map(|(name, _)| *name).collect();
                let reason =
                    format!("is {name:?}, which is not in {}/hierarchy.json", looked.config.state.display());
                let fix =
                    format!("name one of these: {}; `ingam issuer add` takes others in", known.join(", "));
                found.error(key.as_str(), reason, fix);
            }
            None => {}
        }
    }
}

fn has_encrypted_keys(config: &Config) -> bool {
    let is_issuers = |owner: &KeyOwner| matches!(owner, KeyOwner::Issuer(_));
    // What cannot be looked at cannot be loaded either, which is told then.
    Hierarchy::key_files(&config.state)
        .is_ok_and(|files| files.iter().any(|file| file.is_encrypted && is_issuers(&file.owner)))
}

/// Keys that lie open, or that should lie elsewhere.
fn key_files(config: &Config, found: &mut Findings) {
    if config.environment != Environment::Production {
        return;
    }
    // What cannot be looked at cannot be loaded either, which is told then.
    let Ok(files) = Hierarchy::key_files(&config.state) else { return };
    key_refusals(&files).into_iter().for_each(|finding| found.push(finding));
    if let Some(root) = files.iter().find(|file| file.owner == KeyOwner::Root && file.is_encrypted) {
        let reason = format!("has the root's key in {}: it belongs offline", root.path.display());
        found.warning("state", reason, "copy it to two media, try the copies, and delete it here");
    }
}

/// Whether certificates of a profile would end after their issuer, which the signer refuses.
fn outlived(
    table: &str,
    profile: &config::ProfileConfig,
    (name, issuer): (&str, Dates),
    Looked { config, now }: Looked<'_>,
    found: &mut Findings,
) {
    let notice = Duration::from_secs(config.health.certificate_warning_days.saturating_mul(24 * 60 * 60));
    // The last second of a certificate that is signed now lies `reach` ahead.
    let reach = Duration::from_secs(profile.validity_s.saturating_sub(1).saturating_sub(profile.backdate_s));
    let last = issuer.not_after.minus(reach);
    if now <= issuer.not_after && last < now.plus(notice) {
        let left_s = issuer.not_after.since(now).as_secs();
        found.warning(
            format!("{table}.validity_s"),
            format!(
                "is {}: {name} ends at {}, so that none can be issued by it after {last}",
                profile.validity_s, issuer.not_after
            ),
            match profile.issuers.is_empty() {
                true => format!("plan a new issuer; until then, set it to less than {left_s}"),
                false => {
                    format!("let others sign, and give {name} the weight 0; or set it to less than {left_s}")
                }
            },
        );
    }
}

#[cfg(test)]
mod tests;
