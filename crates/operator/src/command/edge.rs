//! `ocsp export`: what the responder gives out, as files for any web server.
//!
//! - [`Export`]: asks the CA for answers page by page, and for CRLs and certificates of CAs.
//! - [`folder`]: the files, of which only those that changed are written.
//! - [`nginx`]: how a web server has to give them out.

mod folder;
mod nginx;

use std::path::PathBuf;

use ingam_protocol::bytes::hex;
use ingam_protocol::crl::ForeignList;
use ingam_protocol::ocsp::{Response, SingleResponse, get_text};
use ring::digest::{SHA256, digest};

use super::call::Call;
use super::failure::Failure;
use super::serials::{parse_serial, read_file};
use super::text::clean;
use crate::api::{OcspAnswers, Page, PublicationPart, PublicationPaths};
use crate::client::Target;

use folder::{Folder, New, Summary, Validity};

/// The media type of an OCSP answer (RFC 6960, appendix C.2).
const OCSP_RESPONSE: &str = "application/ocsp-response";
/// No file that is published is longer; a CRL of 50 million entries is shorter.
const FILE_BYTES_MAX: u64 = 4 << 30;

/// Which certificates, and where to.
#[derive(Debug, clap::Args)]
pub(crate) struct Export {
    /// About all certificates that have not ended
    #[arg(long, help_heading = "Conditions", conflicts_with_all = ["issuer", "profile", "file"])]
    all: bool,
    /// By this issuer, by its name inside the CA
    #[arg(long, value_name = "ISSUER", help_heading = "Conditions")]
    issuer: Option<String>,
    /// With this profile
    #[arg(long, value_name = "PROFILE", help_heading = "Conditions")]
    profile: Option<String>,
    /// In this file: a serial number on each line, with comments behind #, or PEM certificates; - is standard input
    #[arg(long, value_name = "FILE", help_heading = "Conditions", conflicts_with_all = ["issuer", "profile"])]
    file: Option<PathBuf>,
    /// The folder: a new or empty one, or that of an export before
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
}

impl Export {
    pub(super) async fn run(self, call: &mut Call) -> Result<(), Failure> {
        let targets = self.targets()?;
        let published: PublicationPaths = call.client.fetch(&Target::new("/v1/publication")).await?.read()?;
        let mut folder = Folder::open(&self.output, call.clock.now()).map_err(Failure::Usage)?;
        let (mut certificates, mut nothing) = (0, 0);
        for target in targets {
            let found = answers(call, &target, &mut folder).await?;
            certificates += found;
            nothing += u64::from(found == 0);
        }
        if self.file.is_some() && nothing > 0 {
            call.terminal
                .note(&format!("{nothing} serial numbers are of no certificate, or of one that has ended."));
        }
        for path in &published.paths {
            file(call, path, &mut folder).await?;
        }
        let summary = folder.finish(&published.base).map_err(Failure::Usage)?;
        self.tell(call, certificates, &summary)
    }

    /// What is asked for, one after the other.
    fn targets(&self) -> Result<Vec<Target>, Failure> {
        let all = Target::new("/v1/ocsp/answers");
        if let Some(path) = &self.file {
            let found = read_file(path).map_err(Failure::Usage)?;
            let one = |serial| all.clone().with("serial", Some(&format!("{serial}")));
            return Ok(found.serials.iter().map(one).collect());
        }
        if !self.all && self.issuer.is_none() && self.profile.is_none() {
            let what = "say which certificates: --issuer ISSUER, --profile PROFILE, --file FILE, or --all";
            return Err(Failure::Usage(what.to_owned()));
        }
        Ok(vec![all.with("issuer", self.issuer.as_deref()).with("profile", self.profile.as_deref())])
    }

    fn tell(&self, call: &mut Call, certificates: u64, summary: &Summary) -> Result<(), Failure> {
        for path in &summary.passed_over {
            call.terminal
                .note(&format!("{path} cannot be a file beside the others: ask the CA itself for it"));
        }
        if call.terminal.json {
            let told = serde_json::to_string(summary).unwrap_or_default();
            return call.terminal.print_json(&told);
        }
        let Summary { written, kept, removed, renew_before, .. } = summary;
        call.terminal.print(&format!(
            "{certificates} certificates: {written} files written, {kept} as they were, {removed} removed\n"
        ))?;
        if let Some(renew_before) = renew_before {
            call.terminal
                .note(&format!("Export again before {renew_before}: then the first is halfway to its end."));
        }
        call.terminal.note(&format!("{} has nginx give it out.", self.output.join(nginx::FILE).display()));
        Ok(())
    }
}

/// Puts all answers of a target into the folder. How many certificates they are about.
async fn answers(call: &mut Call, target: &Target, folder: &mut Folder) -> Result<u64, Failure> {
    let mut after: Option<String> = None;
    let mut certificates = 0;
    loop {
        let page: Page<OcspAnswers> =
            call.client.fetch(&target.clone().with("after", after.as_deref())).await?.read()?;
        for one in page.items {
            let serial = parse_serial(&one.serial).map_err(Failure::Unread)?.to_string();
            for der in one.answers {
                answer(der.into_vec(), &serial, folder)?;
            }
            certificates += 1;
        }
        match page.next {
            None => return Ok(certificates),
            same if same == after => {
                let what = "the list does not go on: its next page is the same again";
                return Err(Failure::Unread(what.to_owned()));
            }
            next => after = next,
        }
    }
}

/// Puts an answer where a client finds it that asks by GET: base64 of the request as the path (RFC 6960, appendix A.1). One
/// that is there already, says the same and has most of its time before it is as good as the new one, and stays.
fn answer(body: Vec<u8>, serial: &str, folder: &mut Folder) -> Result<(), Failure> {
    let unread = || Failure::Unread(format!("what the CA answers about {serial} is no OCSP answer"));
    let new = read_answer(&body).ok_or_else(unread)?;
    let path = format!("/ocsp/{}", get_text(&new.cert_id));
    let now = folder.now();
    let is_as_good = |before: &SingleResponse| {
        before.cert_id == new.cert_id && before.status == new.status && now < validity(before).half()
    };
    let before = folder.body(&path);
    let kept = before.as_deref().and_then(read_answer).filter(is_as_good);
    let (body, single) = match (kept, before) {
        (Some(kept), Some(before)) => (before, kept),
        _ => (body, new),
    };
    let validity = Some(validity(&single));
    let file = New { content_type: OCSP_RESPONSE, validity, serial: Some(serial), body: &body };
    folder.put(&path, &file).map_err(Failure::Usage)
}

fn validity(single: &SingleResponse) -> Validity {
    Validity { this_update: single.this_update, next_update: single.next_update }
}

/// What an answer (DER) says about its one certificate.
fn read_answer(der: &[u8]) -> Option<SingleResponse> {
    let Ok(Response::Answer(mut answer)) = Response::read(der) else { return None };
    answer.responses.pop().filter(|_| answer.responses.is_empty())
}

/// Puts a published file into the folder.
async fn file(call: &mut Call, path: &str, folder: &mut Folder) -> Result<(), Failure> {
    let target = Target::new("/v1/publication/file").with("path", Some(path));
    let mut body = Vec::new();
    let (content_type, sha256) = loop {
        let from = body.len().to_string();
        let part: PublicationPart =
            call.client.fetch(&target.clone().with("from", Some(&from))).await?.read()?;
        if part.size > FILE_BYTES_MAX {
            return Err(Failure::Unread(format!("{} is too long to be a published file", clean(path))));
        }
        body.extend_from_slice(&part.body);
        let length = u64::try_from(body.len()).unwrap_or(u64::MAX);
        if length >= part.size || part.body.is_empty() {
            break (part.content_type, part.sha256);
        }
    };
    if hex(digest(&SHA256, &body).as_ref()) != sha256 {
        let what = "became another while it was fetched: export again";
        return Err(Failure::Unread(format!("{} {what}", clean(path))));
    }
    let list = ForeignList::read(&body)
        .map(|list| Validity { this_update: list.this_update, next_update: list.next_update });
    let new = New { content_type: &content_type, validity: list, serial: None, body: &body };
    folder.put(path, &new).map_err(Failure::Usage)
}
