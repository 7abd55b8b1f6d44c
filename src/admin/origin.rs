//! `POST /v1/origin`: an operator's order about one origin of a site.

use std::net::IpAddr;

use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::api::Admin;
use super::status;
use crate::origin::health::duty::Order;

/// Status and document for an order from `client` with this body. The order holds until the next one; with a state
/// directory over restarts, without one for the life of the process.
pub(super) async fn order(admin: &Admin, client: IpAddr, body: &[u8]) -> (StatusCode, Value) {
    let refused = |status, problem: String| (status, json!({ "ordered": false, "problems": [problem] }));
    let (written, order) = match read(body) {
        Ok(read) => read,
        Err(problem) => return refused(StatusCode::BAD_REQUEST, problem),
    };
    let Some(site) = admin.sites.iter().find(|site| *site.site == written.site) else {
        let known = listed(admin.sites.iter().map(|site| &*site.site));
        return refused(StatusCode::NOT_FOUND, format!("site {:?}: expected one of {known}", written.site));
    };
    let by = format!("{client}, on the admin listener");
    let Some(after) = site.order(&written.origin, order, by).await else {
        return refused(StatusCode::SERVICE_UNAVAILABLE, format!("site {:?} does not answer", written.site));
    };
    match after.origins.iter().find(|origin| *origin.name == written.origin) {
        Some(origin) => (StatusCode::OK, json!({ "ordered": true, "origin": status::origin(origin) })),
        None => {
            let known = listed(after.origins.iter().map(|origin| &*origin.name));
            refused(StatusCode::NOT_FOUND, format!("origin {:?}: expected one of {known}", written.origin))
        }
    }
}

/// The request as written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    site: String,
    origin: String,
    order: String,
}

fn read(body: &[u8]) -> Result<(Written, Order), String> {
    let written: Written = serde_json::from_slice(body)
        .map_err(|fault| format!("{fault}; expected an object of \"site\", \"origin\" and \"order\""))?;
    let order = Order::ALL.into_iter().find(|order| order.as_str() == written.order);
    let known = || listed(Order::ALL.into_iter().map(Order::as_str));
    let order = order.ok_or_else(|| format!("order {:?}: expected one of {}", written.order, known()))?;
    Ok((written, order))
}

fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(body: &str, expected: Result<Order, &str>) {
        let found = read(body.as_bytes()).map(|(_, order)| order);
        match expected {
            Ok(expected) => assert_eq!(found, Ok(expected), "{body}"),
            Err(part) => assert!(found.as_ref().is_err_and(|problem| problem.contains(part)), "{body}: {found:?}"),
        }
    }

    #[test]
    fn an_order_names_a_site_an_origin_and_what_to_do() {
        for order in Order::ALL {
            let body = json!({ "site": "www", "origin": "eu", "order": order.as_str() });
            check(&body.to_string(), Ok(order));
        }
        check(r#"{"site": "www", "origin": "eu", "order": "stop"}"#, Err("expected one of \"disable\", \"drain\""));
        check(r#"{"site": "www", "origin": "eu"}"#, Err("missing field `order`"));
        check(r#"{"site": "www", "origin": "eu", "order": "drain", "why": "x"}"#, Err("unknown field `why`"));
        check("", Err("expected an object"));
    }
}
