//! Section `[metrics]`: who may read the figures.

use std::net::SocketAddr;

use super::reader::Reader;

/// Where the figures are served.
#[derive(Debug, Clone)]
pub struct Metrics {
    /// A listener of its own; `None`: with everything else.
    pub listen: Option<SocketAddr>,
}

impl Metrics {
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        Self { listen: reader.optional_address("metrics.listen") }
    }
}
