//! What both APIs tell, in one place, so that a thing has one form and one name wherever it is told.

pub(crate) mod audit;
pub(crate) mod authorizer;
pub(crate) mod file;
pub(crate) mod quota;
pub(crate) mod scope;
