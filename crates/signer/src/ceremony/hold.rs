//! Holding a ceremony: everything is found out first, then the keys are used, then there is something to write.

use std::path::{Path, PathBuf};
use std::time::Duration;

use ingam_protocol::crl::{RevocationList, certificate_list};
use ingam_protocol::{Clock, Findings, Random, Serial, Timestamp};
use zeroize::Zeroizing;

use super::contents::{self, Contents, Role};
use super::file::{Kind, Subject};
use super::keys::{KeyPlace, Opened, Passphrases, sealed};
use super::material::{self, Authority, Certified, OURS, Previous, REQUEST, Signer, noted};
use super::plan::{Act, Before, CertificatePlan, DAY, KeySource, ListPlan, Plan, RequestPlan, SubjectPlan};
use super::transcript::{self, KeyLine, Product};
use crate::ca::LoadedCertificate;
use crate::key::Key;
use crate::lint::authority::{self, ExpectedAuthority};
use crate::lint::revocation_list;
use crate::storage::{self, Secrecy};
use crate::{Error, KeyKind, Passphrase, PrivateKey, encode};

/// Puts together what is signed, the algorithm and the signature.
type Wrap = fn(&[u8], &[u8], &[u8]) -> Vec<u8>;

/// As many entries as a CRL that is made here may have.
const ENTRIES_MAX: usize = 2000;

/// What to do about a token that makes no key.
const TOKEN: &str =
    "see that the token can make this kind of key, and that key.location has a name that is free on it";
/// What to do about a passphrase that cannot be had.
const PASSPHRASE: &str =
    "name a file that its owner alone may read, with the passphrase in one line, or run this on a terminal";
/// What to do about a CRL that does not continue.
const PREVIOUS: &str = "name the last CRL of this issuer, or write number and all entries instead";
/// What to do about a key that did not sign.
const SIGNING: &str =
    "see that the key, or the token that it is on, can be used, and hold the ceremony again";

/// Around a ceremony: time, chance, people, and the names in the transcript.
pub struct Setting<'a> {
    /// Whose time it is.
    pub clock: &'a dyn Clock,
    /// Where serial numbers, salts and RSA keys come from.
    pub random: &'a dyn Random,
    /// Where passphrases come from.
    pub passphrases: &'a mut dyn Passphrases,
    /// What makes it: `ingam 0.1.0`.
    pub program: &'a str,
    /// The ceremony's file as it was read.
    pub input: &'a [u8],
    /// Its name.
    pub input_name: &'a str,
    /// The folder that paths in it are relative to: the transcript leaves it out of them.
    pub folder: &'a Path,
    /// Where the transcript goes.
    pub transcript: &'a Path,
    /// Whether throwaway keys stand in for every CA's key that would sign, and nothing is written. A request is signed by its
    /// own key, which signs nothing else.
    pub is_rehearsal: bool,
}

/// A ceremony that was held, and is not written yet.
pub struct Held {
    files: Vec<NewFile>,
    transcript: String,
    is_rehearsal: bool,
}

/// A file that is to be written.
struct NewFile {
    path: PathBuf,
    contents: Zeroizing<Vec<u8>>,
    secrecy: Secrecy,
}

impl Held {
    /// What happened, for people.
    pub fn transcript(&self) -> &str {
        &self.transcript
    }

    /// Writes everything, each file whole or not at all: a new key first, which is nothing by itself; the transcript, so
    /// that nothing is there without it; and last what was signed. A rehearsal writes nothing.
    ///
    /// # Errors
    /// [`Error::Load`] names the file that could not be written, or is there already.
    pub fn write(self) -> Result<(), Error> {
        if self.is_rehearsal {
            return Ok(());
        }
        self.files.iter().try_for_each(|file| storage::write_new(&file.path, &file.contents, file.secrecy))
    }
}

/// Holds a ceremony. Nothing is written.
///
/// # Errors
/// [`Findings`] with everything that is wrong.
pub fn hold(plan: &Plan, setting: &mut Setting<'_>) -> Result<Held, Findings> {
    let mut found = Findings::new();
    let now = setting.clock.now().whole_second();
    free(plan, setting, &mut found);
    if found.clone().into_result().is_err() {
        return Err(found);
    }
    let mut stage = Stage { plan, setting, found: &mut found, now };
    let held = match &plan.act {
        Act::Certificate(certificate) => stage.certificate(certificate),
        Act::RevocationList(list) => stage.revocation_list(list),
        Act::Request(request) => stage.request(request),
    };
    match (held, found.clone().into_result()) {
        (Some(held), Ok(())) => Ok(held),
        (None, Ok(())) => {
            found.error("", "could not be held", OURS);
            Err(found)
        }
        (_, Err(_)) => Err(found),
    }
}

/// Nothing is written over: what is there already stops the ceremony before anybody is asked for a passphrase.
fn free(plan: &Plan, setting: &Setting<'_>, found: &mut Findings) {
    let key = match plan.kind {
        Kind::Crl => "crl.file",
        Kind::Request => "request.file",
        _ => "certificate.file",
    };
    for (key, path) in [(key, plan.output()), ("transcript", setting.transcript)] {
        found.require(
            path.symlink_metadata().is_err(),
            key,
            format!("is {}, which is there already", path.display()),
            "name another, or move that away: nothing is written over",
        );
    }
    found.require(
        plan.output() != setting.transcript,
        "transcript",
        "has the name of the file that is made",
        "give it a name of its own",
    );
}

/// The key that a certificate or a request is for, at hand or known from what it signed.
struct SubjectKey {
    certified: Certified,
    /// At hand, unless it is elsewhere.
    key: Option<Key>,
    /// Where it is and how it came there, in words.
    line: KeyLine,
    /// It is made here.
    made: Option<MadeKey>,
}

/// A key that is made in this ceremony.
struct MadeKey {
    kind: KeyKind,
    place: KeyPlace,
    /// What it will be, unless a token makes another in its place once all else is known to be right.
    key: PrivateKey,
    /// The passphrase that it is encrypted under, or the token's PIN.
    secret: Passphrase,
}

/// What a certificate is built of, beside its key and its dates.
struct Draft<'d> {
    plan: &'d CertificatePlan,
    /// Who signs; `None`: the key itself.
    signer: Option<&'d Signer>,
    /// DER of the subject's name.
    subject: &'d [u8],
    /// The certificate that the subject has already.
    existing: Option<&'d Authority>,
}

/// A ceremony under way.
struct Stage<'s, 'a> {
    plan: &'s Plan,
    setting: &'s mut Setting<'a>,
    found: &'s mut Findings,
    now: Timestamp,
}

impl Stage<'_, '_> {
    fn certificate(&mut self, plan: &CertificatePlan) -> Option<Held> {
        let signer = match &plan.issuer {
            Some(issuer) => Some(Signer::gather(issuer, self.setting.passphrases, self.now, self.found)?),
            None => None,
        };
        let (subject, subject_key, existing) = self.subject(&plan.subject)?;
        let not_before = plan.not_before.unwrap_or(self.now).whole_second();
        let not_after = not_before.plus(plan.validity.saturating_sub(Duration::from_secs(1)));
        let not_before_min = self.not_before_min(existing.as_ref());
        self.dates(not_before, not_after, not_before_min, signer.as_ref());
        self.relations(&subject, &subject_key, signer.as_ref(), plan);
        if self.found.clone().into_result().is_err() {
            return None;
        }
        let draft = Draft { plan, signer: signer.as_ref(), subject: &subject, existing: existing.as_ref() };
        let dates = (not_before, not_after, not_before_min);
        let mut subject_key = subject_key;
        if self.needs_token(&subject_key) {
            // All of it is tried with a stand-in before the token makes what stays there.
            self.build(&draft, &subject_key, dates, true)?;
            subject_key = self.made_on_token(subject_key)?;
        }
        let whole = self.build(&draft, &subject_key, dates, self.setting.is_rehearsal)?;
        let pem = noted(self.found, ("certificate.file", OURS), storage::certificate_to_pem(&whole))?;
        let mut keys = vec![subject_key.line.clone()];
        if let (Some(signer), Some(issuer)) = (&signer, &plan.issuer) {
            keys.push(KeyLine::of_signer(signer, &issuer.key));
        }
        let issuer = plan.issuer.as_ref().map(|issuer| issuer.certificate.as_path());
        let product = Product::Certificate { der: &whole, issuer };
        self.held(&plan.file, pem.into_bytes(), product, &keys, subject_key.made)
    }

    /// Whether a token has still to make the key.
    fn needs_token(&self, key: &SubjectKey) -> bool {
        !self.setting.is_rehearsal && key.made.as_ref().is_some_and(|made| made.place.is_on_token())
    }

    /// The same key's place, with the key that the token made for it.
    fn made_on_token(&mut self, stand_in: SubjectKey) -> Option<SubjectKey> {
        let MadeKey { kind, place, secret, .. } = stand_in.made?;
        let key = noted(self.found, ("key.generate", TOKEN), place.make_on_token(kind, &secret))??;
        let certified = Certified::of_key(&key);
        let line = KeyLine::made(&certified, &place);
        Some(SubjectKey { certified, key: Some(key), line, made: None })
    }

    /// Builds the certificate and has it signed, by a throwaway key alone if `is_trial`.
    fn build(
        &mut self,
        draft: &Draft<'_>,
        key: &SubjectKey,
        (not_before, not_after, not_before_min): (Timestamp, Timestamp, Timestamp),
        is_trial: bool,
    ) -> Option<Vec<u8>> {
        let identifier = match draft.existing {
            // Chains are built by it: it stays what it is.
            Some(existing) => existing.facts.key_identifier.clone(),
            None => key.certified.key_identifier.clone(),
        };
        let subject = draft.subject.to_vec();
        let (issuer, authority_key_identifier, signing) = match (draft.signer, &key.key) {
            (Some(signer), _) => {
                let facts = &signer.authority.facts;
                (facts.subject.clone(), facts.key_identifier.clone(), &signer.key)
            }
            (None, Some(own)) => (subject.clone(), identifier.clone(), own),
            (None, None) => return None,
        };
        let wanted = Contents {
            serial: Serial::new(self.setting.random),
            signature_algorithm: signing.algorithm().identifier().to_vec(),
            issuer,
            not_before,
            not_after,
            subject,
            public_key_info: key.certified.public_key_info.clone(),
            subject_key_identifier: identifier,
            authority_key_identifier,
            role: self.role(draft.plan),
        };
        let expected = ExpectedAuthority {
            contents: &wanted,
            is_public: self.plan.is_public,
            now: self.now,
            issuer: draft.signer.map(|signer| signer.authority.above),
            not_before_min,
        };
        let judge = |whole: &[u8]| authority::certificate(whole, &expected);
        let whole =
            self.sign(signing, &contents::certificate(&wanted), encode::certificate, &judge, is_trial)?;
        if let (Some(signer), false) = (draft.signer, is_trial) {
            let chains = LoadedCertificate::read(&whole)
                .and_then(|made| made.check_issued_by(&signer.authority.facts));
            if let Err(why) = chains {
                self.found.error("", format!("made a certificate that {why}"), OURS);
                return None;
            }
        }
        Some(whole)
    }

    /// The subject's name and key; and its certificate, where it has one already.
    fn subject(&mut self, plan: &SubjectPlan) -> Option<(Vec<u8>, SubjectKey, Option<Authority>)> {
        match plan {
            SubjectPlan::New(subject, source) => {
                let name = contents::name(subject);
                let key = self.subject_key(subject, source)?;
                Some((name, key, None))
            }
            SubjectPlan::Existing(path) => {
                let key = "certificate.existing";
                let existing = Authority::noted(self.found, key, path)?;
                self.found.require(
                    self.now <= existing.facts.not_after,
                    key,
                    format!("is of a CA that ended at {}", existing.facts.not_after),
                    "certify a CA that is valid",
                );
                let certified = match Certified::of_info(existing.public_key_info.clone()) {
                    Ok(certified) => certified,
                    Err(why) => {
                        self.found.error(key, why, "have that CA take another key");
                        return None;
                    }
                };
                let line = KeyLine::elsewhere(&certified, "the CA that is certified", path);
                let subject_key = SubjectKey { certified, key: None, line, made: None };
                Some((existing.facts.subject.clone(), subject_key, Some(existing)))
            }
        }
    }

    fn subject_key(&mut self, subject: &Subject, source: &KeySource) -> Option<SubjectKey> {
        match source {
            KeySource::Made(kind, place) => {
                let is_taken = place.file().is_some_and(|path| path.symlink_metadata().is_ok());
                self.found.require(
                    !is_taken,
                    "key.location",
                    format!("is {place}, where something is already"),
                    "name another place: keys are never written over; or leave generate out to use the key that is there",
                );
                if is_taken {
                    return None;
                }
                let secret = place.secret_of_new(self.setting.passphrases);
                let secret = noted(self.found, ("key.passphrase_file", PASSPHRASE), secret)?;
                let made = noted(
                    self.found,
                    ("key.generate", "name another kind"),
                    PrivateKey::generate(*kind, self.setting.random),
                )?;
                let key = noted(self.found, ("key.generate", OURS), Key::load(&made))?;
                let certified = Certified::of_key(&key);
                let line = KeyLine::made(&certified, place);
                let made = MadeKey { kind: *kind, place: place.clone(), key: made, secret };
                Some(SubjectKey { certified, key: Some(key), line, made: Some(made) })
            }
            KeySource::Present(place) => {
                let Opened { key, guard } =
                    material::open("key.location", place, self.setting.passphrases, self.found)?;
                let certified = Certified::of_key(&key);
                let line = KeyLine::present(&certified, "the subject", place, guard);
                Some(SubjectKey { certified, key: Some(key), line, made: None })
            }
            KeySource::Elsewhere(path) => {
                let key = "key.request";
                let asked =
                    noted(self.found, (key, REQUEST), material::request_in(path, &contents::name(subject)))?;
                match Certified::of_info(asked.public_key_info) {
                    Ok(certified) => {
                        let line = KeyLine::elsewhere(&certified, "the subject, by its request", path);
                        Some(SubjectKey { certified, key: None, line, made: None })
                    }
                    Err(why) => {
                        self.found.error(key, why, "have the other side make another key");
                        None
                    }
                }
            }
        }
    }

    /// BR 7.1.2.1.1 and 7.1.2.10.1: a day before; BR 7.1.2.2.1: or as far back as the certificate that is there.
    fn not_before_min(&self, existing: Option<&Authority>) -> Timestamp {
        let day_ago = self.now.minus(DAY);
        existing.map_or(day_ago, |existing| existing.not_before.min(day_ago))
    }

    fn dates(
        &mut self,
        not_before: Timestamp,
        not_after: Timestamp,
        earliest: Timestamp,
        signer: Option<&Signer>,
    ) {
        self.found.require(
            (earliest..=self.now).contains(&not_before),
            "certificate.not_before",
            format!("is {not_before}, and it is {} now", self.now),
            "choose a moment within the day before now, or leave it out (BR 7.1.2.1.1, 7.1.2.10.1)",
        );
        self.found.require(
            not_after > self.now,
            "certificate.validity_days",
            format!("lets it end at {not_after}, which is over"),
            "set it to more days",
        );
        let Some(signer) = signer else { return };
        signer.authority.outlives(not_before, not_after, self.found);
    }

    /// What subject and issuer have to do with each other.
    fn relations(
        &mut self,
        subject: &[u8],
        key: &SubjectKey,
        signer: Option<&Signer>,
        plan: &CertificatePlan,
    ) {
        let Some(signer) = signer else { return };
        let authority = &signer.authority;
        let own = match &plan.subject {
            SubjectPlan::New(..) => "subject.common_name",
            SubjectPlan::Existing(_) => "certificate.existing",
        };
        self.found.require(
            subject != authority.facts.subject,
            own,
            "is the issuer's own name",
            "give each CA a name of its own (RFC 5280, section 3.2)",
        );
        self.found.require(
            key.certified.public_key_info != authority.public_key_info,
            "key",
            "is the issuer's own key",
            "give each CA, and each responder, a key of its own",
        );
        if self.plan.kind == Kind::OcspResponder {
            return;
        }
        authority.has_room(plan.path_length, self.found);
    }

    fn role(&self, plan: &CertificatePlan) -> Role {
        if self.plan.kind == Kind::OcspResponder {
            return Role::Responder;
        }
        Role::Authority {
            path_length: plan.path_length,
            signs_ocsp: plan.signs_ocsp,
            purposes: plan.purposes.clone(),
            policies: plan.policies.clone(),
            crl_url: plan.crl_url.clone(),
            issuer_url: plan.issuer_url.clone(),
            ocsp_url: plan.ocsp_url.clone(),
        }
    }

    fn revocation_list(&mut self, plan: &ListPlan) -> Option<Held> {
        let signer = Signer::gather(&plan.issuer, self.setting.passphrases, self.now, self.found)?;
        let (number, mut entries) = match &plan.before {
            Before::Number(number) => (*number, Vec::new()),
            Before::Is(path) => {
                let previous =
                    noted(self.found, ("crl.previous", PREVIOUS), Previous::read(path, &signer.authority))?;
                (previous.number.checked_add(1)?, previous.entries)
            }
        };
        for (index, entry) in plan.revoked.iter().enumerate() {
            let key = format!("crl.revoked[{index}]");
            let is_new = entries.iter().all(|known| known.serial != entry.serial);
            let fix = "leave it out: what was on the CRL before stays on it";
            self.found.require(is_new, format!("{key}.serial"), "is on the CRL before", fix);
            let is_past = entry.revoked_at <= self.now;
            let fix = "give the moment of the revocation, now at the latest";
            self.found.require(is_past, format!("{key}.date"), "lies ahead", fix);
            entries.push(entry.clone());
        }
        self.found.require(
            entries.len() <= ENTRIES_MAX,
            "crl.revoked",
            format!("has {} entries with those of the CRL before", entries.len()),
            "end this CA, and go on with another: a ceremony's CRL has 2000 entries at most",
        );
        if self.found.clone().into_result().is_err() {
            return None;
        }
        let facts = &signer.authority.facts;
        let wanted = RevocationList {
            signature_algorithm: signer.key.algorithm().identifier().to_vec(),
            issuer: facts.subject.clone(),
            authority_key_id: facts.key_identifier.clone(),
            distribution_point: None,
            number,
            this_update: self.now,
            next_update: self.now.plus(plan.next_update),
            entries,
        };
        let judge = |whole: &[u8]| revocation_list::revocation_list(whole, &wanted);
        let whole = self.sign(
            &signer.key,
            &wanted.encode_tbs(),
            |tbs, algorithm, signature| certificate_list(tbs.to_vec(), algorithm, signature),
            &judge,
            self.setting.is_rehearsal,
        )?;
        let keys = [KeyLine::of_signer(&signer, &plan.issuer.key)];
        let product = Product::RevocationList { der: &whole, issuer: &plan.issuer.certificate };
        self.held(&plan.file, whole.clone(), product, &keys, None)
    }

    fn request(&mut self, plan: &RequestPlan) -> Option<Held> {
        let mut subject_key = self.subject_key(&plan.subject, &plan.key)?;
        if self.found.clone().into_result().is_err() {
            return None;
        }
        if self.needs_token(&subject_key) {
            subject_key = self.made_on_token(subject_key)?;
        }
        let own = subject_key.key.as_ref()?;
        let info = contents::request(&contents::name(&plan.subject), &subject_key.certified.public_key_info);
        // The key of a request signs nothing but the request: there is nothing to rehearse, and nothing to keep away.
        let algorithm = own.algorithm().identifier();
        let signature =
            noted(self.found, ("key", SIGNING), own.sign_checked_blocking(own.public_key(), &info))?;
        let whole = encode::certificate(&info, algorithm, &signature);
        let pem = noted(self.found, ("request.file", OURS), storage::request_to_pem(&whole))?;
        let product = Product::Request { der: &whole };
        self.held(&plan.file, pem.into_bytes(), product, &[subject_key.line], subject_key.made)
    }

    /// A throwaway key signs first, and the lint judges that; then the real one does, and its signature is verified. In a
    /// trial the first is all there is.
    fn sign(
        &mut self,
        key: &Key,
        tbs: &[u8],
        wrap: Wrap,
        judge: &dyn Fn(&[u8]) -> Result<(), String>,
        is_trial: bool,
    ) -> Option<Vec<u8>> {
        let algorithm = key.algorithm();
        let stand_in = noted(self.found, ("", OURS), Key::throwaway(algorithm, self.setting.random))?;
        let mut signed = Vec::new();
        for key in [&stand_in, key].into_iter().take(if is_trial { 1 } else { 2 }) {
            let signature =
                noted(self.found, ("", SIGNING), key.sign_checked_blocking(key.public_key(), tbs))?;
            signed = wrap(tbs, algorithm.identifier(), &signature);
            if let Err(why) = judge(&signed) {
                self.found.error(
                    "",
                    format!("would make what must not be: {why}"),
                    "change what it asks for",
                );
                return None;
            }
        }
        Some(signed)
    }

    /// Files in the order in which they are written, and the transcript of all.
    fn held(
        &mut self,
        path: &Path,
        contents: Vec<u8>,
        product: Product<'_>,
        keys: &[KeyLine],
        made: Option<MadeKey>,
    ) -> Option<Held> {
        let transcript = transcript::write(self.plan, self.setting, self.now, &product, keys, &contents);
        let transcript = match transcript {
            Ok(transcript) => transcript,
            Err(why) => {
                self.found.error("", format!("made what cannot be read: {why}"), OURS);
                return None;
            }
        };
        let mut files = Vec::with_capacity(3);
        if let (Some(made), false) = (&made, self.setting.is_rehearsal)
            && let Some(path) = made.place.file()
        {
            let sealed = sealed(&made.key, &made.secret, self.setting.random);
            let contents = noted(self.found, ("key.location", OURS), sealed)?.into();
            files.push(NewFile { path: path.to_owned(), contents, secrecy: Secrecy::Secret });
        }
        let text = transcript.clone().into_bytes().into();
        let (public, transcript_path) = (Secrecy::Public, self.setting.transcript.to_owned());
        files.push(NewFile { path: transcript_path, contents: text, secrecy: public });
        files.push(NewFile { path: path.to_owned(), contents: contents.into(), secrecy: public });
        Some(Held { files, transcript, is_rehearsal: self.setting.is_rehearsal })
    }
}
