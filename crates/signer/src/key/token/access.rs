//! The way to one token: a few threads, each with a session, that take work from one bounded queue. Whoever waits for a
//! signature waits for a reply, never for the token: a call that hangs holds up a thread of these alone.
//!
//! A session that is lost (the token was pulled out, the module says that a handle is unknown) is opened and logged in
//! again for the next piece of work, and the one that showed it is tried once more.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use cryptoki::error::{Error as ModuleError, RvError};
use cryptoki::object::{Attribute, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, SessionState, UserType};
use cryptoki::slot::{Limit, Slot, TokenInfo};
use cryptoki::types::AuthPin;

use super::module::{Identity, Module};
use crate::{Error, Passphrase};

/// Sessions, and threads, for one token.
const SESSIONS_MAX: u64 = 4;
/// Work that may wait for one token. More is refused at once.
const QUEUE_MAX: usize = 256;
/// For so long after a token was seen to be away, nobody looks again.
const AWAY_PERIOD: Duration = Duration::from_millis(250);

/// Why work on a token came to nothing.
#[derive(Debug)]
pub(super) enum Failure {
    /// The session or the token is gone: another session may do.
    Lost(String),
    /// Trying again changes nothing.
    Final(String),
}

impl From<ModuleError> for Failure {
    /// What a token answers when it, its session, its login or a handle is gone is [`Failure::Lost`], and so is every error
    /// that says no more than that something went wrong.
    fn from(error: ModuleError) -> Self {
        use RvError as Rv;
        let is_lost = matches!(
            error,
            ModuleError::Pkcs11(
                Rv::DeviceRemoved
                    | Rv::DeviceError
                    | Rv::GeneralError
                    | Rv::FunctionFailed
                    | Rv::TokenNotPresent
                    | Rv::TokenNotRecognized
                    | Rv::SlotIdInvalid
                    | Rv::SessionHandleInvalid
                    | Rv::SessionClosed
                    | Rv::SessionCount
                    | Rv::UserNotLoggedIn
                    | Rv::KeyHandleInvalid
                    | Rv::ObjectHandleInvalid
                    | Rv::OperationActive
                    | Rv::OperationNotInitialized
                    | Rv::CryptokiNotInitialized
                    | Rv::VendorDefined(_),
                _
            )
        );
        let what = match error {
            ModuleError::Pkcs11(value, function) => format!("{function:?} gave {value:?}"),
            other => other.to_string(),
        };
        if is_lost { Self::Lost(what) } else { Self::Final(what) }
    }
}

/// By what a key is found on its token.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ObjectName {
    pub(super) label: Option<String>,
    pub(super) id: Option<Vec<u8>>,
}

impl ObjectName {
    /// The attributes that objects of this name and class have.
    pub(super) fn template(&self, class: ObjectClass) -> Vec<Attribute> {
        let mut template = vec![Attribute::Class(class), Attribute::Token(true)];
        template.extend(self.label.as_ref().map(|label| Attribute::Label(label.clone().into_bytes())));
        template.extend(self.id.as_ref().map(|id| Attribute::Id(id.clone())));
        template
    }
}

type Work = Box<dyn FnOnce(&mut Worker) + Send>;

/// The access to one token.
pub(super) struct Access {
    queue: SyncSender<Work>,
    shared: Arc<Shared>,
}

/// What the threads of one token have in common.
struct Shared {
    module: Arc<Module>,
    identity: Identity,
    pin: Option<Passphrase>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Why the PIN was refused. It is not tried again: a few wrong tries lock a token for good.
    pin_refused: Option<String>,
    /// Since when the token is away, and when that was seen last.
    away: Option<Instant>,
}

impl Access {
    /// Starts the threads. The token itself is asked for nothing but its limit of sessions.
    pub(super) fn start(
        module: Arc<Module>,
        identity: Identity,
        pin: Option<Passphrase>,
    ) -> Result<Self, Error> {
        let sessions = {
            let _entered = module.enter();
            let slot = module.slot_of(&identity).ok().flatten();
            let info = slot.and_then(|slot| module.pkcs11.get_token_info(slot).ok());
            match info.map(|info| info.max_session_count()) {
                Some(Limit::Max(count)) => count.clamp(1, SESSIONS_MAX),
                _ => SESSIONS_MAX,
            }
        };
        let (queue, work) = sync_channel::<Work>(QUEUE_MAX);
        let work = Arc::new(Mutex::new(work));
        let shared = Arc::new(Shared { module, identity, pin, state: Mutex::default() });
        for number in 1..=sessions {
            let (shared, work) = (Arc::clone(&shared), Arc::clone(&work));
            thread::Builder::new()
                .name(format!("token-{number}"))
                .spawn(move || Worker { shared, seat: None }.run(&work))
                .map_err(|error| Error::Unavailable(format!("no thread for a token: {error}")))?;
        }
        Ok(Self { queue, shared })
    }

    pub(super) fn has_pin(&self, pin: Option<&Passphrase>) -> bool {
        self.shared.pin.as_ref() == pin
    }

    /// Whether the PIN was refused, and so nothing works until the key is loaded again.
    pub(super) fn is_shut(&self) -> bool {
        self.shared.state().pin_refused.is_some()
    }

    /// Queues work, whose outcome goes to `reply`: at once if the queue is full, else from one of the threads. Work that is
    /// not begun before `deadline` is left undone. `is_repeatable`: whether it may be done twice.
    pub(super) fn submit<T>(
        &self,
        deadline: Instant,
        is_repeatable: bool,
        work: impl Fn(&mut Seat) -> Result<T, Failure> + Send + 'static,
        reply: impl FnOnce(Result<T, Error>) + Send + 'static,
    ) -> Result<(), Error> {
        let identity = self.shared.identity.clone();
        let sent = self.queue.try_send(Box::new(move |worker: &mut Worker| {
            if Instant::now() > deadline {
                return reply(Err(Error::Unavailable(format!("{identity} had no time for it"))));
            }
            let outcome = worker.attempt(is_repeatable, &work);
            reply(outcome.map_err(|what| Error::Unavailable(format!("{identity}: {what}"))));
        }));
        sent.map_err(|error| {
            let what = match error {
                TrySendError::Full(_) => "has too much to do",
                TrySendError::Disconnected(_) => "is not served any more",
            };
            Error::Unavailable(format!("{} {what}", self.shared.identity))
        })
    }
}

/// A session of the current generation, logged in.
pub(super) struct Seat {
    generation: u64,
    pub(super) slot: Slot,
    pub(super) session: Session,
    /// Private keys that were found in this session.
    handles: BTreeMap<ObjectName, ObjectHandle>,
}

impl Seat {
    /// The one private key of this name.
    pub(super) fn private_key(&mut self, name: &ObjectName) -> Result<ObjectHandle, Failure> {
        if let Some(handle) = self.handles.get(name) {
            return Ok(*handle);
        }
        let handle = self.only(name, ObjectClass::PRIVATE_KEY)?;
        self.handles.insert(name.clone(), handle);
        Ok(handle)
    }

    /// The one object of this name and class.
    pub(super) fn only(&self, name: &ObjectName, class: ObjectClass) -> Result<ObjectHandle, Failure> {
        match self.session.find_objects(&name.template(class))?.as_slice() {
            [handle] => Ok(*handle),
            // A token that just came back may not show what is on it yet.
            [] => Err(Failure::Lost(format!(
                "has no {class} that fits the URI; look with `p11tool --login --list-all`, and correct object or id"
            ))),
            many => Err(Failure::Final(format!(
                "has {} objects ({class}) that fit the URI, there must be one; give its id as well",
                many.len()
            ))),
        }
    }
}

/// One of the threads.
struct Worker {
    shared: Arc<Shared>,
    seat: Option<Seat>,
}

impl Worker {
    /// Works until nobody can send work any more.
    fn run(mut self, work: &Mutex<Receiver<Work>>) {
        loop {
            // A statement of its own, so that the queue is free again while the work is done.
            let next = work.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok(next) = next else { break };
            next(&mut self);
        }
        if let Some(seat) = self.seat.take() {
            self.shared.close(seat);
        }
    }

    /// Does a piece of work in a session; with a new one if the session turns out to be lost and it may be done twice.
    fn attempt<T>(
        &mut self,
        is_repeatable: bool,
        work: &impl Fn(&mut Seat) -> Result<T, Failure>,
    ) -> Result<T, String> {
        let had_session = self.seat.is_some();
        match self.try_once(work) {
            Err(Failure::Lost(_)) if had_session && is_repeatable => self.try_once(work),
            outcome => outcome,
        }
        .map_err(|(Failure::Lost(what) | Failure::Final(what))| what)
    }

    fn try_once<T>(&mut self, work: &impl Fn(&mut Seat) -> Result<T, Failure>) -> Result<T, Failure> {
        let shared = Arc::clone(&self.shared);
        let entered = shared.module.enter();
        // Closed by the module itself, when it was initialised anew.
        let seat = self.seat.take().filter(|seat| seat.generation == entered.number);
        let opened = match seat {
            Some(seat) => Ok(seat),
            None => shared.open(entered.number),
        };
        let outcome = opened.and_then(|mut seat| match work(&mut seat) {
            Err(Failure::Lost(what)) => {
                shared.close(seat);
                Err(Failure::Lost(what))
            }
            outcome => {
                self.seat = Some(seat);
                outcome
            }
        });
        let seen = entered.number;
        drop(entered);
        match &outcome {
            Err(Failure::Lost(what)) => shared.is_away(what, seen),
            _ if self.seat.is_some() => shared.is_back(),
            _ => {}
        }
        outcome
    }
}

impl Shared {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens a session and logs it in.
    fn open(&self, generation: u64) -> Result<Seat, Failure> {
        let is_away = self.state().away.is_some_and(|seen| seen.elapsed() < AWAY_PERIOD);
        if is_away {
            return Err(Failure::Final("is away".to_owned()));
        }
        let slot = self.module.slot_of(&self.identity)?;
        let slot = slot.ok_or_else(|| Failure::Lost("is away; put it back".to_owned()))?;
        // Closed by hand: dropped after the module was initialised anew, it could close another's session.
        let session = self.module.pkcs11.open_ro_session_no_drop(slot)?;
        match self.log_in(&session, slot) {
            Ok(()) => Ok(Seat { generation, slot, session, handles: BTreeMap::new() }),
            Err(failure) => {
                let _ = session.close();
                Err(failure)
            }
        }
    }

    /// The caller has entered, and the session is of this generation or will be refused as unknown.
    fn close(&self, seat: Seat) {
        // A token that is gone has closed it itself.
        let _ = seat.session.close();
    }

    /// Logs in once for all sessions (PKCS #11, section 5.6.8). One thread at a time, so that a wrong PIN is tried once.
    fn log_in(&self, session: &Session, slot: Slot) -> Result<(), Failure> {
        let mut state = self.state();
        if let Some(why) = &state.pin_refused {
            return Err(Failure::Final(format!(
                "refused the PIN ({why}), which is not tried again; correct it and start anew"
            )));
        }
        let info = self.module.pkcs11.get_token_info(slot)?;
        // Asked first: that another key's PIN has opened the token just now is no reason to start, as it may not next time.
        let Some(pin) = &self.pin else {
            return if info.login_required() {
                Err(Failure::Final("wants a PIN, and none is given: by pin-source in the URI, `pin_file` or `pin_fd` in [hierarchy], or the credential token-pin".to_owned()))
            } else {
                Ok(())
            };
        };
        if matches!(session.get_session_info()?.session_state(), SessionState::RoUser | SessionState::RwUser)
        {
            return Ok(());
        }
        if let Some(why) = unsafe_to_try(&info) {
            return Err(Failure::Final(why.to_owned()));
        }
        let pin = pin.text().ok_or_else(|| Failure::Final("wants a PIN in UTF-8".to_owned()))?;
        match session.login(UserType::User, Some(&AuthPin::from(pin))) {
            Ok(()) | Err(ModuleError::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => Ok(()),
            Err(ModuleError::Pkcs11(
                value @ (RvError::PinIncorrect
                | RvError::PinInvalid
                | RvError::PinLenRange
                | RvError::PinExpired
                | RvError::PinLocked
                | RvError::UserPinNotInitialized),
                _,
            )) => {
                state.pin_refused = Some(format!("{value:?}"));
                Err(Failure::Final(format!(
                    "refuses the PIN ({value:?}), which is not tried again; correct it and start anew"
                )))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Notes that the token is away, says so once, and has the module look anew.
    fn is_away(&self, what: &str, generation: u64) {
        let was_there = self.state().away.replace(Instant::now()).is_none();
        if was_there {
            tracing::warn!(token = %self.identity, what, "a token is away: what needs its keys waits");
        }
        self.module.renew(generation);
    }

    fn is_back(&self) {
        if self.state().away.take().is_some() {
            tracing::info!(token = %self.identity, "a token is back");
        }
    }
}

/// Why no PIN should be tried now.
fn unsafe_to_try(info: &TokenInfo) -> Option<&'static str> {
    if info.user_pin_locked() {
        return Some("has its PIN locked by wrong tries; unlock it with the SO PIN");
    }
    info.user_pin_final_try().then_some(
        "has one try of its PIN left, which is not used up from here; log in once by hand, as with `p11tool --login --list-all`",
    )
}
