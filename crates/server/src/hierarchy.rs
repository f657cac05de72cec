//! The CA's keys as the configuration says: where their passphrase is, what is made of it, when nothing is made.

use std::path::Path;

use ingam_protocol::Finding;
use ingam_protocol::record::{Record, RecordType};
use ingam_signer::hierarchy::{Protection, Secrets, Written};
use ingam_signer::{Hierarchy, Passphrase};
use ingam_store::Store;

use crate::config::Config;
use crate::serve::{Sources, StartError, close};

/// The name of the passphrase among the credentials that systemd gives a service.
const PASSPHRASE_CREDENTIAL: &str = "issuer-passphrase";
/// The name of the tokens' PIN there.
const PIN_CREDENTIAL: &str = "token-pin";

/// The passphrase of the issuing CAs' keys: from `hierarchy.passphrase_file` or `passphrase_fd`, or else from the
/// service's credentials. It is never taken from the command line or the environment, which other users can read.
pub(crate) fn passphrase(config: &Config) -> Result<Option<Passphrase>, StartError> {
    let hierarchy = &config.hierarchy;
    secret(
        ("hierarchy.passphrase_file", hierarchy.passphrase_file.as_deref()),
        ("hierarchy.passphrase_fd", hierarchy.passphrase_fd),
        PASSPHRASE_CREDENTIAL,
    )
}

/// The PIN of those tokens whose URI names no file with one, likewise.
pub(crate) fn pin(config: &Config) -> Result<Option<Passphrase>, StartError> {
    let hierarchy = &config.hierarchy;
    secret(
        ("hierarchy.pin_file", hierarchy.pin_file.as_deref()),
        ("hierarchy.pin_fd", hierarchy.pin_fd),
        PIN_CREDENTIAL,
    )
}

fn secret(
    (file_key, file): (&str, Option<&Path>),
    (descriptor_key, descriptor): (&str, Option<u32>),
    credential: &str,
) -> Result<Option<Passphrase>, StartError> {
    if let Some(path) = file {
        let read = Passphrase::from_file(path);
        return read.map(Some).map_err(|error| StartError::caused(file_key, &error));
    }
    if let Some(number) = descriptor {
        let read = Passphrase::from_descriptor(number);
        return read.map(Some).map_err(|error| StartError::caused(descriptor_key, &error));
    }
    let Some(credentials) = std::env::var_os("CREDENTIALS_DIRECTORY") else { return Ok(None) };
    let path = Path::new(&credentials).join(credential);
    if !path.exists() {
        return Ok(None);
    }
    let read = Passphrase::from_credential(&path);
    read.map(Some).map_err(|error| StartError::caused(&format!("the credential {credential}"), &error))
}

/// The hierarchy in the state folder.
pub(crate) fn load(config: &Config) -> Result<Hierarchy, StartError> {
    let (passphrase, pin) = (passphrase(config)?, pin(config)?);
    Hierarchy::load(&config.state, Secrets { passphrase: passphrase.as_ref(), pin: pin.as_ref() })
        .map_err(|error| StartError::caused("the CA's hierarchy cannot be loaded", &error))
}

/// The hierarchy in the state folder; a new one where there is none, its keys not encrypted, with the certificates that
/// were made for it.
pub(crate) fn load_or_make(
    config: &Config,
    sources: &Sources,
) -> Result<(Hierarchy, Vec<Vec<u8>>), StartError> {
    if Hierarchy::is_in(&config.state) {
        return Ok((load(config)?, Vec::new()));
    }
    refuse_second_life(&config.state)?;
    let made = make(config, sources)?;
    // The start puts it on record before it signs anything.
    let protection = Protection::default();
    let loaded = take_up(write(&made, config, &protection, sources)?, config, &protection)?;
    let certificates = certificates(&made);
    Ok((loaded, certificates))
}

/// Makes a hierarchy as the configuration says, in memory.
pub(crate) fn make(config: &Config, sources: &Sources) -> Result<Hierarchy, StartError> {
    let plan = config.plan()?;
    Hierarchy::create(&plan, sources.clock.as_ref(), sources.random.as_ref()).map_err(not_made)
}

/// Writes a hierarchy's files into the state folder. Nobody uses it before it is taken up.
pub(crate) fn write(
    hierarchy: &Hierarchy,
    config: &Config,
    protection: &Protection,
    sources: &Sources,
) -> Result<Written, StartError> {
    hierarchy.write(&config.state, protection, sources.random.as_ref()).map_err(not_made)
}

/// Makes what was written the state folder's hierarchy, and reads it again as any later start does.
pub(crate) fn take_up(
    written: Written,
    config: &Config,
    protection: &Protection,
) -> Result<Hierarchy, StartError> {
    written.take_up().map_err(not_made)?;
    let pin = pin(config)?;
    Hierarchy::load(&config.state, Secrets { passphrase: protection.issuers.as_ref(), pin: pin.as_ref() })
        .map_err(not_made)
}

fn not_made(error: ingam_signer::Error) -> StartError {
    StartError::caused("the CA's hierarchy cannot be made", &error)
}

/// DER of all certificates of a hierarchy, the root's first.
pub(crate) fn certificates(hierarchy: &Hierarchy) -> Vec<Vec<u8>> {
    hierarchy.certificates().into_iter().map(|certificate| certificate.der).collect()
}

/// Opens the store of a CA that does not run, puts CA certificates on record, and closes it.
pub(crate) async fn record(
    config: &Config,
    certificates: impl Iterator<Item = Vec<u8>>,
    taken_over: bool,
    sources: &Sources,
) -> Result<(), StartError> {
    let (store, process) = Store::open(&config.state, &config.store, sources.random.clone())
        .map_err(|error| StartError::caused("the store cannot be opened", &error))?;
    let records = certificates.map(|certificate| {
        let payload = serde_json::json!({
            "certificate": ingam_protocol::Bytes::from(certificate),
            "taken_over": taken_over,
        });
        let kind = RecordType::AuthorityCertificateCreated;
        let payload = payload.to_string().into_bytes();
        Record::new(kind, sources.clock.now(), payload, sources.random.as_ref())
    });
    let written = store.statuses().records_append(records.collect()).await;
    close(process).await;
    written.map_err(|error| StartError::caused("the CA certificates cannot be put on record", &error))
}

/// A folder that was once a CA is never made a new one: its keys would be lost, and its certificates without a status.
pub(crate) fn refuse_second_life(state: &Path) -> Result<(), Finding> {
    let traces = ["store.redb", "store.redb.log", "store.sled", "journal"];
    match traces.iter().find(|name| state.join(name).exists()) {
        None => Ok(()),
        Some(trace) => Err(Finding::error(
            "state",
            format!(
                "is {}, which has no hierarchy.json, but {trace} of a CA that has lived",
                state.display()
            ),
            "restore hierarchy.json, keys/, issuers/ and roots/ from a backup; or choose another folder, as after an `ingam init` that \
             was broken off",
        )),
    }
}
