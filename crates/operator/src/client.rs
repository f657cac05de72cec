//! A client of the admin API: where it is, how it is reached, and what came back.
//!
//! One connection is kept alive for all questions; a stream has one of its own. An answer is waited for no longer than
//! the caller says, and is refused beyond a size, so that nothing that the other end does keeps a command for ever.

mod address;
mod connection;
mod lines;
mod target;
mod tls;

use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::SendRequest;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

pub use address::{Address, Wanted};
pub use lines::Lines;
pub use target::Target;
pub use tls::TlsFiles;

use crate::api::{ApiProblem, Page, Waiting};

/// How many bytes an answer may have: a thousand certificates with their names are a small part of it.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// The most items that the API gives in one page.
const PAGE_ITEMS_MAX: usize = 1000;

/// Why there is no answer, or why it is no.
#[derive(Debug)]
pub enum Error {
    /// Nobody answers: a sentence with the place and what to do.
    Unreachable(String),
    /// The CA says no, or cannot.
    Refused(ApiProblem),
    /// The act waits for a second person; the answer as it came is beside it.
    Waits(Waiting, Bytes),
    /// There is an answer that cannot be understood: a sentence.
    Unread(String),
}

/// What the CA answered, when it did what was asked.
#[derive(Clone, Debug)]
pub struct Answer {
    /// JSON, as it came.
    pub body: Bytes,
}

impl Answer {
    /// Reads it as what it should be.
    ///
    /// # Errors
    ///
    /// [`Error::Unread`] if it is something else.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_slice(&self.body).map_err(|error| unread(&error))
    }

    /// Reads it as a list, or as a page of one.
    ///
    /// # Errors
    ///
    /// [`Error::Unread`] if it is something else.
    pub fn list(&self) -> Result<Listed, Error> {
        let page: Page<Box<RawValue>> = self.read()?;
        Ok(Listed { items: page.items, next: page.next })
    }
}

fn unread(error: &serde_json::Error) -> Error {
    Error::Unread(format!(
        "the answer cannot be read ({error}): the CA and this program may be of different versions"
    ))
}

/// The items of a list, each as the CA wrote it.
#[derive(Debug, Default)]
pub struct Listed {
    /// What was found.
    pub items: Vec<Box<RawValue>>,
    /// Where the rest begins, if there is more.
    pub next: Option<String>,
}

impl Listed {
    /// Reads every item as what it should be.
    ///
    /// # Errors
    ///
    /// [`Error::Unread`] if one is something else.
    pub fn read<'a, T: Deserialize<'a>>(&'a self) -> Result<Vec<T>, Error> {
        let items = self.items.iter().map(|item| serde_json::from_str(item.get()));
        items.collect::<Result<_, _>>().map_err(|error| unread(&error))
    }
}

/// The client.
#[derive(Debug)]
pub struct Client {
    address: Address,
    patience: Duration,
    sender: Option<SendRequest<Full<Bytes>>>,
}

impl Client {
    /// A client of the CA at this address, which waits `patience` for the head of each answer, and for its body.
    pub fn new(address: Address, patience: Duration) -> Self {
        Self { address, patience, sender: None }
    }

    /// Reads what is at a target.
    ///
    /// # Errors
    ///
    /// As [`Error`] says.
    pub async fn fetch(&mut self, target: &Target) -> Result<Answer, Error> {
        self.send(Method::GET, target, None).await
    }

    /// Sends a body, which is JSON, to a target.
    ///
    /// # Errors
    ///
    /// As [`Error`] says.
    pub async fn post(&mut self, target: &Target, body: &impl serde::Serialize) -> Result<Answer, Error> {
        let body = serde_json::to_vec(body).map_err(|error| Error::Unread(error.to_string()))?;
        self.send(Method::POST, target, Some(body)).await
    }

    /// Sends anything.
    ///
    /// # Errors
    ///
    /// As [`Error`] says.
    pub async fn send(
        &mut self,
        method: Method,
        target: &Target,
        body: Option<Vec<u8>>,
    ) -> Result<Answer, Error> {
        // A connection that the CA closed while nothing was asked is no reason to fail, and for a question it does no
        // harm to ask twice. An act is sent once.
        let mut again = method == Method::GET && self.sender.is_some();
        loop {
            let request = self.request(method.clone(), target, body.as_deref())?;
            match self.exchange(request).await {
                Err(Error::Unreachable(_)) if again => again = false,
                outcome => return outcome,
            }
        }
    }

    /// All items of a list, or the first `limit` of them, over as many pages as that takes.
    ///
    /// # Errors
    ///
    /// As [`Error`] says.
    pub async fn list(&mut self, target: &Target, limit: Option<usize>) -> Result<Listed, Error> {
        let mut listed = Listed::default();
        loop {
            let left = limit.map_or(PAGE_ITEMS_MAX, |limit| limit.saturating_sub(listed.items.len()));
            let page_items = left.min(PAGE_ITEMS_MAX).to_string();
            let page_target =
                target.clone().with("after", listed.next.as_deref()).with("limit", Some(&page_items));
            let page = self.fetch(&page_target).await?.list()?;
            if page.next.is_some() && page.next == listed.next {
                return Err(Error::Unread("the list does not go on: its next page is the same again".into()));
            }
            listed.items.extend(page.items);
            listed.next = page.next;
            if listed.next.is_none() || limit.is_some_and(|limit| listed.items.len() >= limit) {
                return Ok(listed);
            }
        }
    }

    /// Opens a stream of lines, on a connection of its own.
    ///
    /// # Errors
    ///
    /// As [`Error`] says.
    pub async fn open(&self, target: &Target) -> Result<Lines, Error> {
        let request = self.request(Method::GET, target, None)?;
        let mut sender = self.address.connect().await?;
        let response = self.in_time(sender.send_request(request)).await?;
        if response.status().is_success() {
            return Ok(Lines::new(response.into_body(), sender));
        }
        let (status, body) = self.whole(response).await?;
        Err(refusal(status, &body))
    }

    fn request(
        &self,
        method: Method,
        target: &Target,
        body: Option<&[u8]>,
    ) -> Result<http::Request<Full<Bytes>>, Error> {
        let mut request = http::Request::builder()
            .method(method)
            .uri(target.to_string())
            .header(header::HOST, self.address.host())
            .header(header::ACCEPT, "application/json")
            .header(header::USER_AGENT, concat!("ingam/", env!("CARGO_PKG_VERSION")));
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        request
            .body(Full::new(Bytes::copy_from_slice(body.unwrap_or_default())))
            .map_err(|error| Error::Unread(format!("{target} is no path that can be asked for: {error}")))
    }

    async fn exchange(&mut self, request: http::Request<Full<Bytes>>) -> Result<Answer, Error> {
        let kept = match self.sender.take() {
            Some(mut sender) => sender.ready().await.is_ok().then_some(sender),
            None => None,
        };
        let mut sender = match kept {
            Some(sender) => sender,
            None => self.address.connect().await?,
        };
        let response = self.in_time(sender.send_request(request)).await?;
        let (status, body) = self.whole(response).await?;
        self.sender = Some(sender);
        match status {
            StatusCode::ACCEPTED => {
                let waiting = serde_json::from_slice(&body).map_err(|error| unread(&error))?;
                Err(Error::Waits(waiting, body))
            }
            status if status.is_success() => Ok(Answer { body }),
            status => Err(refusal(status, &body)),
        }
    }

    async fn in_time<T>(&self, answer: impl Future<Output = Result<T, hyper::Error>>) -> Result<T, Error> {
        match tokio::time::timeout(self.patience, answer).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => Err(self.address.lost(&error)),
            Err(_) => Err(Error::Unreachable(format!(
                "{} took the question and gave no answer within {} seconds; an act that was asked for may still be \
                 done: look at `ingam admin log search` before it is asked for again, or wait longer with --timeout",
                self.address,
                self.patience.as_secs()
            ))),
        }
    }

    async fn whole(
        &self,
        response: http::Response<hyper::body::Incoming>,
    ) -> Result<(StatusCode, Bytes), Error> {
        let status = response.status();
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect();
        match tokio::time::timeout(self.patience, body).await {
            Ok(Ok(collected)) => Ok((status, collected.to_bytes())),
            Ok(Err(error)) => Err(self.address.lost(error.as_ref())),
            Err(_) => {
                Err(Error::Unreachable(format!("{} stopped in the middle of its answer", self.address)))
            }
        }
    }
}

/// What a status of 400 or more says.
fn refusal(status: StatusCode, body: &[u8]) -> Error {
    let problem = serde_json::from_slice::<ApiProblem>(body).unwrap_or_else(|_| ApiProblem {
        kind: "about:blank".to_owned(),
        status: status.as_u16(),
        detail: format!("the answer is {status}, without a reason: is this the admin API?"),
        request_id: None,
        findings: Vec::new(),
    });
    // What the HTTP layer says decides, also if the document says something else.
    Error::Refused(ApiProblem { status: status.as_u16(), ..problem })
}

#[cfg(test)]
mod tests;
