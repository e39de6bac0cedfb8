//! WeChat is busy: nothing was done, so the same call may be made again at once.

use std::time::Duration;

use lingpai_wechat::{client::ClientError, errcode::Errcode};

use crate::{Error, Hold, Result};

/// How long to wait before a busy WeChat is asked again, each time longer.
const PAUSES: [Duration; 2] = [Duration::from_millis(300), Duration::from_secs(1)];

/// Makes a call, and again when WeChat says that it is busy: twice, with growing pauses. A lease
/// under which that is done is held on to.
///
/// Source: WeChat docs, "Return codes" (返回码): -1 is "system busy, try again later".
///
/// # Errors
/// What the last call failed with; [`Error::Storage`] when the lease was lost.
pub async fn patiently<T, F>(hold: Option<&Hold<'_>>, call: impl Fn() -> F) -> Result<T>
where
    F: Future<Output = Result<T, ClientError>>,
{
    let mut pauses = PAUSES.into_iter();
    loop {
        if let Some(hold) = hold {
            hold.on().await?;
        }
        match (call().await, pauses.next()) {
            (Err(error), Some(pause)) if error.errcode() == Some(Errcode::SYSTEM_BUSY) => {
                tokio::time::sleep(pause).await;
            }
            (outcome, _) => return outcome.map_err(Error::from),
        }
    }
}
