#![doc = include_str!("../README.md")]

mod account_push;
mod authorizer_push;
mod component_push;
mod erasures;
mod error;
mod late_replies;
mod message_push;
mod processor;
mod publish_checks;
mod quarantine;
mod recipient;
mod rehearsal;
mod release_check;
mod reply;

pub use account_push::AccountPushes;
pub use authorizer_push::AuthorizerPushes;
pub use component_push::ComponentPushes;
pub use erasures::Erasures;
pub use error::{Error, Refusal};
pub use late_replies::LateReplyWorker;
pub use message_push::MessagePushes;
pub use processor::Processor;
pub use publish_checks::PublishChecks;
pub use quarantine::{KeptPush, Quarantine, QuarantinedText};
pub use rehearsal::{RehearsalStep, Rehearsals, Verdict};
pub use release_check::ReleaseCheck;
pub use reply::{Asked, Taken};
