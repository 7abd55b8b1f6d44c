//! What a request gets: its response at once, or later.

use std::pin::Pin;

use http::Response;

/// The response to a request. Most need no waiting, and then nothing of the request is left once it was handed in.
pub enum Responding<B> {
    /// It is there.
    Now(Response<B>),
    /// It has to be waited for; dropped when the client goes away.
    Later(Pin<Box<dyn Future<Output = Response<B>> + Send>>),
}

impl<B> Responding<B> {
    /// The response that `future` brings.
    pub fn later(future: impl Future<Output = Response<B>> + Send + 'static) -> Self {
        Self::Later(Box::pin(future))
    }
}
