//! Firefox without a screen, led by its own protocol, Marionette: lengths and JSON over a socket.

use std::fs::{self, File};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use ingam_tests::ports;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::world::{text, until};

const INSTALL: &str = "Install Firefox, on Debian with `apt-get install firefox-esr`";
const ANSWERS_WITHIN: Duration = Duration::from_secs(60);
const ENDS_WITHIN: Duration = Duration::from_secs(20);

/// A running Firefox. It is killed when this is dropped.
pub(crate) struct Firefox {
    child: Child,
    stream: TcpStream,
    sent: u64,
}

impl Firefox {
    /// Starts it with a profile in this folder, which may have a database of certificates, and with these preferences; it asks nobody for
    /// anything of its own.
    pub(crate) async fn start(profile: &Path, preferences: &[(&str, Value)]) -> Self {
        let port = ports::free();
        let always = [
            ("marionette.port", json!(port)),
            ("network.proxy.type", json!(0)),
            ("app.update.enabled", json!(false)),
            ("network.captive-portal-service.enabled", json!(false)),
            ("network.connectivity-service.enabled", json!(false)),
            ("datareporting.policy.dataSubmissionEnabled", json!(false)),
        ];
        let all = preferences.iter().cloned().chain(always);
        let lines: String = all.map(|(name, value)| format!("user_pref(\"{name}\", {value});\n")).collect();
        fs::write(profile.join("user.js"), lines).expect("a writable folder");
        let log = File::create(profile.join("firefox.log")).expect("a writable folder");
        let mut command = Command::new("firefox-esr");
        command.args(["--headless", "--marionette", "--no-remote", "--profile", text(profile)]);
        command.env("HOME", profile).env_remove("DISPLAY").kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let child =
            command.spawn().unwrap_or_else(|error| panic!("cannot start Firefox: {error}. {INSTALL}"));
        let look = async || TcpStream::connect(("127.0.0.1", port)).await.ok();
        let stream = until("Firefox can be led", look).await;
        let mut firefox = Self { child, stream, sent: 0 };
        let greeting = firefox.receive().await;
        assert_eq!(greeting["marionetteProtocol"], 3, "{greeting}");
        firefox.command("WebDriver:NewSession", json!({})).await.expect("a session");
        firefox
    }

    /// Goes to a page; an error's name if there is none.
    pub(crate) async fn go(&mut self, url: &str) -> Result<(), String> {
        self.command("WebDriver:Navigate", json!({ "url": url })).await.map(drop)
    }

    /// The name of what is wrong with the page that could not be shown. There are two pages that say so: one for what a
    /// certificate says, and one for what kept Firefox from knowing.
    pub(crate) async fn error(&mut self) -> String {
        let script = "return (document.documentURI.startsWith('about:certerror') ? \
                      document.getFailedCertSecurityInfo() : document.getNetErrorInfo()).errorCodeString";
        let answer = self.command("WebDriver:ExecuteScript", json!({ "script": script, "args": [] })).await;
        answer.expect("the page of an error")["value"].as_str().expect("a name").to_owned()
    }

    /// Has it end.
    pub(crate) async fn quit(mut self) {
        self.command("Marionette:Quit", json!({ "flags": ["eForceQuit"] })).await.expect("it can end");
        timeout(ENDS_WITHIN, self.child.wait()).await.expect("it ends").expect("one's own child");
    }

    async fn command(&mut self, name: &str, parameters: Value) -> Result<Value, String> {
        self.sent += 1;
        let message = json!([0, self.sent, name, parameters]).to_string();
        let framed = format!("{}:{message}", message.len());
        self.stream.write_all(framed.as_bytes()).await.expect("Firefox reads");
        let answer = self.receive().await;
        assert_eq!((&answer[0], &answer[1]), (&json!(1), &json!(self.sent)), "{answer}");
        match answer[2]["error"].as_str() {
            Some(error) => Err(error.to_owned()),
            None => Ok(answer[3].clone()),
        }
    }

    async fn receive(&mut self) -> Value {
        timeout(ANSWERS_WITHIN, self.read()).await.expect("Firefox answers in time")
    }

    async fn read(&mut self) -> Value {
        let mut length = 0;
        loop {
            match self.stream.read_u8().await.expect("Firefox answers") {
                b':' => break,
                digit => length = length * 10 + usize::from(digit - b'0'),
            }
        }
        let mut message = vec![0; length];
        self.stream.read_exact(&mut message).await.expect("a whole message");
        serde_json::from_slice(&message).expect("JSON")
    }
}
