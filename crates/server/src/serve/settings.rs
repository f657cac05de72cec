//! From the configuration to what each part is told.

use super::StartError;
use crate::config::Config;
use crate::listener::ConnectionLimits;
use ingam_authority::{Policy, RateLimits, RenewalPolicy};
use ingam_privacy::PrivacyPage;
use std::sync::Arc;
use std::time::Duration;

/// What the authority goes by.
pub(crate) fn policy(config: &Config) -> Result<Policy, StartError> {
    let issuance = &config.issuance;
    Ok(Policy {
        catalog: config.catalog()?,
        account_url_prefix: ingam_frontend::account_url_prefix(&config.urls.public_url),
        terms_of_service: config.urls.terms_of_service.clone(),
        terms_since: config.urls.terms_since(),
        external_account_required: issuance.external_account_required,
        account_hash_prefix: ingam_frontend::account_hash_prefix(&config.urls.public_url),
        restrictions: config.restrictions()?,
        public_rules: config.dated_rules(),
        finalize_wait: Duration::from_millis(issuance.finalize_wait_ms),
        lease: Duration::from_secs(issuance.lease_s.max(1)),
        checks_max: issuance.checks_max,
        checks_waiting_max: issuance.checks_waiting_max,
        contacts_max: issuance.contacts_max,
        renewal: RenewalPolicy {
            at_percent: issuance.renewal_at_percent,
            check_after: Duration::from_secs(issuance.renewal_check_s),
            explanation_url: config.urls.renewal_explanation.clone(),
        },
        public_suffixes: config.public_suffixes()?,
        rate_limits: rate_limits(config)?,
        crl_shards: config.responder.shard_counts(),
        weak_keys: Arc::new(config.weak_keys()?),
        linters: config.linters()?,
    })
}

fn rate_limits(config: &Config) -> Result<RateLimits, StartError> {
    let checked = config.rate_limits.by_name().map(|(name, rate)| {
        let limit = rate.limit();
        limit.map(|limit| (name, limit)).map_err(|bad| StartError(format!("rate_limits.{name}: {bad}")))
    });
    Ok(RateLimits {
        limits: checked.collect::<Result<_, _>>()?,
        pauses: config.rate_limits.pause_rule(),
        help: config.urls.rate_limits.clone(),
        unpause_url: ingam_frontend::unpause_url(&config.urls.public_url),
    })
}

/// How the front end presents itself.
pub(crate) fn frontend_config(config: &Config, privacy: &Arc<PrivacyPage>) -> ingam_frontend::Config {
    ingam_frontend::Config {
        public_url: config.urls.public_url.trim_end_matches('/').to_owned(),
        website: config.urls.website.clone(),
        caa_identities: config.validation.caa_issuer_domains.clone(),
        body_bytes_max: config.limits.body_bytes_max,
        body_timeout: Duration::from_secs(config.limits.body_timeout_s),
        certificates_by_get: config.issuance.certificates_by_get,
        hsts_max_age_s: config.tls.hsts_max_age_s,
        privacy: Some(privacy.clone()),
    }
}

/// What a connection may take up.
pub(crate) fn connection_limits(config: &Config) -> ConnectionLimits {
    ConnectionLimits {
        idle: Duration::from_secs(config.limits.idle_timeout_s),
        header: Duration::from_secs(config.limits.header_timeout_s),
        grace: Duration::from_millis(config.limits.stop_timeout_ms),
    }
}
