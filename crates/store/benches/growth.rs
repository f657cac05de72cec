//! How the store lives with many: durable transactions a second beside the disk's own syncs, the archiver's pace, and
//! what millions of certificates take on disk, at start and at a look-up.
//!
//! `cargo bench -p ingam-store --bench growth -- writers FOLDER`, `… -- archiver FOLDER` or
//! `… -- certificates FOLDER ENGINE COUNT...` with `redb` or `sled`; the folder decides which disk is measured. `fill` does the same
//! and leaves the store there, which `open FOLDER ENGINE` looks at as often as you like. Not a test: nothing here fails for being slow. Certificates are synthetic: the rows that an issuance for one name leaves, with a
//! certificate as a public CA signs it whose serial number, key, SCTs and signature are noise, past the committer and in bulk. Raw
//! bytes are those of all keys and values, with certificates as they are and not packed.

use std::error::Error;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ingam_journal::files::{Disk, File, Files};
use ingam_protocol::acme::{Account, Claim, FinalBytes, Order, Precertificate};
use ingam_protocol::der::{Writer, tag};
use ingam_protocol::identifier::Identifier;
use ingam_protocol::key::PublicKey;
use ingam_protocol::profile::{IssuerName, ProfileName};
use ingam_protocol::record::{Record, RecordType};
use ingam_protocol::time::{Random, SeededRandom, random_array};
use ingam_protocol::{Bytes, Id, Serial, Timestamp};
use ingam_store::engine::redb::{RedbConfig, RedbEngine};
use ingam_store::engine::sled::SledEngine;
use ingam_store::engine::{Batch, Durability, Engine};
use ingam_store::{Bulk, CertificateRow, Config, EngineChoice, Store, StoreProcess};
use rcgen::{
    CertificateParams, CrlDistributionPoint, CustomExtension, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, Issuer, KeyPair, KeyUsagePurpose,
};
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};

type Outcome<T> = Result<T, Box<dyn Error>>;

const BEGIN_S: u64 = 1_795_255_200;
/// How long each rate is taken.
const WHILE: Duration = Duration::from_secs(5);

#[allow(clippy::print_stdout, reason = "printing is what this program is for")]
fn report(line: &str) {
    println!("{line}");
}

/// CPU time of the process so far.
fn cpu() -> Duration {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = text.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: u64 = fields.skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}

/// How many bytes everything below a folder has on the disk.
fn on_disk(folder: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let sizes = entries.flatten().map(|entry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => on_disk(&entry.path()),
        Ok(metadata) => metadata.blocks() * 512,
        Err(_) => 0,
    });
    sizes.sum()
}

fn resident_mib() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|number| number.parse::<u64>().ok()).unwrap_or(0) / 1024
}

/// What the disk can do: a write of that length into a file that has its blocks already, as the store's log has, and a sync.
fn syncs(folder: &Path, bytes: usize) -> Outcome<f64> {
    let disk = Disk::open(folder.join("syncs"))?;
    let file: Arc<dyn File> = disk.create("file")?;
    const BLOCKS: u64 = 4 << 20;
    file.write_at(0, &vec![0; usize::try_from(BLOCKS)?])?;
    file.sync()?;
    let data = vec![7; bytes];
    let (begin, mut at, mut count) = (Instant::now(), 0, 0_u32);
    while begin.elapsed() < WHILE {
        file.write_at(at, &data)?;
        file.sync()?;
        at = (at + u64::try_from(bytes)?) % (BLOCKS / 2);
        count += 1;
    }
    Ok(f64::from(count) / begin.elapsed().as_secs_f64())
}

fn random(seed: u64) -> Arc<SeededRandom> {
    Arc::new(SeededRandom::new(seed))
}

/// A record of about the length that an account's has: the request is the larger part.
fn record(kind: RecordType, random: &dyn Random, bytes: usize) -> Record {
    let mut noise = vec![0; bytes * 3 / 4];
    random.fill(&mut noise);
    let text = format!("{{\"request\":\"{}\"}}", ingam_protocol::bytes::base64url(&noise));
    Record::new(kind, Timestamp::from_unix_s(BEGIN_S), text.into_bytes(), random)
}

fn accounts(count: usize, random: &dyn Random) -> Outcome<Vec<Account>> {
    #[allow(clippy::disallowed_methods, reason = "ring makes keys by its own source alone")]
    let system = ring::rand::SystemRandom::new();
    (0..count)
        .map(|_| {
            let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
            let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &system).map_err(|_| "no key")?;
            let pair = EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref(), &system).map_err(|_| "no key")?;
            let (_, point) = pair.public_key().as_ref().split_first().ok_or("no point")?;
            let (x, y) = point.split_at(32);
            let encode = ingam_protocol::bytes::base64url;
            let jwk = serde_json::json!({ "kty": "EC", "crv": "P-256", "x": encode(x), "y": encode(y) });
            let key = PublicKey::from_jwk(jwk.as_object().ok_or("no object")?)
                .map_err(|_| "the key is not accepted")?;
            let created = Timestamp::from_unix_s(BEGIN_S);
            Ok(Account {
                id: Id::new(created, random),
                key,
                created,
                deactivated: None,
                terms_agreed: None,
                external: None,
                earlier_keys: Vec::new(),
            })
        })
        .collect()
}

/// Durable transactions a second: an account, its index, and a record of 1.8 KiB.
fn writers(folder: &Path) -> Outcome<()> {
    let (store, threads) = Store::open(folder, &Config::default(), random(1))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    for count in [1_usize, 16, 256] {
        let alone = syncs(folder, 2_500)?;
        let random = random(u64::try_from(count)?);
        let many = accounts(count * 400, random.as_ref())?;
        let spent = cpu();
        let begin = Instant::now();
        let tasks: Vec<_> = many
            .chunks(400)
            .map(|own| {
                let (store, own, random) = (store.clone(), own.to_vec(), random.clone());
                runtime.spawn(async move {
                    let mut done = 0_u32;
                    for account in own {
                        let record = record(RecordType::AccountCreated, random.as_ref(), 1_800);
                        if begin.elapsed() > WHILE
                            || store.account_insert(account, &[], record, Vec::new()).await.is_err()
                        {
                            break;
                        }
                        done += 1;
                    }
                    done
                })
            })
            .collect();
        let mut done = 0;
        for task in tasks {
            done += runtime.block_on(task)?;
        }
        let rate = f64::from(done) / begin.elapsed().as_secs_f64();
        let spent = cpu().saturating_sub(spent).as_secs_f64() * 1e6 / f64::from(done);
        report(&format!(
            "{count:>3} writers: {rate:>7.0} transactions/s, {spent:>4.0} us CPU each; the disk alone {alone:>6.0} syncs/s: ratio {:.2}",
            rate / alone
        ));
    }
    drop(store);
    threads.close();
    Ok(())
}

/// The records of one issuance: eight, of the lengths that one for a single name has.
fn issuance(random: &dyn Random) -> Vec<Record> {
    use RecordType as Kind;
    let lengths = [
        (Kind::OrderCreated, 1_700),
        (Kind::ChallengeAnswered, 900),
        (Kind::ValidationFinished, 1_600),
        (Kind::CertificatePrepared, 3_400),
        (Kind::SignatureAsked, 200),
        (Kind::PrecertificateIssued, 1_300),
        (Kind::CertificateAsked, 1_400),
        (Kind::CertificateIssued, 1_400),
    ];
    lengths.into_iter().map(|(kind, bytes)| record(kind, random, bytes)).collect()
}

/// How fast records leave the outbox, into sealed segments that are packed on the way.
fn archiver(folder: &Path) -> Outcome<()> {
    const ISSUANCES: usize = 60_000;
    let (store, threads) = Store::open(folder, &Config::default(), random(1))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let random = random(2);
    let statuses = store.statuses();
    let (begin, spent) = (Instant::now(), cpu());
    let mut making = Duration::ZERO;
    for _ in 0..ISSUANCES / 500 {
        let before = cpu();
        let records: Vec<Record> = (0..500).flat_map(|_| issuance(random.as_ref())).collect();
        making += cpu().saturating_sub(before);
        for some in records.chunks(400) {
            runtime.block_on(statuses.records_append(some.to_vec()))?;
        }
    }
    let (put, waiting) = (begin.elapsed(), store.outbox()?);
    report(&format!("{ISSUANCES} issuances put in {put:.1?}; waiting then: {waiting:?}"));
    drop((statuses, store));
    let journal = threads.journal().clone();
    threads.close();
    let (took, spent) = (begin.elapsed(), cpu().saturating_sub(spent).saturating_sub(making));
    while journal.pack_next()? {}
    let count = f64::from(u32::try_from(ISSUANCES)?);
    report(&format!(
        "{:.0} issuances/s archived, {:.0} us CPU each for store and journal together; {} MB in the journal",
        count / took.as_secs_f64(),
        spent.as_secs_f64() * 1e6 / count,
        journal.bytes() / 1_000_000
    ));
    Ok(())
}

/// What all certificates here are made from: one that an issuer signed, with places that are another's each time.
struct Pattern {
    issuer: IssuerName,
    der: Vec<u8>,
    /// Where noise goes: serial number, key, its identifier, SCTs, signature.
    noise: Vec<Range<usize>>,
    /// Where the number in the name goes.
    name: Range<usize>,
}

const NAME_DIGITS: usize = 9;
/// A certificate's row beside the certificate.
const ROW_BYTES: usize = 90;

/// When certificate `number` is issued.
fn issued_at(number: u64) -> Timestamp {
    Timestamp::from_unix_ms(BEGIN_S * 1000 + number * 50)
}

impl Pattern {
    /// A certificate for one name as public CAs sign them: keys on P-256, two SCTs, where to find CRL and issuer.
    fn new() -> Outcome<Self> {
        let mut authority = CertificateParams::default();
        authority.distinguished_name.push(DnType::OrganizationName, "Example Trust Services");
        authority.distinguished_name.push(DnType::CommonName, "Example Issuing CA E1");
        let authority = Issuer::new(authority, KeyPair::generate()?);
        let mut params =
            CertificateParams::new(vec![format!("www.site-{}.example", "0".repeat(NAME_DIGITS))])?;
        let serial = [0x5a; 18];
        params.distinguished_name = DistinguishedName::new();
        params.serial_number = Some(serial.to_vec().into());
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let uris = vec!["http://pki.example/crl/e1/17.crl".to_owned()];
        params.crl_distribution_points = vec![CrlDistributionPoint { uris }];
        // Where the issuer's certificate is (RFC 5280, section 4.2.2.1). What comes first is written last.
        let mut access = Writer::new();
        access.wrap(tag::SEQUENCE, |access| {
            access.wrap(tag::SEQUENCE, |access| {
                access.value(tag::context_primitive(6), b"http://pki.example/e1.crt");
                access.object_identifier(&[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x02]);
            });
        });
        // Two of 119 bytes each.
        let scts = [0xa5; 240];
        params.custom_extensions = vec![
            CustomExtension::from_oid_content(&[1, 3, 6, 1, 5, 5, 7, 1, 1], access.finish()),
            CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 11129, 2, 4, 2], scts.to_vec()),
        ];
        let key = KeyPair::generate()?;
        let der = params.signed_by(&key, &authority)?.der().to_vec();
        let place = |part: &[u8]| -> Outcome<Range<usize>> {
            let at = der.windows(part.len()).position(|window| window == part).ok_or("a part is missing")?;
            Ok(at..at + part.len())
        };
        let (_, point) = key.public_key_raw().split_first().ok_or("no key")?;
        let noise = vec![place(&serial)?, place(point)?, place(&scts)?, der.len() - 64..der.len()];
        let name = place("0".repeat(NAME_DIGITS).as_bytes())?;
        let issuer = IssuerName::try_from("ecdsa".to_owned()).map_err(|_| "an issuer's name")?;
        Ok(Self { issuer, der, noise, name })
    }

    /// The order of certificate `number` and its row.
    fn issued(&self, number: u64, random: &dyn Random) -> Outcome<(Order, CertificateRow)> {
        let issued = issued_at(number);
        let not_after = issued.plus(Duration::from_secs(90 * 86_400));
        let digits = format!("{:0width$}", number % 5_000_000, width = NAME_DIGITS);
        let mut der = self.der.clone();
        for place in &self.noise {
            random.fill(der.get_mut(place.clone()).ok_or("a place is missing")?);
        }
        der.get_mut(self.name.clone()).ok_or("a place is missing")?.copy_from_slice(digits.as_bytes());
        let mut account = [9; 16];
        account[..8].copy_from_slice(&(number % 50_000).to_be_bytes());
        let thumbprint = random_array::<32>(random);
        let serial = Serial::new(random);
        let name = format!("www.site-{digits}.example");
        let identifier = Identifier::parse_dns(&name).map_err(|_| "no name")?;
        let profile = ProfileName::try_from("default".to_owned()).map_err(|_| "a profile's name")?;
        let order = Order {
            id: Id::new(issued, random),
            account: Id::from_bytes(account),
            created: issued,
            expires: issued.plus(Duration::from_secs(86_400)),
            identifiers: vec![identifier],
            profile,
            authorizations: vec![Id::new(issued, random)],
            not_before: None,
            not_after: None,
            replaces: None,
            waiting: None,
            claim: Some(Claim {
                token: Id::new(issued, random),
                lease_until: issued,
                serial,
                issuer: self.issuer.clone(),
                not_after,
                key_thumbprint: thumbprint.as_slice().into(),
                key_spki_hash: Some(random_array::<32>(random).as_slice().into()),
                tbs: Bytes::default(),
                looked_at: Some(issued),
                quorum: None,
                record: Some(Id::new(issued, random)),
            }),
            asked: Some(issued),
            precertificate: Some(Precertificate {
                der: Bytes::default(),
                certificate: Some(FinalBytes { tbs: Bytes::default(), asked: issued }),
            }),
            certificate: None,
            failure: None,
        };
        let row = CertificateRow {
            der: der.into(),
            order: order.id,
            account: order.account,
            issued,
            not_before: issued,
            not_after,
            key_thumbprint: thumbprint.as_slice().into(),
        };
        Ok((order, row))
    }
}

/// Bytes of keys and values as if no certificate were packed.
fn raw_bytes(batch: &Batch, certificate: usize) -> Outcome<u64> {
    let bytes = batch.iter().map(|(table, key, value)| {
        let value = value.map_or(0, <[u8]>::len);
        key.len() + if table.name() == "certificates" { certificate } else { value }
    });
    Ok(u64::try_from(bytes.sum::<usize>())?)
}

/// The median of look-ups of known and unknown serial numbers, in microseconds.
fn look_up(store: &Store, issuer: &IssuerName, known: &[Serial]) -> Outcome<(f64, f64, f64)> {
    let unknown: Vec<Serial> = (0..known.len())
        .map(|at| Serial::new(&SeededRandom::new(7_000_000 + u64::try_from(at).unwrap_or(0))))
        .collect();
    let statuses = store.statuses();
    let median = |look: &dyn Fn(&Serial) -> Outcome<bool>, serials: &[Serial], there: bool| -> Outcome<f64> {
        let mut times = Vec::with_capacity(serials.len());
        for serial in serials {
            let begin = Instant::now();
            if look(serial)? != there {
                return Err("a look-up found what is not there, or not what is".into());
            }
            times.push(begin.elapsed());
        }
        times.sort_unstable();
        Ok(times.get(times.len() / 2).copied().unwrap_or_default().as_secs_f64() * 1e6)
    };
    let status = |serial: &Serial| Ok(statuses.status(issuer, serial)?.is_some());
    let row = |serial: &Serial| Ok(store.certificate_by_serial(issuer, serial)?.is_some());
    Ok((median(&status, known, true)?, median(&status, &unknown, false)?, median(&row, known, true)?))
}

fn open_engine(folder: &Path, choice: EngineChoice) -> Outcome<Arc<dyn Engine>> {
    Ok(match choice {
        EngineChoice::Redb => Arc::new(RedbEngine::open(
            &folder.join("store.redb"),
            RedbConfig { log_bytes_max: 1 << 20, cache_bytes: 2 << 30 },
        )?),
        EngineChoice::Sled => Arc::new(SledEngine::open(&folder.join("store.sled"))?),
    })
}

fn start(folder: &Path, engine: EngineChoice) -> Outcome<(Store, StoreProcess, Duration)> {
    let config = Config { engine, ..Config::default() };
    let begin = Instant::now();
    let (store, threads) = Store::open(folder, &config, random(3))?;
    Ok((store, threads, begin.elapsed()))
}

/// Fills a store with so many certificates, and so many more; after each, another process opens it and looks.
fn certificates(folder: &Path, choice: EngineChoice, counts: &[u64]) -> Outcome<()> {
    let pattern = Pattern::new()?;
    // What a store has that was begun by the store itself.
    start(folder, choice)?.1.close();
    let (mut done, mut raw) = (0_u64, 0_u64);
    for count in counts {
        let engine = open_engine(folder, choice)?;
        let source = random(11 + done);
        let (begin, from) = (Instant::now(), done);
        while done < *count {
            let mut bulk = Bulk::new(engine.as_ref());
            // A fiftieth of what is there, so that what a commit leaves behind is little beside it.
            for _ in 0..(done / 50).clamp(2_000, 100_000).min(*count - done) {
                let (order, row) = pattern.issued(done, source.as_ref())?;
                bulk.issued(order, &row)?;
                done += 1;
            }
            let batch = bulk.into_batch();
            raw += raw_bytes(&batch, ROW_BYTES + pattern.der.len())?;
            engine.commit(&batch, Durability::Relaxed)?;
        }
        engine.commit(&Batch::new(), Durability::Durable)?;
        drop(engine);
        let filled = begin.elapsed();
        let (loose, begin) = (on_disk(folder), Instant::now());
        let (store, threads, _) = start(folder, choice)?;
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        while !runtime.block_on(store.rows_pack(issued_at(done)))? {}
        drop(store);
        threads.close();
        let packed = begin.elapsed();
        let disk = on_disk(folder);
        #[allow(clippy::cast_precision_loss, reason = "a ratio for people")]
        let ratio = disk as f64 / raw as f64;
        report(&format!(
            "{choice:?} {done} certificates of {} bytes: {} MB raw, {} MB on disk, {} MB before rows were packed, ratio {ratio:.2}; {} filled in {filled:.0?}, packed in {packed:.0?}",
            pattern.der.len(),
            raw / 1_000_000,
            disk / 1_000_000,
            loose / 1_000_000,
            done - from
        ));
        let mut look = std::process::Command::new(std::env::current_exe()?);
        look.arg("open").arg(folder).arg(format!("{choice:?}").to_lowercase());
        if !look.status()?.success() {
            return Err("the store was not looked at".into());
        }
    }
    Ok(())
}

/// What a process sees of a store that another one filled: its start, its memory, its look-ups.
fn open(folder: &Path, choice: EngineChoice) -> Outcome<()> {
    let (store, threads, opened) = start(folder, choice)?;
    let resident = resident_mib();
    let issuer = IssuerName::try_from("ecdsa".to_owned()).map_err(|_| "an issuer's name")?;
    let known = every_so_often(&store, &issuer)?;
    let (good, unknown, row) = look_up(&store, &issuer, &known)?;
    let looked = resident_mib();
    report(&format!(
        "  {} certificates: start {opened:.2?}, resident {resident} MiB, after the look-ups {looked} MiB; median us of status {good:.1}, of one never issued {unknown:.1}, of a certificate {row:.1}",
        count(&store, &issuer)?
    ));
    drop(store);
    threads.close();
    Ok(())
}

/// How many there are.
fn count(store: &Store, issuer: &IssuerName) -> Outcome<u64> {
    const PAGE: usize = 10_000;
    let (statuses, mut after, mut count) = (store.statuses(), None, 0);
    loop {
        let page = statuses.page(issuer, after.as_ref(), PAGE)?;
        count += u64::try_from(page.len())?;
        match page.into_iter().next_back() {
            Some((last, _)) => after = Some(last),
            None => return Ok(count),
        }
    }
}

/// Some ten thousand serial numbers, from everywhere in the table.
fn every_so_often(store: &Store, issuer: &IssuerName) -> Outcome<Vec<Serial>> {
    let source = SeededRandom::new(5);
    let mut known = Vec::new();
    for _ in 0..10_000 {
        let page = store.statuses().page(issuer, Some(&Serial::new(&source)), 1)?;
        known.extend(page.into_iter().map(|(serial, _)| serial));
    }
    Ok(known)
}

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let usage = "writers FOLDER | archiver FOLDER | certificates FOLDER redb|sled COUNT... | fill FOLDER redb|sled COUNT... | open FOLDER redb|sled";
    let [what, folder, rest @ ..] = arguments.as_slice() else { return Err(usage.into()) };
    let given = PathBuf::from(folder);
    let engine = |name: &str| if name == "sled" { EngineChoice::Sled } else { EngineChoice::Redb };
    let numbers =
        |counts: &[String]| counts.iter().map(|count| count.parse()).collect::<Result<Vec<u64>, _>>();
    // What was filled stays there, for others to be opened.
    match (what.as_str(), rest) {
        ("fill", [name, counts @ ..]) => return certificates(&given, engine(name), &numbers(counts)?),
        ("open", [name]) => return open(&given, engine(name)),
        _ => {}
    }
    let folder = given.join(format!("ingam-growth-bench-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let outcome = match (what.as_str(), rest) {
        ("writers", []) => writers(&folder),
        ("archiver", []) => archiver(&folder),
        ("certificates", [name, counts @ ..]) => certificates(&folder, engine(name), &numbers(counts)?),
        _ => Err(usage.into()),
    };
    std::fs::remove_dir_all(&folder)?;
    outcome
}
