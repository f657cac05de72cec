//! `cert export`: certificates for other programs.

use std::io::Write;
use std::path::{Path, PathBuf};

use ingam_protocol::Serial;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use super::call::Call;
use super::certificate::State;
use super::conditions::Conditions;
use super::failure::Failure;
use super::follow::bar;
use super::serials::{parse_serial, read_file};
use crate::api;
use crate::client::Target;

/// Which certificates, and where to.
#[derive(Debug, clap::Args)]
pub(crate) struct Export {
    /// With these serial numbers, hexadecimal
    #[arg(value_name = "SERIAL", value_parser = parse_serial)]
    serials: Vec<Serial>,
    /// In this file: a serial number on each line, with comments behind #, or PEM certificates; - is standard input
    #[arg(long, value_name = "FILE", help_heading = "Conditions")]
    file: Option<PathBuf>,
    #[command(flatten)]
    state: State,
    #[command(flatten)]
    conditions: Conditions,
    /// With the certificates of the CAs behind each, without the root
    #[arg(long)]
    chain: bool,
    /// As DER instead of PEM
    #[arg(long, conflicts_with_all = ["chain", "json"])]
    der: bool,
    /// A file for all, or, with / at its end, a folder for a file each, named by the serial number
    #[arg(short, long, value_name = "PATH", conflicts_with = "json")]
    output: Option<PathBuf>,
}

/// Where certificates go.
enum Place {
    Output,
    File(std::fs::File),
    Folder(PathBuf),
}

impl Export {
    pub(crate) async fn run(self, call: &mut Call) -> Result<(), Failure> {
        let serials = self.chosen(call).await?;
        let [first, rest @ ..] = serials.as_slice() else {
            return Err(Failure::Nothing("no certificate is so: nothing was written".to_owned()));
        };
        let mut place = self.place(rest.len() + 1, call)?;
        let progress = bar(call.terminal.notes_are_seen && !rest.is_empty(), serials.len());
        let mut answers = Vec::new();
        for serial in std::iter::once(first).chain(rest) {
            let target = Target::new("/v1/certificates").then(serial);
            let answer = call.client.fetch(&target).await?;
            if call.terminal.json {
                answers.push(String::from_utf8_lossy(&answer.body).into_owned());
            } else {
                let detail: api::CertificateDetail = answer.read()?;
                let bytes = self.encoded(&detail)?;
                place.put(call, serial, self.der, &bytes)?;
            }
            progress.inc(1);
        }
        progress.finish_and_clear();
        if call.terminal.json {
            return call.terminal.print_json(&format!("{{\"items\":[{}]}}", answers.join(",\n")));
        }
        if let Some(output) = &self.output {
            call.terminal.note(&format!("{} written to {}", count(serials.len()), output.display()));
        }
        Ok(())
    }

    /// The serial numbers that were named, and those of the certificates that the conditions find.
    async fn chosen(&self, call: &mut Call) -> Result<Vec<String>, Failure> {
        let mut serials: Vec<String> = self.serials.iter().map(ToString::to_string).collect();
        let named = !serials.is_empty() || self.file.is_some();
        let conditions = !self.conditions.are_empty() || !self.state.is_empty();
        if named == conditions {
            return Err(Failure::Usage(
                "say which certificates: by serial numbers (or --file FILE), or by conditions, not both"
                    .to_owned(),
            ));
        }
        if let Some(path) = &self.file {
            let found = read_file(path).map_err(Failure::Usage)?;
            serials.extend(found.serials.iter().map(ToString::to_string));
        }
        if conditions {
            let now = call.clock.now();
            let target = self.conditions.query(Target::new("/v1/certificates"), now);
            let listed = call.client.list(&self.state.query(target, now), None).await?;
            serials.extend(listed.read::<api::Certificate>()?.into_iter().map(|found| found.serial));
        }
        Ok(serials)
    }

    fn place(&self, certificates: usize, call: &Call) -> Result<Place, Failure> {
        let Some(path) = &self.output else {
            return match (self.der, certificates, call.terminal.output_is_terminal) {
                (true, 2.., _) => Err(Failure::Usage(format!(
                    "{certificates} certificates as DER cannot go into one stream: name a folder with --output FOLDER/"
                ))),
                (true, _, true) => Err(Failure::Usage(
                    "DER is not for a terminal: name a file with --output FILE".to_owned(),
                )),
                _ => Ok(Place::Output),
            };
        };
        let failed =
            |error: std::io::Error| Failure::Usage(format!("{} cannot be written: {error}", path.display()));
        if path.is_dir() || path.as_os_str().as_encoded_bytes().ends_with(b"/") {
            std::fs::create_dir_all(path).map_err(failed)?;
            return Ok(Place::Folder(path.clone()));
        }
        if self.der && certificates > 1 {
            return Err(Failure::Usage(format!(
                "{certificates} certificates as DER cannot go into one file: name a folder with --output FOLDER/"
            )));
        }
        Ok(Place::File(std::fs::File::create_new(path).map_err(failed)?))
    }

    /// What is written of a certificate: itself alone, or with its chain.
    fn encoded(&self, detail: &api::CertificateDetail) -> Result<Vec<u8>, Failure> {
        let unread = |_| Failure::Unread("the PEM of a certificate cannot be read".to_owned());
        let mut encoded = Vec::new();
        // Made anew of what was read: nothing but certificates comes out, whatever came in.
        for der in CertificateDer::pem_slice_iter(detail.pem.as_bytes()) {
            let der = der.map_err(unread)?;
            if self.der {
                return Ok(der.to_vec());
            }
            encoded.extend_from_slice(ingam_protocol::pem::certificate(&der).as_bytes());
            if !self.chain {
                break;
            }
        }
        if encoded.is_empty() {
            return Err(Failure::Unread(format!(
                "the answer for {} holds no certificate",
                super::text::clean(&detail.certificate.serial)
            )));
        }
        Ok(encoded)
    }
}

impl Place {
    fn put(&mut self, call: &mut Call, serial: &str, der: bool, bytes: &[u8]) -> Result<(), Failure> {
        let failed = |path: &Path, error: std::io::Error| {
            Failure::Usage(format!("{} cannot be written: {error}", path.display()))
        };
        match self {
            Self::Output => call.terminal.print_bytes(bytes),
            Self::File(file) => file
                .write_all(bytes)
                .map_err(|error| Failure::Usage(format!("the file cannot be written: {error}"))),
            Self::Folder(folder) => {
                let serial = parse_serial(serial).map_err(Failure::Unread)?;
                let path = folder.join(format!("{serial}.{}", if der { "der" } else { "pem" }));
                let mut file = std::fs::File::create_new(&path).map_err(|error| failed(&path, error))?;
                file.write_all(bytes).map_err(|error| failed(&path, error))
            }
        }
    }
}

fn count(certificates: usize) -> String {
    match certificates {
        1 => "1 certificate".to_owned(),
        many => format!("{many} certificates"),
    }
}
