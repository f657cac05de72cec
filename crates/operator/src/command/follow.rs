//! Following work that the CA does: a bar on a terminal, a line now and then elsewhere.
//!
//! The work is the CA's: it goes on whether or not somebody looks. A CA that is restarted meanwhile is waited for.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::signal::unix::{SignalKind, signal};

use super::call::Call;
use super::failure::Failure;
use super::terminal::Terminal;
use crate::api;
use crate::client::{Answer, Target};

/// How many looks in a row may fail before following ends: a restart takes less.
const MISSES_MAX: u32 = 60;

/// A bar for so many steps on standard error; one that is never seen if `shown` is false.
pub(crate) fn bar(shown: bool, length: usize) -> ProgressBar {
    let bar = ProgressBar::hidden();
    bar.set_length(u64::try_from(length).unwrap_or(u64::MAX));
    // The template is fixed; a wrong one would only look plain.
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos} of {len} {msg}  {eta}") {
        bar.set_style(style);
    }
    if shown {
        bar.set_draw_target(ProgressDrawTarget::stderr());
    }
    bar
}

/// Looks at a revocation job until it is over; gives what the CA said last.
pub(crate) async fn follow(call: &mut Call, id: &str) -> Result<Answer, Failure> {
    let target = Target::new("/v1/revocations").then(id);
    let mut interrupt = signal(SignalKind::interrupt())
        .map_err(|error| Failure::Usage(format!("Ctrl-C cannot be listened for: {error}")))?;
    let mut progress = Progress::new(call.terminal.notes_are_seen);
    let mut misses = 0;
    loop {
        let looked = tokio::select! {
            looked = look(call, &target) => looked,
            _ = interrupt.recv() => return Err(progress.broken_off(id)),
        };
        match looked {
            Ok((answer, job)) => {
                misses = 0;
                progress.show(&mut call.terminal, &job);
                if is_over(&job) {
                    progress.bar.finish_and_clear();
                    return Ok(answer);
                }
            }
            Err(failure) if failure.may_pass() && misses < MISSES_MAX => {
                if misses == 0 {
                    progress.bar.suspend(|| {
                        call.terminal
                            .note(&format!("{failure}\nWaiting for the CA; the job goes on with it."));
                    });
                }
                misses += 1;
            }
            Err(failure) => {
                progress.bar.finish_and_clear();
                return Err(failure);
            }
        }
        tokio::select! {
            () = tokio::time::sleep(call.pace) => {}
            _ = interrupt.recv() => return Err(progress.broken_off(id)),
        }
    }
}

/// Follows a job, shows how it ended, and fails if somebody cancelled it.
pub(crate) async fn follow_and_show(call: &mut Call, id: &str) -> Result<(), Failure> {
    let answer = follow(call, id).await?;
    call.show(&answer, super::job::facts)?;
    let job: api::RevocationJob = answer.read()?;
    if job.state == "cancelled" {
        return Err(Failure::Refused(format!(
            "the job was cancelled: {} of {} certificates were revoked, and stay so",
            job.revoked, job.total
        )));
    }
    Ok(())
}

async fn look(call: &mut Call, target: &Target) -> Result<(Answer, api::RevocationJob), Failure> {
    let answer = call.client.fetch(target).await?;
    let job = answer.read()?;
    Ok((answer, job))
}

fn is_over(job: &api::RevocationJob) -> bool {
    matches!(job.state.as_str(), "done" | "cancelled")
}

/// What was shown last of a job.
struct Progress {
    bar: ProgressBar,
    seen: bool,
    state: String,
    tenth: u64,
}

impl Progress {
    fn new(seen: bool) -> Self {
        Self { bar: bar(false, 0), seen, state: String::new(), tenth: 0 }
    }

    fn show(&mut self, terminal: &mut Terminal, job: &api::RevocationJob) {
        let through = job.revoked.saturating_add(job.skipped);
        if self.seen {
            self.bar.set_length(job.total);
            self.bar.set_position(through.min(job.total));
            self.bar.set_message(super::text::clean(&job.state).into_owned());
            // Nothing is drawn before there is something to draw.
            if self.state.is_empty() {
                self.bar.set_draw_target(ProgressDrawTarget::stderr());
            }
            self.state.clone_from(&job.state);
            return;
        }
        let tenth = through.saturating_mul(10).checked_div(job.total).unwrap_or(0);
        if job.state != self.state || tenth != self.tenth {
            terminal.note(&line(job));
            self.state.clone_from(&job.state);
            self.tenth = tenth;
        }
    }

    fn broken_off(&self, id: &str) -> Failure {
        self.bar.finish_and_clear();
        Failure::BrokenOff(format!(
            "the job goes on: `ingam admin job watch {id}` looks at it again, `ingam admin job pause {id}` holds it"
        ))
    }
}

/// A job in a line.
fn line(job: &api::RevocationJob) -> String {
    let skipped = match job.skipped {
        0 => String::new(),
        skipped => format!(", {skipped} were revoked already"),
    };
    format!("job {}: {}, {} of {} revoked{skipped}", job.id, job.state, job.revoked, job.total)
}
