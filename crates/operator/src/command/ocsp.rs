//! `ocsp`: answers as files, the log of OCSP requests, what was counted, and what is held for cases.

use std::collections::BTreeMap;

use super::call::{Call, HowMany, Why};
use super::edge::Export;
use super::failure::Failure;
use super::table::{Cell, Facts, Paper, Shape, Style, Table};
use super::when::{When, parse_span, span_text};
use crate::api;
use crate::client::Target;

/// Commands on OCSP.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Ocsp {
    /// Writes OCSP answers, CRLs and certificates of CAs into a folder that any web server can give out
    #[command(after_help = "\
Examples:
  ingam admin ocsp export --all --output /srv/ocsp
  ingam admin ocsp export --issuer ecdsa --profile devices --output /srv/ocsp
  ingam admin ocsp export --file serials.txt --output /srv/ocsp

The folder is the export's alone: what does not belong to it any more is taken out of it. docs/operations/edge.md says how
nginx and others give it out, and how often to export.")]
    Export(Export),
    /// Shows how the log of requests fares, without a request of it
    Log,
    /// Shows what was counted of each hour: answers, kinds of clients, most asked certificates
    #[command(after_help = "Example:\n  ingam admin ocsp counts --from 2d --json")]
    Counts {
        /// Hours from this time on
        #[arg(long, value_name = "TIME")]
        from: Option<When>,
        /// Hours before this time
        #[arg(long, value_name = "TIME")]
        until: Option<When>,
        /// Shows this many at most, the newest
        #[arg(long, value_name = "N", default_value_t = 24, value_parser = clap::value_parser!(u32).range(1..=1000))]
        limit: u32,
    },
    /// Holds requests for a case beyond the end of the log
    #[command(subcommand)]
    Hold(Hold),
}

/// Commands on holds.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Hold {
    /// Opens a hold on requests that fit everything that is given
    #[command(after_help = "\
Examples:
  ingam admin ocsp hold open --serial 7fb1... --reason \"case 12: fault at a bank's proxies\"
  ingam admin ocsp hold open --network 192.0.2.0/24 --from 2d --until now --for 14d --reason \"case 13: abuse\"")]
    Open(Open),
    /// Lists the holds that are open: personal data
    List(WhyOptional),
    /// Shows one hold: personal data
    Show {
        /// Its id
        #[arg(value_name = "ID")]
        id: String,
        #[command(flatten)]
        why: WhyOptional,
    },
    /// Shows the requests of a hold, oldest first: personal data
    Requests {
        /// Its id
        #[arg(value_name = "ID")]
        id: String,
        #[command(flatten)]
        how_many: HowMany,
        #[command(flatten)]
        why: Why,
    },
    /// Moves the end of a hold, as it is still needed
    #[command(
        after_help = "Example:\n  ingam admin ocsp hold renew ID --for 30d --reason \"the court needs longer\""
    )]
    Renew {
        /// Its id
        #[arg(value_name = "ID")]
        id: String,
        #[command(flatten)]
        end: End,
        #[command(flatten)]
        why: Why,
    },
    /// Closes a hold: what it has is destroyed
    Close {
        /// Its id
        #[arg(value_name = "ID")]
        id: String,
        #[command(flatten)]
        why: Why,
    },
}

/// What is held, for how long.
#[derive(Debug, clap::Args)]
pub(crate) struct Open {
    /// Requests for this certificate; can be given several times
    #[arg(long = "serial", value_name = "SERIAL")]
    serials: Vec<String>,
    /// Requests from this network or address; can be given several times
    #[arg(long = "network", value_name = "NETWORK")]
    networks: Vec<String>,
    /// Requests from this time on
    #[arg(long, value_name = "TIME")]
    from: Option<When>,
    /// Requests before this time; without it, those that come while it is open are held, too
    #[arg(long, value_name = "TIME")]
    until: Option<When>,
    /// Who answers for it; you, if nothing is said
    #[arg(long, value_name = "TEXT")]
    owner: Option<String>,
    #[command(flatten)]
    end: End,
    #[command(flatten)]
    why: Why,
}

/// When a hold ends.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct End {
    /// For how long from now, as 14d; at most 92 days
    #[arg(long = "for", value_name = "SPAN", default_value = "30d", value_parser = span)]
    lasts: std::time::Duration,
}

/// Why a thing is looked at that can be without a reason.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct WhyOptional {
    /// Why, for the record
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

fn span(text: &str) -> Result<std::time::Duration, String> {
    parse_span(text).ok_or_else(|| "write how long as 12h, 14d or 4w".to_owned())
}

impl Ocsp {
    pub(crate) async fn run(self, call: &mut Call) -> Result<(), Failure> {
        match self {
            Self::Export(export) => export.run(call).await,
            Self::Log => call.fetch_and_show(&Target::new("/v1/ocsp/log"), state).await,
            Self::Counts { from, until, limit } => {
                let now = call.clock.now();
                let target = Target::new("/v1/ocsp/counts")
                    .with("from", from.map(|when| when.text(now)).as_deref())
                    .with("until", until.map(|when| when.text(now)).as_deref())
                    .with("limit", Some(&limit.to_string()));
                call.whole_list_and_show(&target, "No hour was counted.", hours).await
            }
            Self::Hold(hold) => hold.run(call).await,
        }
    }
}

impl Hold {
    async fn run(self, call: &mut Call) -> Result<(), Failure> {
        let holds = Target::new("/v1/ocsp/holds");
        match self {
            Self::Open(open) => open.run(call, &holds).await,
            Self::List(why) => {
                let target = holds.with("reason", why.reason.as_deref());
                call.whole_list_and_show(&target, "Nothing is held.", table).await
            }
            Self::Show { id, why } => {
                let target = holds.then(&id).with("reason", why.reason.as_deref());
                call.fetch_and_show(&target, facts).await
            }
            Self::Requests { id, how_many, why } => {
                let reason = why.ask(call)?;
                let target = holds.then(&id).then("requests").with("reason", Some(&reason));
                call.list_and_show(&target, how_many, "The hold has no request yet.", requests).await
            }
            Self::Renew { id, end, why } => {
                let reason = why.ask(call)?;
                let renewal = api::RequestHoldRenewal { ends: end.text(call), reason };
                call.post_and_say(&holds.then(&id).then("renew"), &renewal).await
            }
            Self::Close { id, why } => call.act(&holds.then(&id).then("close"), &why).await,
        }
    }
}

impl End {
    fn text(self, call: &Call) -> String {
        call.clock.now().plus(self.lasts).to_rfc3339()
    }
}

impl Open {
    async fn run(self, call: &mut Call, holds: &Target) -> Result<(), Failure> {
        let reason = self.why.ask(call)?;
        let now = call.clock.now();
        let holding = api::RequestHolding {
            serials: self.serials,
            networks: self.networks,
            from: self.from.map(|when| when.text(now)),
            until: self.until.map(|when| when.text(now)),
            owner: self.owner,
            ends: self.end.text(call),
            reason,
        };
        let answer = call.post(holds, &holding).await?;
        call.show(&answer, facts)
    }
}

fn state(log: &api::RequestLogState, paper: &Paper) -> String {
    let keep = span_text(std::time::Duration::from_secs(log.keep_s));
    let mut facts = Facts::default();
    facts.fact("mode", &log.mode).fact("kept for", keep).fact("segments", log.segments.len().to_string());
    if let Some(segment) = log.segments.first() {
        facts.fact("the next goes", format!("{} (begun {})", segment.goes, segment.first));
    }
    facts
        .fact("holds", log.holds)
        .fact("bytes", format!("{} of {}", log.bytes, log.bytes_max))
        .fact("waiting", format!("{} of {}", log.waiting, log.waiting_max))
        .fact(
            "requests",
            format!("{} since the start, {} of them lost to the log", log.requests, log.dropped),
        )
        .fact("last left out", &log.dropped_at)
        .fact("trouble", Cell::styled(log.trouble.as_deref().unwrap_or_default(), Style::Bad))
        .fact("overdue", Cell::styled(if log.overdue { "yes" } else { "" }, Style::Bad));
    facts.render(paper)
}

fn numbers(numbers: &BTreeMap<String, u64>) -> Cell {
    Cell::list(&numbers.iter().map(|(name, count)| format!("{name} {count}")).collect::<Vec<_>>())
}

fn hours(hours: &[api::RequestHour], paper: &Paper) -> String {
    let mut table = Table::new(&[
        ("HOUR", Shape::Whole),
        ("ISSUER", Shape::Whole),
        ("REQUESTS", Shape::Number),
        ("ANSWERS", Shape::Text),
        ("CLIENTS", Shape::Text),
        ("MOST ASKED", Shape::Text),
    ]);
    for hour in hours {
        table.row([
            (&hour.hour).into(),
            "all".into(),
            hour.requests.into(),
            Cell::from(if hour.sampled { "from a sample below" } else { "" }),
            "".into(),
            "".into(),
        ]);
        for issuer in &hour.issuers {
            let most = issuer.certificates.first().map(|most| format!("{} {}", most.serial, most.requests));
            table.row([
                "".into(),
                issuer.issuer.as_deref().unwrap_or("none").into(),
                issuer.requests.into(),
                numbers(&issuer.answers),
                numbers(&issuer.clients),
                most.unwrap_or_default().into(),
            ]);
        }
    }
    table.render(paper)
}

fn what(hold: &api::RequestHold) -> String {
    let mut parts: Vec<String> = hold.serials.iter().chain(&hold.networks).cloned().collect();
    parts.extend(hold.from.iter().map(|from| format!("from {from}")));
    parts.extend(hold.until.iter().map(|until| format!("until {until}")));
    parts.join(", ")
}

fn table(holds: &[api::RequestHold], paper: &Paper) -> String {
    let mut table = Table::new(&[
        ("ID", Shape::Whole),
        ("OPENED", Shape::Whole),
        ("ENDS", Shape::Whole),
        ("OWNER", Shape::Text),
        ("WHAT", Shape::Text),
        ("REASON", Shape::Text),
    ]);
    for hold in holds {
        table.row([
            (&hold.id).into(),
            (&hold.opened).into(),
            (&hold.ends).into(),
            (&hold.owner).into(),
            what(hold).into(),
            (&hold.reason).into(),
        ]);
    }
    table.render(paper)
}

fn facts(hold: &api::RequestHold, paper: &Paper) -> String {
    let mut facts = Facts::default();
    facts
        .fact("hold", &hold.id)
        .fact("serials", Cell::list(&hold.serials))
        .fact("networks", Cell::list(&hold.networks))
        .fact("from", &hold.from)
        .fact("until", &hold.until)
        .fact("owner", &hold.owner)
        .fact("reason", &hold.reason)
        .fact("opened", &hold.opened)
        .fact("ends", &hold.ends);
    if hold.renewals > 0 {
        facts.fact("renewed", format!("{} times", hold.renewals));
    }
    facts.render(paper)
}

fn requests(requests: &[api::HeldRequest], paper: &Paper) -> String {
    let mut table = Table::new(&[
        ("AT", Shape::Whole),
        ("FROM", Shape::Whole),
        ("CLIENT", Shape::Whole),
        ("ISSUER", Shape::Whole),
        ("SERIAL", Shape::Whole),
        ("ANSWER", Shape::Whole),
        ("STANDS FOR", Shape::Number),
        ("USER AGENT", Shape::Text),
    ]);
    for request in requests {
        table.row([
            (&request.at).into(),
            (&request.from).into(),
            (&request.client).into(),
            (&request.issuer).into(),
            (&request.serial).into(),
            Cell::status(&request.answer),
            request.stands_for.into(),
            (&request.user_agent).into(),
        ]);
    }
    table.render(paper)
}
