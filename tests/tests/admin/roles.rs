//! What each role may do and may not, over mutual TLS and over the Unix socket, and that both are on record. The whole
//! table of roles by acts is tested beside the code; here are one act of each kind, through the real process.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use ingam_tests::command::{Finished, run};
use ingam_tests::operator::Person;
use ingam_tests::server::{Server, binary};
use tempfile::TempDir;
use tokio::process::Command;

use crate::{access_records, server_with_operators};

/// Somebody's try.
struct Try {
    who: &'static str,
    line: &'static [&'static str],
    act: &'static str,
    is_allowed: bool,
}

const TRIES: [Try; 9] = [
    Try {
        who: "administrator",
        line: &["role", "grant", "uid:4242", "support"],
        act: "role.grant",
        is_allowed: true,
    },
    Try { who: "revoker", line: &["name", "block", "example.com"], act: "name.rule", is_allowed: true },
    Try {
        who: "revoker",
        line: &["role", "grant", "uid:4242", "auditor"],
        act: "role.grant",
        is_allowed: false,
    },
    Try { who: "auditor", line: &["log", "search"], act: "log.search", is_allowed: true },
    Try { who: "auditor", line: &["name", "block", "example.net"], act: "name.rule", is_allowed: false },
    Try { who: "support", line: &["account", "list"], act: "account.list", is_allowed: true },
    Try { who: "support", line: &["log", "search"], act: "log.search", is_allowed: false },
    Try { who: "nobody", line: &["account", "list"], act: "account.list", is_allowed: false },
    Try { who: "nobody", line: &["reload"], act: "reload", is_allowed: false },
];

#[tokio::test(flavor = "multi_thread")]
async fn each_role_may_do_what_the_table_says_and_it_is_on_record() {
    let (server, ca) = server_with_operators(|_| String::new()).await;
    let mut people: Vec<(&str, Person)> = Vec::new();
    for role in ["administrator", "revoker", "auditor", "support", "nobody"] {
        let person = ca.person(role);
        if role != "nobody" {
            let grant = ["role", "grant", &person.principal, role, "--label", role, "--reason", "a test"];
            server.admin(&grant).await.succeeded();
        }
        people.push((role, person));
    }
    for Try { who, line, act, is_allowed } in TRIES {
        let (_, person) = people.iter().find(|(role, _)| *role == who).expect("the person is there");
        let reason = format!("{who} tries {act}");
        // `account list` reads nothing personal, so nobody is asked why.
        let with_reason = [line, &["--reason", &reason]].concat();
        let needs_reason = act != "account.list";
        let arguments = if needs_reason { &with_reason } else { line };
        let finished = person.admin(&server, arguments).await;
        is_answered(&finished, who, act, is_allowed);

        let records = access_records(&server, &person.principal).await;
        let record = records.iter().rev().find(|record| {
            record["payload"]["act"] == act && record["payload"]["operator"] == person.principal.as_str()
        });
        if is_allowed && !needs_reason {
            assert!(
                record.is_none(),
                "what reads nothing personal is on record when refused alone: {record:?}"
            );
            continue;
        }
        let record =
            record.unwrap_or_else(|| panic!("{who} tried {act}, and it is not on record: {records:?}"));
        let payload = &record["payload"];
        assert_eq!(record["class"], "access_log", "{record}");
        assert_eq!(payload["outcome"], if is_allowed { "done" } else { "refused" }, "{record}");
        assert_eq!(payload["from"], "127.0.0.1", "{record}");
        if needs_reason {
            assert_eq!(payload["reason"], reason, "{record}");
        }
        let roles = if who == "nobody" { serde_json::json!([]) } else { serde_json::json!([who]) };
        assert_eq!(payload["roles"], roles, "{record}");
    }
    let changes = server
        .admin_json(&[
            "log",
            "search",
            "--class",
            "permission_change",
            "--text",
            "uid:4242",
            "--reason",
            "a test",
        ])
        .await;
    let [grant] = changes["items"].as_array().expect("records").as_slice() else {
        panic!("one role was granted, and one refused: {changes}")
    };
    assert_eq!(
        (&grant["payload"]["role"], &grant["payload"]["reason"]),
        (&"support".into(), &"administrator tries role.grant".into())
    );
}

#[track_caller]
fn is_answered(finished: &Finished, who: &str, act: &str, is_allowed: bool) {
    let code = finished.status.code();
    assert_eq!(code, Some(if is_allowed { 0 } else { 3 }), "{who} tries {act}: {finished}");
    if !is_allowed {
        assert!(finished.stderr.contains(act) && finished.stderr.contains("role"), "it says why: {finished}");
    }
}

/// Needs root, as nobody else can become another user; then other users of the machine come by the Unix socket.
#[tokio::test(flavor = "multi_thread")]
async fn users_of_the_machine_are_who_the_kernel_says() {
    if !rustix::process::getuid().is_root() {
        eprintln!("not run: only root can become another user");
        return;
    }
    let (server, _) = server_with_operators(|_| String::new()).await;
    let me = server.admin(&["whoami"]).await.succeeded();
    assert!(me.text().contains("uid:0"), "{me}");
    // The folder that the binary was built into may be out of another user's reach.
    let programs = TempDir::new().expect("a temporary folder");
    open_folder(programs.path());
    let program = programs.path().join("ingam");
    std::fs::copy(binary(), &program).expect("a writable folder");
    // The state folder is for the CA's own user; operators reach a socket elsewhere, by its group.
    let socket = server.state().join("admin.sock");
    let mode = std::fs::metadata(&socket).expect("the socket is there").permissions().mode() & 0o777;
    let by_other = as_user(&server, &program, "4242", &["whoami"]).await;
    assert_eq!(
        by_other.status.code(),
        Some(6),
        "a socket of mode {mode:o} in a closed folder is out of reach: {by_other}"
    );

    open_folder(server.home());
    open_folder(&server.state());
    std::fs::set_permissions(&socket, std::fs::Permissions::from_mode(0o666)).expect("a socket of one's own");
    let refused = as_user(&server, &program, "4242", &["account", "list"]).await;
    is_answered(&refused, "uid:4242", "account.list", false);
    server.admin(&["role", "grant", "uid:4242", "support", "--reason", "a test"]).await.succeeded();
    as_user(&server, &program, "4242", &["account", "list"]).await.succeeded();
    is_answered(
        &as_user(&server, &program, "4243", &["account", "list"]).await,
        "uid:4243",
        "account.list",
        false,
    );
    for user in ["uid:4242", "uid:4243"] {
        let records = access_records(&server, user).await;
        let is_refusal = |record: &&serde_json::Value| {
            record["payload"]["operator"] == user && record["payload"]["outcome"] == "refused"
        };
        let record = records.iter().find(is_refusal).expect("a refusal is on record");
        assert_eq!(record["payload"]["from"], "unix", "{record}");
    }
}

fn open_folder(path: &Path) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o711)).expect("a folder of one's own");
}

async fn as_user(server: &Server, program: &Path, user: &str, arguments: &[&str]) -> Finished {
    let mut command = Command::new("setpriv");
    command.args(["--reuid", user, "--regid", user, "--clear-groups"]).arg(program);
    command
        .args(["admin", "--socket"])
        .arg(server.state().join("admin.sock"))
        .args(arguments)
        .current_dir("/");
    run(&mut command, "Install util-linux, which has setpriv").await
}
