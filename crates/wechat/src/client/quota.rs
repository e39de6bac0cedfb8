//! Calls about quotas.

use super::{ACCESS_TOKEN, Client, ClientError, Outgoing};
use crate::{
    call::quota::{
        ApiQuotaRequest, CLEAR_QUOTA, ClearQuotaRequest, GET_API_QUOTA, QuotaCleared, QuotaFigures,
    },
    id::Appid,
    secret::Secret,
};

impl Client {
    /// Tells how far the quota of `cgi_path` is used up, for whom the token is: an account, or the
    /// component itself.
    ///
    /// # Errors
    /// [`ClientError`]; `Rejected` with 76021 for a path that WeChat does not know, with 76022 for
    /// one that takes another kind of token.
    pub async fn get_api_quota(
        &self,
        access_token: &Secret<String>,
        cgi_path: &str,
    ) -> Result<QuotaFigures, ClientError> {
        self.send(Outgoing {
            call: GET_API_QUOTA,
            token: Some((ACCESS_TOKEN, access_token)),
            secrets: &[],
            body: ApiQuotaRequest { cgi_path },
        })
        .await
    }

    /// Has all calls of the account `appid` counted anew, whose token this is.
    ///
    /// # Errors
    /// [`ClientError`]. After `Timeout`, `Unreachable` or `Garbled` it may have been done, and one
    /// of the month's few is used up.
    pub async fn clear_quota(
        &self,
        access_token: &Secret<String>,
        appid: &Appid,
    ) -> Result<(), ClientError> {
        let QuotaCleared = self
            .send(Outgoing {
                call: CLEAR_QUOTA,
                token: Some((ACCESS_TOKEN, access_token)),
                secrets: &[],
                body: ClearQuotaRequest { appid: appid.as_str() },
            })
            .await?;
        Ok(())
    }
}
