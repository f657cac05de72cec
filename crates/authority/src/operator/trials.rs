//! Trials of validations by operators.

use ingam_protocol::Id;
use ingam_protocol::acme::ValidationTrial;

use super::{Act, ActError};
use crate::Authority;
use crate::trial::Trial;

impl Authority {
    /// Would this name validate now for this account? On record before it is looked; no limit is spent.
    ///
    /// # Errors
    /// [`ActError::NotFound`] for an account that is not there; [`ActError::Invalid`] for what no order could be for;
    /// [`ActError::Fault`].
    pub async fn validation_try_for(
        &self,
        act: &Act,
        account: Id,
        wish: ValidationTrial,
    ) -> Result<Trial, ActError> {
        let account = self.account_there(account)?;
        let wanted = self.try_wished(&account, wish)?;
        let records = vec![self.try_record(&wanted, None)?, self.act_done(act)?];
        Ok(self.try_now(wanted, Vec::new(), records).await?)
    }
}
