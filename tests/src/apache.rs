//! Apache as Debian has it, by a configuration of a story's own and not as a service.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// Where Debian has the program.
pub const PROGRAM: &str = "/usr/sbin/apache2";
/// Where Debian has its modules.
pub const MODULES: &str = "/usr/lib/apache2/modules";
const STOPPED_WITHIN: Duration = Duration::from_secs(20);

/// A running Apache. It is told to end when this is dropped, and ends its workers then.
pub struct Apache(Child);

impl Apache {
    /// Starts it by this configuration; waits for nothing.
    pub fn start(config: &Path) -> Self {
        let mut command = Command::new(PROGRAM);
        command.arg("-DFOREGROUND").arg("-f").arg(config);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Self(command.spawn().expect("Apache: on Debian, `apt-get install apache2-bin`"))
    }

    fn end(&self) {
        let pid = self.0.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
        if let Some(pid) = pid {
            // It may have ended by itself.
            kill_process(pid, Signal::TERM).ok();
        }
    }

    /// Tells it to end and waits until it has.
    pub async fn stop(mut self) {
        self.end();
        let ended = timeout(STOPPED_WITHIN, self.0.wait()).await;
        ended.expect("Apache ends when it is told to").expect("one may wait for one's own child");
    }
}

impl Drop for Apache {
    fn drop(&mut self) {
        self.end();
    }
}

/// What every configuration of a story starts with: its folder, whom the workers run as, and these modules.
pub fn head(folder: &Path, modules: &[&str]) -> String {
    let folder = folder.display();
    let mut text = format!(
        "ServerRoot {folder}\nServerName localhost\nPidFile {folder}/pid\nErrorLog {folder}/error.log\n\
         LogLevel info\nDefaultRuntimeDir {folder}\nUser #65534\nGroup #65534\n"
    );
    for module in modules {
        text += &format!("LoadModule {module}_module {MODULES}/mod_{module}.so\n");
    }
    text
}
