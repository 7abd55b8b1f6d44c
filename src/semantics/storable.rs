//! Storable.
/// Stub.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct StorePolicy {
    /// a
    pub set_cookie: SetCookie,
}
/// Stub.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum SetCookie {
    /// a
    #[default]
    Explicit,
    /// b
    Letter,
    /// c
    Never,
}
