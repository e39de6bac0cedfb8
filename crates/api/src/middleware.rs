//! What happens around every request, whichever route it takes.

mod bounded;
mod headers;
mod measure;
mod observe;
mod pooled;
mod request_id;

pub(crate) use bounded::Bounded;
pub(crate) use observe::{Cause, Observed};
pub(crate) use pooled::{Pool, Pooled};
pub(crate) use request_id::RequestId;

pub use measure::{REQUEST_SECONDS, REQUESTS_TOTAL};
pub use request_id::REQUEST_ID_HEADER;
