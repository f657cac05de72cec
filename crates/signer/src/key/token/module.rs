//! The library that speaks to tokens: loaded once for each path, as its state belongs to the whole process.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, Weak};
use std::time::{Duration, Instant};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error as ModuleError, RvError};
use cryptoki::slot::{Slot, TokenInfo};

use super::access::Access;
use crate::{Error, Passphrase, Token};

/// A module is initialised anew at most this often, for a token that is away.
const RENEWAL_PERIOD: Duration = Duration::from_secs(5);
/// As many slots as are looked at.
const SLOTS_MAX: usize = 256;

/// The modules of this process, by path. They stay loaded: C_Initialize and C_Finalize act on the whole process.
static MODULES: Mutex<BTreeMap<PathBuf, Arc<Module>>> = Mutex::new(BTreeMap::new());

/// By what a token is known again when it comes back.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Identity {
    pub(super) label: String,
    pub(super) serial: String,
    manufacturer: String,
    model: String,
}

impl Identity {
    fn of(info: &TokenInfo) -> Self {
        Self {
            label: info.label().to_owned(),
            serial: info.serial_number().to_owned(),
            manufacturer: info.manufacturer_id().to_owned(),
            model: info.model().to_owned(),
        }
    }
}

impl std::fmt::Display for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the token '{}' (serial number {})", self.label, self.serial)
    }
}

/// A loaded and initialised module.
pub(super) struct Module {
    pub(super) pkcs11: Pkcs11,
    /// Held for reading during each call, for writing while the module is initialised anew: no call may be in it then.
    generation: RwLock<Generation>,
    /// What is in use now.
    accesses: Mutex<BTreeMap<Identity, Weak<Access>>>,
    path: PathBuf,
}

/// Sessions and handles of an earlier generation mean nothing, and may even be another's now.
pub(super) struct Generation {
    pub(super) number: u64,
    since: Instant,
}

impl Module {
    /// Loads and initialises a module, or gives the one that is.
    ///
    /// # Errors
    /// [`Error::Load`] names the path.
    pub(super) fn load(path: &Path) -> Result<Arc<Self>, Error> {
        let mut modules = MODULES.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(module) = modules.get(path) {
            return Ok(Arc::clone(module));
        }
        let failed = |cause: ModuleError| {
            let what = format!(
                "{}: the PKCS #11 module could not be loaded; install it, or correct module-path",
                path.display()
            );
            Error::Load(what, Some(Box::new(cause)))
        };
        let pkcs11 = Pkcs11::new(path).map_err(failed)?;
        initialize(&pkcs11).map_err(failed)?;
        let module = Arc::new(Self {
            pkcs11,
            generation: RwLock::new(Generation { number: 0, since: Instant::now() }),
            accesses: Mutex::default(),
            path: path.to_owned(),
        });
        modules.insert(path.to_owned(), Arc::clone(&module));
        Ok(module)
    }

    /// Comes before each call into the module, and is kept until after it.
    pub(super) fn enter(&self) -> RwLockReadGuard<'_, Generation> {
        self.generation.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Initialises the module anew, unless that was done since `seen` or just now: some see a token that came back only
    /// then. All sessions end with it.
    pub(super) fn renew(&self, seen: u64) {
        let mut generation = self.generation.write().unwrap_or_else(PoisonError::into_inner);
        if generation.number != seen || generation.since.elapsed() < RENEWAL_PERIOD {
            return;
        }
        let renewed = self.pkcs11.clone().finalize().and_then(|()| initialize(&self.pkcs11));
        if let Err(error) = renewed {
            tracing::warn!(
                module = %self.path.display(),
                error = &error as &dyn std::error::Error,
                "the PKCS #11 module could not be initialised anew"
            );
        }
        *generation = Generation { number: generation.number.wrapping_add(1), since: Instant::now() };
    }

    /// The one token that fits.
    ///
    /// # Errors
    /// [`Error::Load`] if there is none or more than one; it names those that are there.
    pub(super) fn identify(&self, wanted: &Token) -> Result<Identity, Error> {
        let _entered = self.enter();
        let all = self.tokens().map_err(|cause| {
            let what = format!("{}: the tokens could not be listed", self.path.display());
            Error::Load(what, Some(Box::new(cause)))
        })?;
        let fits = |(slot, identity): &&(Slot, Identity)| {
            let Identity { label, serial, manufacturer, model } = identity;
            let same =
                |wanted: &Option<String>, found| wanted.as_deref().is_none_or(|wanted| wanted == found);
            same(&wanted.label, label)
                && same(&wanted.serial, serial)
                && same(&wanted.manufacturer, manufacturer)
                && same(&wanted.model, model)
                && wanted.slot_id.is_none_or(|number| number == slot.id())
        };
        match all.iter().filter(fits).collect::<Vec<_>>().as_slice() {
            [(_, identity)] => Ok(identity.clone()),
            found => {
                let there: Vec<String> =
                    all.iter().map(|(slot, identity)| format!("{identity} in slot {}", slot.id())).collect();
                let there = if there.is_empty() { "none at all".to_owned() } else { there.join(", ") };
                let count = found.len();
                Err(Error::Load(
                    format!(
                        "{}: {count} tokens fit what the URI says, there must be one; there are: {there}. Give token and \
                         serial as they are there, and see that this user may use the token",
                        self.path.display()
                    ),
                    None,
                ))
            }
        }
    }

    /// The slot that a token is in now, if it is there. The caller has entered.
    pub(super) fn slot_of(&self, wanted: &Identity) -> Result<Option<Slot>, ModuleError> {
        let found = self.tokens()?.into_iter().find(|(_, identity)| identity == wanted);
        Ok(found.map(|(slot, _)| slot))
    }

    fn tokens(&self) -> Result<Vec<(Slot, Identity)>, ModuleError> {
        let slots = self.pkcs11.get_slots_with_token()?;
        let mut found = Vec::with_capacity(slots.len().min(SLOTS_MAX));
        for slot in slots.into_iter().take(SLOTS_MAX) {
            match self.pkcs11.get_token_info(slot) {
                Ok(info) if info.token_initialized() => found.push((slot, Identity::of(&info))),
                // Pulled out since, or broken: as if it were not there.
                Ok(_) | Err(_) => {}
            }
        }
        Ok(found)
    }

    /// The access to a token, shared by all its keys: a PIN that is wrong is tried once for all of them.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if its threads cannot be started.
    pub(super) fn access(
        self: &Arc<Self>,
        identity: &Identity,
        pin: Option<&Passphrase>,
    ) -> Result<Arc<Access>, Error> {
        let mut accesses = self.accesses.lock().unwrap_or_else(PoisonError::into_inner);
        let known = accesses.get(identity).and_then(Weak::upgrade);
        if let Some(known) = known.filter(|access| access.has_pin(pin) && !access.is_shut()) {
            return Ok(known);
        }
        let access = Arc::new(Access::start(Arc::clone(self), identity.clone(), pin.cloned())?);
        accesses.insert(identity.clone(), Arc::downgrade(&access));
        Ok(access)
    }
}

fn initialize(pkcs11: &Pkcs11) -> Result<(), ModuleError> {
    match pkcs11.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
        Err(ModuleError::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => Ok(()),
        outcome => outcome,
    }
}
