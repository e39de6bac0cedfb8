//! WeChat is busy: nothing was done, so the same call may be made again at once.

use std::time::Duration;

use lingpai_wechat::{client::ClientError, errcode::Errcode};

/// How long to wait before a busy WeChat is asked again, each time longer.
const PAUSES: [Duration; 2] = [Duration::from_millis(300), Duration::from_secs(1)];

/// Makes a call, and again when WeChat says that it is busy: twice, with growing pauses.
///
/// Source: WeChat docs, "Return codes" (返回码): -1 is "system busy, try again later".
///
/// # Errors
/// What the last call failed with.
pub async fn patiently<T, F>(call: impl Fn() -> F) -> Result<T, ClientError>
where
    F: Future<Output = Result<T, ClientError>>,
{
    for pause in PAUSES {
        match call().await {
            Err(error) if error.errcode() == Some(Errcode::SYSTEM_BUSY) => {
                tokio::time::sleep(pause).await;
            }
            outcome => return outcome,
        }
    }
    call().await
}
