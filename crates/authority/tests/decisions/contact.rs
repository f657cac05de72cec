//! Proves that contacts lie nowhere in the clear, in no file and in no encoding that a request brought them in, and
//! that their holder gets them back.

use ingam_authority::AccountFound;
use ingam_journal::files::Files;
use ingam_protocol::acme::{AccountUpdate, ErrorType, NewAccount};
use ingam_protocol::bytes::{base64url, hex};
use ingam_protocol::record::{RecordType, Seal};

use crate::world::{Key, Process, World, caller, caller_with, refusal};

/// An address that nothing else in these files looks like, of a length that shifts it through base64.
const FIRST: &str = "mailto:quetzalcoatlus.northropi@cretaceous-contact.example";
const SECOND: &str = "mailto:arambourgiania@late-maastrichtian.example";

/// How text looks inside base64url, wherever in a group of three bytes it begins; the outermost letters, which also
/// hold bits of the neighbours, are cut off.
fn in_base64url(text: &str) -> [String; 3] {
    [0_usize, 1, 2].map(|shift| {
        let padded = [vec![0; shift], text.as_bytes().to_vec()].concat();
        let encoded = base64url(&padded);
        encoded[4 * usize::from(shift > 0)..encoded.len() / 4 * 4 - 4].to_owned()
    })
}

fn traces(text: &str) -> Vec<String> {
    let address = text.trim_start_matches("mailto:");
    let local = address.split('@').next().unwrap();
    let mut traces = vec![local.to_owned(), hex(local.as_bytes()), local.to_uppercase()];
    let once = in_base64url(local);
    // Once more, as a JWS has it whose payload lies inside something else that is encoded.
    traces.extend(once.iter().flat_map(|encoded| in_base64url(encoded)));
    traces.extend(once);
    traces
}

fn assert_nowhere(world: &World) {
    for disk in [&world.tables, &world.journal, &world.keys] {
        for name in disk.list().unwrap() {
            let bytes = disk.contents(&name).unwrap();
            // Traces are ASCII, so what is lost here is none of them.
            let text = String::from_utf8_lossy(&bytes);
            for trace in [FIRST, SECOND].into_iter().flat_map(traces) {
                assert!(!text.contains(&trace), "the file {name} holds {trace}");
            }
        }
    }
}

fn shown(process: &Process, id: ingam_protocol::Id) -> Vec<String> {
    let account = process.authority.account(id).unwrap().unwrap();
    let contacts = process.authority.account_contacts(&account).unwrap();
    contacts.iter().map(|contact| contact.expose().to_owned()).collect()
}

fn payload(contacts: &[&str]) -> String {
    base64url(serde_json::json!({ "contact": contacts }).to_string().as_bytes())
}

fn new_account(process: &Process, key: &Key, contacts: &[&str]) -> AccountFound {
    let request = NewAccount {
        contact: Some(contacts.iter().map(|contact| (*contact).to_owned()).collect()),
        terms_of_service_agreed: true,
        only_return_existing: false,
        external_account_binding: None,
    };
    let who = caller_with(&payload(contacts));
    process.run(process.authority.account_create(key.public(), request, &who)).unwrap()
}

fn update(contacts: &[&str], status: Option<&str>) -> AccountUpdate {
    AccountUpdate {
        contact: Some(contacts.iter().map(|contact| (*contact).to_owned()).collect()),
        status: status.map(str::to_owned),
        terms_of_service_agreed: None,
    }
}

/// The search itself finds what is there: without this, the others would prove nothing.
#[test]
fn a_trace_would_be_found() {
    for shift in ["", "x", "xx"] {
        let plain = format!("{shift}{FIRST}");
        let (once, twice) = (base64url(plain.as_bytes()), base64url(base64url(plain.as_bytes()).as_bytes()));
        for held in [plain, once, twice] {
            let found = traces(FIRST).iter().any(|trace| held.contains(trace));
            assert!(found, "{held}");
        }
    }
}

#[test]
fn contacts_come_back_to_the_holder_and_lie_nowhere_in_the_clear() {
    let world = World::new();
    let process = world.start();
    let key = Key::new();
    let id = new_account(&process, &key, &[FIRST]).account().id;
    assert_eq!(shown(&process, id), [FIRST]);
    assert_nowhere(&world);

    // Found again by its key: the contacts that such a request brings along are not looked at.
    assert!(matches!(new_account(&process, &key, &[SECOND]), AccountFound::Existing(_)));
    assert_eq!(shown(&process, id), [FIRST]);

    let account = process.authority.account(id).unwrap().unwrap();
    let who = caller_with(&payload(&[SECOND, FIRST]));
    process.run(process.authority.account_update(&account, update(&[SECOND, FIRST], None), &who)).unwrap();
    assert_eq!(shown(&process, id), [SECOND, FIRST]);
    process.certificate(&account, &Key::new(), "a.example.org");
    assert_nowhere(&world);

    // Into the journal, and out of it again.
    process.stop();
    assert_nowhere(&world);
    let process = world.start();
    assert_eq!(shown(&process, id), [SECOND, FIRST]);
    for kind in [RecordType::AccountCreated, RecordType::AccountUpdated] {
        let [record] = &process.records_of(kind)[..] else { panic!("one record of {kind:?}") };
        let seals: Vec<_> = record.parts.iter().map(|part| part.seal).collect();
        assert_eq!(seals, [Seal::Open, Seal::Subject], "what was asked is kept, but sealed");
        assert_eq!(record.subject, Some(id));
    }
    world.crash(process);
    let process = world.start();
    assert_eq!(shown(&process, id), [SECOND, FIRST], "the power cut took no key with it");
    process.stop();
}

#[test]
fn contacts_end_with_their_account_or_when_they_are_taken_back() {
    let world = World::new();
    let process = world.start();
    let account = new_account(&process, &Key::new(), &[FIRST]).account().clone();
    process.run(process.authority.account_update(&account, update(&[], None), &caller())).unwrap();
    assert!(shown(&process, account.id).is_empty());

    let who = caller_with(&payload(&[SECOND]));
    process.run(process.authority.account_update(&account, update(&[SECOND], None), &who)).unwrap();
    assert_eq!(shown(&process, account.id), [SECOND]);
    let end = update(&[FIRST], Some("deactivated"));
    let who = caller_with(&payload(&[FIRST]));
    process.run(process.authority.account_update(&account, end, &who)).unwrap();
    assert!(shown(&process, account.id).is_empty());
    process.stop();
    assert_nowhere(&world);
}

#[test]
fn a_contact_that_is_refused_is_kept_nowhere() {
    let world = World::new();
    let process = world.start();
    let too_many = vec![FIRST; 5];
    let cases: [(&[&str], ErrorType); 3] = [
        (&[FIRST, "tel:+12025551212"], ErrorType::UnsupportedContact),
        (&["mailto:quetzalcoatlus.northropi@"], ErrorType::InvalidContact),
        (&too_many, ErrorType::Malformed),
    ];
    for (contacts, error) in cases {
        let refused = refusal(process.try_account(&Key::new(), contacts));
        assert_eq!(refused.error, error);
        assert!(!refused.detail.contains("quetzalcoatlus"), "{}", refused.detail);
    }
    process.stop();
    assert_nowhere(&world);
}

/// What a record's open part says about the request does not lead to the address either: its digest is salted.
#[test]
fn the_digest_of_a_payload_differs_between_equal_payloads() {
    let world = World::new();
    let process = world.start();
    for _ in 0..2 {
        new_account(&process, &Key::new(), &[FIRST]);
    }
    let digests: Vec<serde_json::Value> = process
        .records_of(RecordType::AccountCreated)
        .iter()
        .map(|record| serde_json::from_slice::<serde_json::Value>(&record.parts[0].bytes).unwrap())
        .map(|told| told["request"]["payload_digest"].clone())
        .collect();
    assert!(digests.iter().all(serde_json::Value::is_string));
    assert_ne!(digests[0], digests[1]);
    process.stop();
}
