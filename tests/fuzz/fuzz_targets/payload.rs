//! `Object::parse` on any bytes, and each request's payload read from what it takes. What is read must be JSON that
//! serde_json reads as well, and nothing is refused in more words than fit into a detail.

#![no_main]

use ingam_protocol::acme::{
    AccountUpdate, Finalize, KeyChange, NewAccount, NewAuthorization, NewOrder, Revocation,
};
use ingam_protocol::json::{BadJson, Object};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|payload: &[u8]| {
    let Ok(object) = Object::parse(payload).map_err(bounded) else { return };
    serde_json::from_slice::<serde_json::Value>(payload).expect("what is read strictly is read loosely");
    let _ = object.clone().read::<NewAccount>().map_err(bounded);
    let _ = object.clone().read::<AccountUpdate>().map_err(bounded);
    let _ = object.clone().read::<NewAuthorization>().map_err(bounded);
    let _ = object.clone().read::<NewOrder>().map_err(bounded);
    let _ = object.clone().read::<Finalize>().map_err(bounded);
    let _ = object.clone().read::<Revocation>().map_err(bounded);
    let _ = object.read::<KeyChange>().map_err(bounded);
});

fn bounded(bad: BadJson) {
    assert!(bad.to_string().len() <= 400, "{bad}");
}
