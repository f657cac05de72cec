//! Unix sockets: who connects is known by the kernel's word.

use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;

use tokio::net::{UnixListener, UnixStream};

use super::Socket;

/// A socket's path has at most this many bytes (`sun_path` in `unix(7)`, without its last zero).
const PATH_BYTES_MAX: usize = 107;

/// The socket's mode: its owner and its group may connect.
const MODE: u32 = 0o660;

/// Binds the socket at `path`; what an ended process left there is taken away.
///
/// # Errors
/// A sentence for the operator.
pub(crate) async fn bind_unix(key: &str, path: &Path) -> Result<Socket, String> {
    if path.as_os_str().len() > PATH_BYTES_MAX {
        return Err(format!(
            "{key} {} has more than {PATH_BYTES_MAX} characters, which no socket may have: choose a shorter path",
            path.display()
        ));
    }
    let failed = |error: io::Error| {
        format!(
            "{key} {} cannot be listened on: {error}; is its folder there, and this user's?",
            path.display()
        )
    };
    if path.exists() {
        let is_socket = std::fs::metadata(path).map_err(failed)?.file_type().is_socket();
        if !is_socket {
            return Err(format!("{key} {} is there, and is no socket: choose another path", path.display()));
        }
        match UnixStream::connect(path).await {
            Ok(_) => {
                return Err(format!(
                    "{key} {} is used by another process: stop that one, or choose another path",
                    path.display()
                ));
            }
            // Nobody listens: an earlier process had no time to take it away.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                std::fs::remove_file(path).map_err(failed)?;
            }
            Err(error) => return Err(failed(error)),
        }
    }
    let socket = UnixListener::bind(path).map_err(failed)?;
    // Until here only the owner could connect, which takes the right to write.
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(MODE)).map_err(failed)?;
    Ok(Socket::Unix(socket))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_an_ended_process_left_is_no_hindrance_and_a_living_one_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin.sock");
        drop(bind_unix("operator.socket", &path).await.unwrap());
        let _living = bind_unix("operator.socket", &path).await.unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, MODE);
        let refused = bind_unix("operator.socket", &path).await.err().unwrap();
        assert!(refused.contains("another process"), "{refused}");
        let long = folder.path().join("a".repeat(120));
        assert!(bind_unix("operator.socket", &long).await.err().unwrap().contains("107"));
        let file = folder.path().join("file");
        std::fs::write(&file, "x").unwrap();
        assert!(bind_unix("operator.socket", &file).await.err().unwrap().contains("no socket"));
        assert_eq!(std::fs::read(&file).unwrap(), b"x", "what is no socket stays");
    }
}
