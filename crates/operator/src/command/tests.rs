//! Commands against a CA that only pretends: it answers on a Unix socket with what a test says.
//!
//! What is proved: which requests a command sends, what it prints where, and the number that it ends with. That a real CA
//! answers so is not proved here.

mod ca;
mod endings;
mod evidence;
mod external;
mod lists;
mod records;
mod revocations;
mod subjects;

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use clap::Parser;
use ingam_protocol::Timestamp;
use ingam_protocol::time::FixedClock;

use self::ca::Ca;
use super::call::Call;
use super::terminal::Terminal;
use super::{Admin, tell};

#[derive(Debug, Parser)]
#[command(name = "ingam admin")]
struct Line {
    #[command(flatten)]
    admin: Admin,
}

/// Where a test's command writes.
#[derive(Clone, Default)]
struct Paper(Arc<Mutex<Vec<u8>>>);

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Paper {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

/// How a command ended, and what it said.
#[derive(Debug)]
struct Outcome {
    code: u8,
    output: String,
    notes: String,
}

/// A command, until it is run.
struct Command {
    words: Vec<String>,
    typed: String,
    at_a_terminal: bool,
    width: Option<usize>,
}

/// A command line of words without spaces.
fn command(line: &str) -> Command {
    Command {
        words: line.split_whitespace().map(str::to_owned).collect(),
        typed: String::new(),
        at_a_terminal: false,
        width: None,
    }
}

impl Command {
    /// With one more word, which may have spaces.
    fn word(mut self, word: &str) -> Self {
        self.words.push(word.to_owned());
        self
    }

    /// With somebody there who types this when asked.
    fn typed(mut self, typed: &str) -> Self {
        typed.clone_into(&mut self.typed);
        self.at_a_terminal = true;
        self
    }

    fn wide(mut self, width: usize) -> Self {
        self.width = Some(width);
        self
    }

    async fn run(self, ca: &Ca) -> Outcome {
        let socket = ca.socket();
        self.run_at(&["--socket", socket.to_str().unwrap()]).await
    }

    async fn run_at(self, connection: &[&str]) -> Outcome {
        let words = std::iter::once("ingam admin").chain(connection.iter().copied());
        let line = words.chain(self.words.iter().map(String::as_str));
        let admin = match Line::try_parse_from(line) {
            Ok(line) => line.admin,
            // What clap refuses ends with 2 before anything else happens.
            Err(error) => return Outcome { code: 2, output: String::new(), notes: error.to_string() },
        };
        let (output, notes) = (Paper::default(), Paper::default());
        let typed = std::io::Cursor::new(self.typed.into_bytes());
        let mut terminal =
            Terminal::of_a_test(Box::new(output.clone()), Box::new(notes.clone()), Box::new(typed));
        terminal.json = admin.connection.json;
        terminal.can_ask = self.at_a_terminal;
        terminal.paper.width = self.width;
        let ended = match admin.connection.client(&|_| None) {
            Err(failure) => {
                tell(&mut terminal, &failure);
                Err(failure)
            }
            Ok(client) => {
                let clock =
                    Arc::new(FixedClock::new(Timestamp::from_rfc3339("2026-11-21T10:00:00Z").unwrap()));
                let mut call = Call { client, terminal, clock, pace: Duration::from_millis(1) };
                let ended = admin.group.run(&mut call).await;
                if let Err(failure) = &ended {
                    tell(&mut call.terminal, failure);
                }
                ended
            }
        };
        let code = ended.map_or_else(|failure| failure.code(), |()| 0);
        Outcome { code, output: output.text(), notes: notes.text() }
    }
}

impl Outcome {
    /// What was printed, if the command ended well.
    #[track_caller]
    fn done(self) -> String {
        assert_eq!(self.code, 0, "{self:?}");
        self.output
    }

    /// What was said, if it ended with this number.
    #[track_caller]
    fn ended(self, code: u8) -> String {
        assert_eq!(self.code, code, "{self:?}");
        self.notes
    }
}
