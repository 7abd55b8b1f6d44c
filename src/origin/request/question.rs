//! What origins are asked, as often as need be.

use http::{HeaderMap, Method, Request, Uri, header};

use super::connect::RequestBody;
use super::ranking::hash;
use super::splice::Incomplete;
use crate::origin::pool::Origin;

/// A request without its body, which can be sent once only.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) method: Method,
    /// In origin form, canonical.
    pub(super) target: Uri,
    /// What the client called the site, for origins that want to hear it.
    pub(super) authority: Box<str>,
    /// All fields; `Host` is empty.
    pub(super) headers: HeaderMap,
    /// What it asks the rest of.
    pub(super) continues: Option<Incomplete>,
    /// Whether it came with a body.
    pub(super) has_body: bool,
}

impl Question {
    /// The request itself.
    pub(super) fn request(&self, body: RequestBody, origin: &Origin) -> Request<RequestBody> {
        let mut request = Request::new(body);
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.target.clone();
        *request.headers_mut() = self.headers.clone();
        request.headers_mut().insert(header::HOST, origin.host_field(&self.authority));
        request
    }

    /// Whether it may be sent more than once. A body that was sent is gone, whatever the method.
    pub(super) fn is_repeatable(&self) -> bool {
        self.method.is_safe() && !self.has_body
    }

    /// The target as text.
    pub(super) fn path_and_query(&self) -> &str {
        self.target.path_and_query().map_or("/", |target| target.as_str())
    }

    /// The same number for the same target.
    pub(super) fn hash(&self) -> u64 {
        hash(self.path_and_query())
    }
}
