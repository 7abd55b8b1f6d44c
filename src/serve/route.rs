//! Host to site, and no request to a site that its connection was not made for.

use std::sync::Arc;

use super::client::ClientConnection;
use super::site::{Site, SiteTable};
use super::synthetic::Refusal;
use crate::semantics::target::Target;

/// The site that answers for the target's host.
///
/// # Errors
/// [`Refusal::Misdirected`] for a host that no site claims, for a scheme that the connection does not have, and for a host of another site than the TLS handshake was
/// made for (RFC 9110 §15.5.20): browsers join connections over certificates, and must be told to open another one.
pub fn route(
    sites: &SiteTable,
    scheme: Option<&str>,
    target: &Target,
    client: &ClientConnection,
) -> Result<Arc<Site>, Refusal> {
    if scheme.is_some_and(|scheme| scheme != client.scheme()) {
        return Err(Refusal::Misdirected);
    }
    let site = sites.find(target.host()).ok_or(Refusal::Misdirected)?;
    let sni = client.tls.as_ref().and_then(|tls| tls.sni.as_deref());
    match sni {
        Some(name) if *name != *target.host() && !sites.find(name).is_some_and(|named| Arc::ptr_eq(named, site)) => {
            Err(Refusal::Misdirected)
        }
        Some(_) | None => Ok(Arc::clone(site)),
    }
}
