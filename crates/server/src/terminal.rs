//! Questions to a person: on standard input, if that is a terminal. They are written to standard error, so that what
//! `init` has to say can go elsewhere.

use std::io::{self, BufRead, IsTerminal, StdinLock, Write};

use ingam_signer::Passphrase;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

use crate::serve::StartError;

/// What became of writing to standard output. Whoever reads no further, as `head`, has what they wanted.
///
/// # Errors
/// [`StartError`] if it failed in any other way.
pub(crate) fn told(outcome: io::Result<()>) -> Result<(), StartError> {
    match outcome {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(StartError::new(format!("standard output: {error}")))
        }
        _ => Ok(()),
    }
}

/// So often a question is asked anew.
const TRIES_MAX: usize = 10;

/// No answer is longer.
const LINE_BYTES_MAX: u64 = 4096;

/// The terminal of the person who started the process.
pub(crate) struct Terminal {
    input: StdinLock<'static>,
}

impl Terminal {
    /// Standard input, if it is a terminal.
    pub(crate) fn of_the_process() -> Option<Self> {
        let input = io::stdin();
        input.is_terminal().then(|| Self { input: input.lock() })
    }

    /// Asks until `read` takes the answer. An empty answer means the default, if there is one.
    pub(crate) fn ask<T>(
        &mut self,
        question: &str,
        default: Option<&str>,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Result<T, StartError> {
        let prompt = match default {
            Some(default) => format!("{question} [{default}]: "),
            None => format!("{question}: "),
        };
        for _ in 0..TRIES_MAX {
            tell(&prompt)?;
            let line = self.line()?;
            let text = std::str::from_utf8(&line).unwrap_or_default().trim();
            let answer = if text.is_empty() { default.unwrap_or_default() } else { text };
            match read(answer) {
                Ok(answer) => return Ok(answer),
                Err(why) => tell(&format!("  {why}\n"))?,
            }
        }
        Err(StartError::new(format!("{question}: there was no answer that can be used")))
    }

    /// Asks for a new passphrase, twice, without showing it.
    pub(crate) fn ask_passphrase(&mut self, of: &str) -> Result<Passphrase, StartError> {
        for _ in 0..TRIES_MAX {
            let first = match self.ask_hidden(&format!("Passphrase for {of} (not shown): "))? {
                Ok(first) => first,
                Err(why) => {
                    tell(&format!("  {why}\n"))?;
                    continue;
                }
            };
            if self.ask_hidden("Once more: ")?.is_ok_and(|second| second == first) {
                return Ok(first);
            }
            tell("  these were not the same\n")?;
        }
        Err(StartError::new(format!("the passphrase for {of}: there was none that can be used")))
    }

    /// Asks for the passphrase of a key that is there, without showing it.
    pub(crate) fn ask_existing_passphrase(&mut self, of: &str) -> Result<Passphrase, StartError> {
        for _ in 0..TRIES_MAX {
            match self.ask_hidden(&format!("Passphrase of {of} (not shown): "))? {
                Ok(passphrase) => return Ok(passphrase),
                Err(why) => tell(&format!("  {why}\n"))?,
            }
        }
        Err(StartError::new(format!("the passphrase of {of}: there was none that can be used")))
    }

    fn ask_hidden(&mut self, prompt: &str) -> Result<Result<Passphrase, ingam_signer::Error>, StartError> {
        // Silent before the question is there, as somebody may answer at once.
        let silence = Silence::begin()?;
        tell(prompt)?;
        let line = self.line();
        drop(silence);
        // The newline was not shown either.
        tell("\n")?;
        Ok(Passphrase::new(line?.to_vec()))
    }

    fn line(&mut self) -> Result<Zeroizing<Vec<u8>>, StartError> {
        let mut line = Zeroizing::new(Vec::with_capacity(256));
        let mut limited = io::Read::take(&mut self.input, LINE_BYTES_MAX);
        limited.read_until(b'\n', &mut line).map_err(unusable)?;
        if line.is_empty() {
            return Err(StartError::new("broken off: nothing was written"));
        }
        Ok(line)
    }
}

fn tell(text: &str) -> Result<(), StartError> {
    let mut out = io::stderr().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(unusable)
}

fn unusable(error: io::Error) -> StartError {
    StartError::new(format!("the terminal cannot be used: {error}"))
}

/// While this is there, the terminal does not show what is typed.
struct Silence {
    before: Termios,
}

impl Silence {
    fn begin() -> Result<Self, StartError> {
        let input = io::stdin();
        let before = tcgetattr(&input).map_err(|error| unusable(error.into()))?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        tcsetattr(&input, OptionalActions::Flush, &silent).map_err(|error| unusable(error.into()))?;
        Ok(Self { before })
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        // If it fails, the terminal is gone.
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.before);
    }
}
