//! Successful answers that are not simply 200 with a body.

use poem::{IntoResponse, Response, http::StatusCode};
use poem_openapi::{
    ApiResponse,
    payload::{Json, Payload as _},
    registry::{MetaMediaType, MetaResponse, MetaResponses, Registry},
    types::{ToJSON, Type},
};

/// Something new was made: 201 with what it is.
pub(crate) struct Created<T>(pub(crate) T);

impl<T: ToJSON> IntoResponse for Created<T> {
    fn into_response(self) -> Response {
        Json(self.0).with_status(StatusCode::CREATED).into_response()
    }
}

impl<T: Type> ApiResponse for Created<T> {
    fn meta() -> MetaResponses {
        let content = MetaMediaType {
            content_type: Json::<T>::CONTENT_TYPE,
            schema: Json::<T>::schema_ref(),
        };
        one(StatusCode::CREATED, "Created.", vec![content])
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
    }
}

/// Asked for; its effect comes later: 202 without a body.
pub(crate) struct Accepted;

impl IntoResponse for Accepted {
    fn into_response(self) -> Response {
        StatusCode::ACCEPTED.into_response()
    }
}

impl ApiResponse for Accepted {
    fn meta() -> MetaResponses {
        one(StatusCode::ACCEPTED, "Asked for; its effect comes later.", Vec::new())
    }

    fn register(_: &mut Registry) {}
}

/// Done, and nothing is left to say: 204.
pub(crate) struct NoContent;

impl IntoResponse for NoContent {
    fn into_response(self) -> Response {
        StatusCode::NO_CONTENT.into_response()
    }
}

impl ApiResponse for NoContent {
    fn meta() -> MetaResponses {
        one(StatusCode::NO_CONTENT, "Done.", Vec::new())
    }

    fn register(_: &mut Registry) {}
}

fn one(
    status: StatusCode,
    description: &'static str,
    content: Vec<MetaMediaType>,
) -> MetaResponses {
    let status = Some(status.as_u16());
    let response =
        MetaResponse { description, status, status_range: None, content, headers: Vec::new() };
    MetaResponses { responses: vec![response] }
}
