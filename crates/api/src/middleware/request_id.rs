use lingpai_model::clock::Entropy;
use poem::{
    Request,
    http::{HeaderValue, header::HeaderName},
};

/// The header that names the request in every answer.
pub const REQUEST_ID_HEADER: HeaderName = HeaderName::from_static("lingpai-request-id");

/// Names one request in answers and in the log. We draw it; nobody brings one along.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RequestId(String);

impl RequestId {
    pub(crate) fn draw(entropy: &Entropy) -> Self {
        Self(format!("{:032x}", u128::from_be_bytes(entropy.bytes())))
    }

    /// The id that the outermost layer gave to this request.
    pub(crate) fn of(request: &Request) -> Self {
        let id = request.extensions().get::<Self>();
        id.cloned().expect("the outermost layer names every request")
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn into_text(self) -> String {
        self.0
    }

    pub(crate) fn header(&self) -> HeaderValue {
        HeaderValue::from_str(&self.0).expect("hexadecimal digits make a header")
    }
}
