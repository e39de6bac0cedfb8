//! What happens around every request, whichever route it takes.

mod bounded;
mod headers;
mod idempotent;
mod measure;
mod observe;
mod peer;
mod pooled;
mod rate;
mod request_id;
mod tagged;

pub(crate) use bounded::{Bounded, whole_body};
pub(crate) use idempotent::{IDEMPOTENCY_KEY_HEADER, Idempotent, is_made_once};
pub(crate) use observe::{Cause, Observed, answer_of};
pub(crate) use peer::TrustedProxies;
pub(crate) use pooled::{Pool, Pooled};
pub(crate) use rate::{RateHeaders, whole_secs};
pub(crate) use request_id::RequestId;
pub(crate) use tagged::{Etag, Tagged};

pub use measure::{REQUEST_SECONDS, REQUESTS_TOTAL};
pub use request_id::REQUEST_ID_HEADER;
