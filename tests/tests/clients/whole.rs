//! The table of all clients: printed, and compared with docs/clients.md.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use crate::matrix::{Column, Story, markdown};

const BEGIN: &str =
    "<!-- Between these lines stands what tests/tests/clients has shown; it is written by that test. -->\n";
const END: &str = "<!-- To here. -->\n";

/// All stories, in the order of the table.
const STORIES: [&Story; 10] = [
    &crate::certbot::STORY,
    &crate::lego::STORY,
    &crate::lego_four::STORY,
    &crate::dehydrated::STORY,
    &crate::uacme::STORY,
    &crate::caddy::STORY,
    &crate::apache::STORY,
    &crate::acme_client::STORY,
    &crate::instant_acme::STORY,
    &crate::acme_library::STORY,
];

fn page() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/clients.md")
}

/// Named so that it is the last to be started: most stories are told then, and the rest it tells itself.
#[test]
fn whole() {
    let told: Vec<Option<&Column>> = STORIES.iter().map(|story| story.column()).collect();
    let columns: Vec<&Column> = told.iter().flatten().copied().collect();
    let table = markdown(&columns);
    let versions: Vec<String> =
        columns.iter().map(|column| format!("{} {}", column.client, column.version)).collect();
    // Past the capture of output: the table is for those who read the log of a run in which all went well.
    writeln!(std::io::stdout(), "\nClients: {}\n\n{table}", versions.join(", ")).expect("standard output");
    assert_eq!(columns.len(), STORIES.len(), "a story failed");

    let path = page();
    let written = std::fs::read_to_string(&path).expect("docs/clients.md");
    let (before, rest) = written.split_once(BEGIN).expect("the first mark of the table");
    let (between, after) = rest.split_once(END).expect("the second mark of the table");
    // A client may be newer here than on the page.
    let (_, known) = between.trim_start().split_once("\n\n").expect("the line of versions, and an empty one");
    if std::env::var("INGAM_TRANSCRIPTS").is_ok_and(|word| word == "write") {
        let between = format!("\nSeen with {}.\n\n{table}\n", versions.join(", "));
        std::fs::write(&path, format!("{before}{BEGIN}{between}{END}{after}")).expect("a writable folder");
    } else {
        assert_eq!(
            known.trim(),
            table.trim(),
            "docs/clients.md says otherwise; INGAM_TRANSCRIPTS=write writes the table anew, for you to look at"
        );
    }
}
