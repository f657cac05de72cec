//! `ingam ceremony`: reads the ceremony's file, asks for passphrases, and shows what the signer's part made of it. It
//! belongs on a machine without a network, and needs neither a configuration nor a state folder.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use ingam_protocol::Findings;
use ingam_protocol::finding::Level;
use ingam_signer::Passphrase;
use ingam_signer::ceremony::{self, KeyPlace, Passphrases, Plan, Setting};

use crate::config::OtherFile;
use crate::serve::{Sources, StartError};
use crate::terminal::{self, Terminal};

/// No ceremony's file is larger.
const FILE_BYTES_MAX: u64 = 1 << 20;

const EXAMPLES: &str = "\
Every path in FILE counts from FILE's own folder. config/ceremony/ has an example of each kind.

Examples:
  ingam ceremony root.toml --dry-run
  ingam ceremony root.toml
  ingam ceremony crl.toml --transcript 2027-crl.txt";

/// What the command line says.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Ceremony {
    /// What is made, and of what
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Rehearses it: throwaway keys stand in, and nothing is written
    #[arg(long)]
    dry_run: bool,
    /// Where the transcript goes [default: beside what is made, with .transcript.txt behind its name]
    #[arg(long, value_name = "FILE")]
    transcript: Option<PathBuf>,
}

/// Holds it, shows the transcript, and writes what was made.
///
/// # Errors
/// [`StartError`] with a line for each mistake. Nothing was written then, unless a line says which file could not be.
pub(crate) fn run(options: &Ceremony) -> Result<(), StartError> {
    let sources = Sources::of_the_system();
    let input = read(&options.file)?;
    let text = std::str::from_utf8(&input)
        .map_err(|_| StartError::new(format!("{} is no text in UTF-8", options.file.display())))?;
    let reading = OtherFile::<ceremony::File>::of_text(text, "config/ceremony/");
    let name = options.file.display().to_string();
    let folder = options.file.parent().unwrap_or(Path::new(""));
    let mut found = reading.found.clone();
    let plan = Plan::of(&reading.value, folder, &mut found);
    ceremony::foresee(&reading.value, folder, sources.clock.now(), &mut found);
    let plan = plan.filter(|_| found.count(Level::Error) == 0);
    let stopped = |found: &Findings| {
        let verb = if options.dry_run { "rehearsed" } else { "held" };
        let mut lines = reading.sentences(&name, found, Level::Error);
        lines.push(format!("this ceremony was not {verb}, and nothing was written"));
        StartError::new(lines.join("\n"))
    };
    tell(&reading.sentences(&name, &found, Level::Warning))?;
    let Some(plan) = plan else { return Err(stopped(&found)) };
    let input_name = options.file.file_name().unwrap_or_default().to_string_lossy();
    let transcript = options.transcript.clone().unwrap_or_else(|| beside(plan.output()));
    let mut setting = Setting {
        clock: sources.clock.as_ref(),
        random: sources.random.as_ref(),
        passphrases: &mut People(Terminal::of_the_process()),
        program: concat!("ingam ", env!("CARGO_PKG_VERSION")),
        input: &input,
        input_name: &input_name,
        folder,
        transcript: &transcript,
        is_rehearsal: options.dry_run,
    };
    let held = ceremony::hold(&plan, &mut setting).map_err(|found| stopped(&found))?;
    let shown = held.transcript().to_owned();
    held.write().map_err(|error| StartError::caused("what was made could not be written", &error))?;
    let mut out = std::io::stdout().lock();
    terminal::told(out.write_all(shown.as_bytes()))
}

fn read(path: &Path) -> Result<Vec<u8>, StartError> {
    let failed = |error| StartError::new(format!("{} cannot be read: {error}", path.display()));
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(failed)?;
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > FILE_BYTES_MAX {
        return Err(StartError::new(format!(
            "{} has more than a mebibyte, as no ceremony has",
            path.display()
        )));
    }
    Ok(bytes)
}

/// `root.pem` has its transcript in `root.pem.transcript.txt`.
fn beside(output: &Path) -> PathBuf {
    let mut name = output.as_os_str().to_owned();
    name.push(".transcript.txt");
    name.into()
}

fn tell(warnings: &[String]) -> Result<(), StartError> {
    let mut out = std::io::stderr().lock();
    let told = warnings.iter().try_for_each(|warning| writeln!(out, "ingam: warning: {warning}"));
    told.map_err(|error| StartError::new(format!("standard error: {error}")))
}

/// Passphrases from files and descriptors, or from whoever sits at the terminal.
struct People(Option<Terminal>);

impl People {
    fn ask(
        &mut self,
        place: &KeyPlace,
        ask: fn(&mut Terminal, &str) -> Result<Passphrase, StartError>,
    ) -> Result<Passphrase, ingam_signer::Error> {
        if let Some(file) = place.passphrase_file() {
            return Passphrase::from_file(file);
        }
        let refused = |why: String| ingam_signer::Error::Refused(why);
        match &mut self.0 {
            Some(terminal) => ask(terminal, &place.to_string()).map_err(|error| refused(error.to_string())),
            None => Err(refused(format!(
                "nobody can be asked for the passphrase of {place}: run this on a terminal, or name a file or descriptor \
                 (/dev/fd/3) as passphrase_file"
            ))),
        }
    }
}

impl Passphrases for People {
    fn existing(&mut self, place: &KeyPlace) -> Result<Passphrase, ingam_signer::Error> {
        self.ask(place, Terminal::ask_existing_passphrase)
    }

    fn new_one(&mut self, place: &KeyPlace) -> Result<Passphrase, ingam_signer::Error> {
        self.ask(place, Terminal::ask_passphrase)
    }
}
