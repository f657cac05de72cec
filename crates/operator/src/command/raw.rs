//! `api`: any request, for scripts, and for what has no command of its own.

use std::path::Path;

use http::Method;

use super::call::Call;
use super::failure::Failure;
use super::serials::read_limited;
use crate::client::{Error, Target};

const BODY_BYTES_MAX: u64 = 64 << 20;

/// Any request to the admin API, whose description is at /openapi.json.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  ingam admin api GET '/v1/certificates?below=example.org&limit=10'
  ingam admin api POST /v1/incidents --body '{\"name\":\"a\",\"summary\":\"b\"}'")]
pub(crate) struct Raw {
    /// The method: GET or POST
    #[arg(value_name = "METHOD", value_parser = parse_method)]
    method: Method,
    /// The path, with its query
    #[arg(value_name = "PATH")]
    path: String,
    /// The body: JSON, or @ and a file with it, or @- for standard input
    #[arg(long, value_name = "JSON")]
    body: Option<String>,
}

fn parse_method(text: &str) -> Result<Method, String> {
    match text.to_ascii_uppercase().as_str() {
        "GET" => Ok(Method::GET),
        "POST" => Ok(Method::POST),
        _ => Err("the API knows GET and POST".to_owned()),
    }
}

impl Raw {
    pub(crate) async fn run(self, call: &mut Call) -> Result<(), Failure> {
        if !self.path.starts_with('/') {
            return Err(Failure::Usage("a path begins with /, as in /v1/whoami".to_owned()));
        }
        let body = match self.body {
            None => None,
            Some(body) => Some(match body.strip_prefix('@') {
                None => body.into_bytes(),
                Some(path) => read_limited(Path::new(path), BODY_BYTES_MAX)
                    .map_err(|error| Failure::Usage(format!("{path} cannot be read: {error}")))?,
            }),
        };
        match call.client.send(self.method, &Target::new(&self.path), body).await {
            Ok(answer) => call.show_json(&answer.body),
            Err(Error::Waits(waiting, body)) => {
                call.show_json(&body)?;
                Err(Failure::Waits(waiting))
            }
            Err(error) => Err(error.into()),
        }
    }
}
