//! ACME over HTTP (RFC 8555): routes, nonces, authentication of requests, problem documents. No business rules.
//!
//! ```text
//! request ─▶ around (id, span, headers, metrics) ─▶ route ─▶ signed (cheap checks, nonce, signature) ─▶ authority
//!                                                      └─▶ resource (JSON of what came back) or problem
//! ```
//!
//! What is cheap to refuse is refused before a signature is checked: method, media type, size, form, URL, nonce.

mod account;
mod around;
mod certificate;
mod directory;
mod guard;
mod limits;
pub mod nonce;
mod order;
mod privacy;
pub mod problem;
mod renewal;
mod resource;
mod signed;
mod statement;
mod trial;
mod urls;

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use axum::Router;
use axum::routing::{MethodRouter, any, get, post};
use ingam_authority::Authority;
use ingam_privacy::PrivacyPage;
use ingam_protocol::time::Random;

pub use around::{ClientAddress, InTheClear};

use guard::Guard;
use nonce::Nonces;
use urls::Urls;

/// At most this many issuer domain names are in a challenge.
const ISSUER_DOMAINS_MAX: usize = 10;

/// How the front end presents itself.
#[derive(Clone, Debug)]
pub struct Config {
    /// How clients see this server: scheme, host and port, without a slash at the end.
    pub public_url: String,
    /// The directory's `website`.
    pub website: Option<String>,
    /// The directory's `caaIdentities`: names that CAA records permit this CA by.
    pub caa_identities: Vec<String>,
    /// At most this many bytes are a request's body.
    pub body_bytes_max: usize,
    /// How long a request's body may take.
    pub body_timeout: Duration,
    /// Whether anybody may GET a certificate, without signing for it (RFC 8555, section 7.4.2).
    pub certificates_by_get: bool,
    /// `max-age` of Strict-Transport-Security, in seconds; none by default.
    pub hsts_max_age_s: Option<u64>,
    /// The privacy page at `/privacy`; without it, nothing is there.
    pub privacy: Option<Arc<PrivacyPage>>,
}

/// The front end: everything that routes share.
pub struct Frontend {
    authority: Arc<Authority>,
    random: Arc<dyn Random>,

    config: RwLock<Arc<Config>>,
    urls: Urls,

    nonces: Nonces,
    guard: Guard,
}

/// The URL of accounts below `public_url`, without their id: what CAA's `accounturi` names.
pub fn account_url_prefix(public_url: &str) -> String {
    Urls::new(public_url).account_prefix()
}

/// Where accounts below `public_url` let themselves go that were paused.
pub fn unpause_url(public_url: &str) -> String {
    Urls::new(public_url).unpause()
}

/// What hashed URIs of accounts begin with, below `public_url`: `accountHashPrefix` of draft-ietf-acme-dns-persist, section 4.1.
pub fn account_hash_prefix(public_url: &str) -> String {
    Urls::new(public_url).account_hash_prefix()
}

impl Config {
    /// The names by which records of dns-persist-01 mean this CA, at most ten (draft-ietf-acme-dns-persist, section 3.1).
    pub(crate) fn issuer_domain_names(&self) -> Vec<String> {
        self.caa_identities.iter().take(ISSUER_DOMAINS_MAX).map(|name| name.to_ascii_lowercase()).collect()
    }
}

impl Frontend {
    /// A front end to `authority`, with a nonce key of its own: nonces of an earlier process mean nothing to it.
    pub fn new(authority: Arc<Authority>, random: Arc<dyn Random>, config: Config) -> Arc<Self> {
        let nonces = Nonces::new(random.as_ref());
        tracing::info!(node = %nonces.node(), "nonces of this process name this node");
        let urls = Urls::new(&config.public_url);
        let guard = Guard::new(authority.clock().clone());
        Arc::new(Self { authority, random, config: RwLock::new(Arc::new(config)), urls, nonces, guard })
    }

    /// Presents itself otherwise from the next request on; its `public_url` stays what it was at first.
    pub fn config_replace(&self, config: Config) {
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
    }

    fn config(&self) -> Arc<Config> {
        self.config.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The routes, as a service for connections. Each request should carry a [`ClientAddress`].
    pub fn router(self: Arc<Self>) -> Router {
        let only_post = |route: MethodRouter<Arc<Self>>| route.fallback(around::only_post);
        let only_get = |route: MethodRouter<Arc<Self>>| route.fallback(around::only_get);
        Router::new()
            .route("/dir", only_get(get(directory::directory)))
            .route("/new-nonce", only_get(get(directory::new_nonce)))
            .route("/new-account", only_post(post(account::new_account)))
            .route("/account/{id}", only_post(post(account::account)))
            .route("/account/{id}/orders", only_post(post(account::orders)))
            .route("/key-change", only_post(post(account::key_change)))
            .route("/new-authz", only_post(post(order::new_authorization)))
            .route("/new-order", only_post(post(order::new_order)))
            .route("/new-order-dry-run", only_post(post(limits::dry_run)))
            .route("/validation-dry-run", only_post(post(trial::validation)))
            .route("/unpause", only_post(post(limits::unpause)))
            .route("/privacy/report", only_post(post(privacy::report)))
            .route("/privacy/report/{section}", only_post(post(privacy::section)))
            .route("/privacy/erase", only_post(post(privacy::erase)))
            .route("/order/{id}", only_post(post(order::order)))
            .route("/order/{id}/finalize", only_post(post(order::finalize)))
            .route("/authorization/{id}", only_post(post(order::authorization)))
            .route("/challenge/{id}/{kind}", only_post(post(order::challenge)))
            .route(
                "/certificate/{issuer}/{serial}",
                post(certificate::certificate)
                    .get(certificate::certificate_for_anybody)
                    .fallback(certificate::other_method),
            )
            .route(
                "/certificate/{issuer}/{serial}/{chain}",
                post(certificate::alternate)
                    .get(certificate::alternate_for_anybody)
                    .fallback(certificate::other_method),
            )
            .route("/issuer/{name}", get(certificate::issuer).post(certificate::issuer))
            .route("/revoke-cert", only_post(post(certificate::revoke)))
            .route("/renewal-info/{certificate}", only_get(get(renewal::renewal)))
            .route("/privacy", any(statement::page))
            .route("/privacy.html", any(statement::page))
            .route("/privacy.en", any(statement::page))
            .route("/privacy.ko", any(statement::page))
            .route("/privacy.json", any(statement::page))
            .fallback(around::not_found)
            .layer(axum::middleware::from_fn_with_state(self.clone(), around::around))
            .with_state(self)
    }
}
