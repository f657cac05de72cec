//! What a command is told through and tells through: standard input, output and error, as far as they are terminals.

use std::io::{BufRead, IsTerminal, Write};

use super::failure::Failure;
use super::table::Paper;
use super::text::{clean, clean_json};

/// How much of a line at a prompt is read.
const LINE_BYTES_MAX: u64 = 4096;

/// The three streams of a command.
pub(crate) struct Terminal {
    output: Box<dyn Write + Send>,
    notes: Box<dyn Write + Send>,
    input: Box<dyn BufRead + Send>,

    /// How tables look.
    pub(crate) paper: Paper,
    /// Whether standard output is a terminal.
    pub(crate) output_is_terminal: bool,
    /// Whether standard error is a terminal.
    pub(crate) notes_are_seen: bool,
    /// Whether somebody can be asked.
    pub(crate) can_ask: bool,
    /// Whether programs read what is printed.
    pub(crate) json: bool,
}

impl Terminal {
    /// The streams of this process; `env` gives its environment.
    pub(crate) fn of_the_process(json: bool, env: &dyn Fn(&str) -> Option<String>) -> Self {
        let output_is_terminal = std::io::stdout().is_terminal();
        let notes_are_seen = std::io::stderr().is_terminal();
        let size = console::Term::stdout().size_checked();
        let set = |name: &str| env(name).filter(|value| !value.is_empty());
        let locale = set("LC_ALL").or_else(|| set("LC_CTYPE")).or_else(|| set("LANG")).unwrap_or_default();
        let utf8 = locale.to_ascii_lowercase().replace('-', "").contains("utf8");
        let capable = set("TERM").is_none_or(|term| term != "dumb");
        let width = size.map_or(80, |(_, columns)| usize::from(columns).max(40));
        Self {
            output: Box::new(std::io::stdout()),
            notes: Box::new(std::io::stderr()),
            input: Box::new(std::io::BufReader::new(std::io::stdin())),
            paper: Paper {
                width: output_is_terminal.then_some(width),
                colour: output_is_terminal && capable && set("NO_COLOR").is_none(),
                blocks: utf8,
            },
            output_is_terminal,
            notes_are_seen,
            can_ask: notes_are_seen && std::io::stdin().is_terminal(),
            json,
        }
    }

    /// Streams of a test: nothing is a terminal until the test says so.
    #[cfg(test)]
    pub(crate) fn of_a_test(
        output: Box<dyn Write + Send>,
        notes: Box<dyn Write + Send>,
        input: Box<dyn BufRead + Send>,
    ) -> Self {
        let paper = Paper::default();
        Self {
            output,
            notes,
            input,
            paper,
            output_is_terminal: false,
            notes_are_seen: false,
            can_ask: false,
            json: false,
        }
    }

    /// Prints text as it is: whoever made it has cleaned what came from outside.
    pub(crate) fn print(&mut self, text: &str) -> Result<(), Failure> {
        let outcome = self.output.write_all(text.as_bytes()).and_then(|()| self.output.flush());
        outcome.map_err(|error| closed(&error))
    }

    /// Prints a JSON document, or one of several, with the end of its line.
    pub(crate) fn print_json(&mut self, json: &str) -> Result<(), Failure> {
        let json = json.trim_end();
        if self.output_is_terminal {
            self.print(&format!("{}\n", clean_json(json)))
        } else {
            self.print(&format!("{json}\n"))
        }
    }

    /// Prints bytes that are not for people.
    pub(crate) fn print_bytes(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.output.write_all(bytes).and_then(|()| self.output.flush()).map_err(|error| closed(&error))
    }

    /// Says something to whoever looks, beside the data: a sentence or several lines, without the last end.
    pub(crate) fn note(&mut self, text: &str) {
        let cleaned: Vec<_> = text.lines().map(clean).collect();
        // With standard error gone there is nobody left to tell.
        let _ = writeln!(self.notes, "{}", cleaned.join("\n"));
    }

    /// Shows text beside the data that was made for a terminal already.
    pub(crate) fn note_rendered(&mut self, text: &str) {
        let _ = self.notes.write_all(text.as_bytes());
    }

    /// Asks for a line. An empty one, or the end of input, is a way to give up.
    pub(crate) fn ask(&mut self, question: &str) -> Result<String, Failure> {
        let _ = write!(self.notes, "{}", clean(question)).and_then(|()| self.notes.flush());
        let mut line = String::new();
        let mut limited = std::io::Read::take(&mut self.input, LINE_BYTES_MAX);
        let read = limited.read_line(&mut line);
        let answer = line.trim();
        if read.is_err() || answer.is_empty() {
            return Err(Failure::GivenUp("given up: nothing was done".to_owned()));
        }
        Ok(answer.to_owned())
    }

    /// The paper for what goes to standard error.
    pub(crate) fn notes_paper(&self) -> Paper {
        Paper { width: self.paper.width.or(self.notes_are_seen.then_some(80)), colour: false, ..self.paper }
    }
}

fn closed(error: &std::io::Error) -> Failure {
    match error.kind() {
        std::io::ErrorKind::BrokenPipe => Failure::OutputClosed,
        _ => Failure::Usage(format!("standard output cannot be written: {error}")),
    }
}
