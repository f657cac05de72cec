//! Transparency logs that promise what they are asked for, unless they are down. Nobody's keys: signatures are looked at
//! by those who talk to real logs.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use ingam_protocol::Clock as _;
use ingam_protocol::time::FixedClock;
use ingam_protocol::transparency::policy::needed;
use ingam_protocol::transparency::{LogId, Sct, SctList};
use ingam_transparency::{Error, Submission, Transparency};

pub(crate) struct TestLogs {
    clock: Arc<FixedClock>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    is_down: bool,
    asked: usize,
    published: usize,
}

impl TestLogs {
    pub(crate) fn new(clock: Arc<FixedClock>) -> Self {
        Self { clock, state: Mutex::default() }
    }

    pub(crate) fn set_down(&self, is_down: bool) {
        self.state.lock().unwrap().is_down = is_down;
    }

    /// How often SCTs were asked for, and how many certificates were shown.
    pub(crate) fn seen(&self) -> (usize, usize) {
        let state = self.state.lock().unwrap();
        (state.asked, state.published)
    }
}

#[async_trait]
impl Transparency for TestLogs {
    async fn scts(&self, precertificate: &Submission) -> Result<SctList, Error> {
        assert!(precertificate.is_precertificate());
        let mut state = self.state.lock().unwrap();
        state.asked += 1;
        let needed = needed(precertificate.validity());
        if state.is_down {
            return Err(Error::TooFew { needed, given: 0, operators: 0, failed: Vec::new() });
        }
        // Other promises each time, as real logs give.
        let log = |number: u8| Sct {
            log: LogId([number; 32]),
            timestamp: self.clock.now(),
            extensions: Vec::new(),
            algorithm: [4, 3],
            signature: vec![state.asked.to_le_bytes()[0]; 70],
        };
        Ok(SctList::new((0..needed.scts).map(|number| log(number.to_le_bytes()[0])).collect()).unwrap())
    }

    fn publish(&self, certificate: Submission) {
        assert!(!certificate.is_precertificate());
        self.state.lock().unwrap().published += 1;
    }
}
