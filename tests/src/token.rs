//! Keys on a token: SoftHSM, with its files in a folder of the test's own.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tokio::process::Command;

use crate::command::{Finished, run};

/// The PIN of the token.
pub const PIN: &str = "4711-0815";

const INSTALL: &str = "Install it, on Debian with `apt-get install openssl softhsm2 gnutls-bin`";
/// Where Debian, and others, put the module.
const MODULES: [&str; 2] = ["/usr/lib/softhsm/libsofthsm2.so", "/usr/lib64/softhsm/libsofthsm2.so"];

/// SoftHSM's library, which is the token's driver.
pub fn module() -> &'static str {
    let found = MODULES.into_iter().find(|place| Path::new(place).exists());
    found.unwrap_or_else(|| panic!("libsofthsm2.so is missing. {INSTALL}"))
}

/// SoftHSM with one token, `ingam`.
#[derive(Debug)]
pub struct Tokens {
    folder: PathBuf,
}

impl Tokens {
    /// A new token in this folder, without keys, and its PIN in the file `token-pin`.
    pub async fn new(folder: &Path) -> Self {
        let tokens = Self { folder: folder.to_owned() };
        fs::create_dir(tokens.path("tokens")).expect("a writable folder");
        let settings =
            format!("directories.tokendir = {}\nlog.level = ERROR\n", tokens.path("tokens").display());
        fs::write(tokens.settings(), settings).expect("a writable folder");
        tokens.write_pin(PIN);
        let token = ["--init-token", "--free", "--label", "ingam", "--so-pin", "12345678", "--pin", PIN];
        tokens.run("softhsm2-util", &token).await;
        tokens
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// SoftHSM's own settings: whoever has them in `SOFTHSM2_CONF` sees the token.
    pub fn settings(&self) -> PathBuf {
        self.path("softhsm2.conf")
    }

    /// The file with the PIN, which is the owner's alone.
    pub fn pin_file(&self) -> PathBuf {
        self.path("token-pin")
    }

    /// Writes this PIN into the file; the token's own stays what it is.
    pub fn write_pin(&self, pin: &str) {
        fs::write(self.pin_file(), format!("{pin}\n")).expect("a writable folder");
        fs::set_permissions(self.pin_file(), Permissions::from_mode(0o600)).expect("a file of one's own");
    }

    /// Lets a process see the token.
    pub fn environment(&self, command: &mut Command) {
        command.env("SOFTHSM2_CONF", self.settings());
    }

    /// A program in the folder, with the token at hand; it must succeed.
    pub async fn run(&self, program: &str, arguments: &[&str]) -> Finished {
        let mut command = Command::new(program);
        self.environment(&mut command);
        run(command.args(arguments).current_dir(&self.folder), INSTALL).await.succeeded()
    }

    /// Makes a key on the token, of what kind GnuTLS's words say; its public half goes to a file of the folder.
    pub async fn generate(&self, name: &str, kind: &[&str], public: &str) {
        let token = ["--provider", module(), "--login", "--set-pin", PIN];
        let key = ["--label", name, "--outfile", public, "pkcs11:token=ingam"];
        self.run("p11tool", &[&token[..], kind, &key].concat()).await;
    }

    /// Brings a key onto the token out of a file: PKCS #8 in PEM, not encrypted. `number` is its id there.
    pub async fn import(&self, name: &str, file: &Path, number: usize) {
        let (file, id) = (file.to_str().expect("a path in UTF-8"), format!("{number:04x}"));
        let token = ["--import", file, "--token", "ingam", "--pin", PIN];
        self.run("softhsm2-util", &[&token[..], &["--label", name, "--id", &id]].concat()).await;
    }

    /// Where a key is (RFC 7512), and nothing of a PIN.
    pub fn place(&self, name: &str) -> String {
        format!("pkcs11:token=ingam;object={name}?module-path={}", module())
    }

    /// The same with the file of the PIN.
    pub fn uri(&self, name: &str) -> String {
        format!("{}&pin-source=file:{}", self.place(name), self.pin_file().display())
    }

    /// Nobody sees the token any more.
    pub fn pull_out(&self) {
        fs::rename(self.path("tokens"), self.path("tokens-away")).expect("the token is there");
    }

    /// All see it again.
    pub fn put_back(&self) {
        fs::rename(self.path("tokens-away"), self.path("tokens")).expect("the token is away");
    }
}
