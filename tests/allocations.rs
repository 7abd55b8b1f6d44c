//! How often a hit asks for memory. It must not be more often because a body is long or much is stored, and whoever adds
//! an allocation to the road of every request is to know it.
//!
//! A binary of its own, because it counts with an allocator of its own.

use http::{HeaderValue, Method, StatusCode, header};

#[path = "../benches/hit/node.rs"]
mod node;
use node::{Asked, ETAG, Node, request};

#[test]
fn a_hit_asks_for_memory_a_handful_of_times() {
    let node = Node::new();
    node.store("/plain", KIBIBYTE);
    node.store_codable("/codable", KIBIBYTE);
    // The first one orders what the others get.
    node.answer(request("/codable"));
    node.compress();
    let (status, coded) = node.answer(request("/codable"));
    assert!(status == StatusCode::OK && coded < KIBIBYTE, "{status}, {coded} bytes");
    let head = |request: &mut Asked| *request.method_mut() = Method::HEAD;
    let counts = [
        ("plain", count(&node, "/plain", |_| {}, (StatusCode::OK, KIBIBYTE)), 6),
        ("conditional", count(&node, "/plain", if_none_match, (StatusCode::NOT_MODIFIED, 0)), 5),
        ("head", count(&node, "/plain", head, (StatusCode::OK, 0)), 7),
        ("range", count(&node, "/plain", range, (StatusCode::PARTIAL_CONTENT, 100)), 10),
        ("coded", count(&node, "/codable", |_| {}, (StatusCode::OK, coded)), 6),
    ];
    assert!(counts.iter().all(|(_, count, most)| count <= most), "(case, allocations, at most): {counts:?}");
}

#[test]
fn a_hit_on_a_long_body_asks_no_more_often() {
    let node = Node::new();
    node.store("/short", KIBIBYTE);
    node.store("/long", 1024 * KIBIBYTE);
    let (short, long) = (least(&node, "/short", |_| {}), least(&node, "/long", |_| {}));
    assert!(long <= short, "{long}, and {short} for a short one");
}

#[test]
fn a_hit_among_many_responses_asks_no_more_often() {
    let node = Node::new();
    node.store("/object", KIBIBYTE);
    let among_one = least(&node, "/object", |_| {});
    (0..10_000).for_each(|number| node.store(&format!("/{number}"), KIBIBYTE));
    assert_eq!(least(&node, "/object", |_| {}), among_one);
}

/// How often a request, changed by `change`, asks for memory, which is answered with this status and as many bytes.
#[track_caller]
fn count(node: &Node, path: &str, change: impl Fn(&mut Asked), expected: (StatusCode, usize)) -> u64 {
    let mut changed = request(path);
    change(&mut changed);
    assert_eq!(node.answer(changed), expected);
    least(node, path, change)
}

/// How often a hit asks for memory by itself: now and then one keeps something of its request, or tidies the store.
fn least(node: &Node, path: &str, change: impl Fn(&mut Asked)) -> u64 {
    let hits = (0..HITS).map(|_| {
        let mut request = request(path);
        change(&mut request);
        let hit = || {
            node.answer(request);
        };
        allocation_counter::measure(hit).count_total
    });
    hits.min().unwrap_or_default()
}

fn if_none_match(request: &mut Asked) {
    request.headers_mut().insert(header::IF_NONE_MATCH, HeaderValue::from_static(ETAG));
}

fn range(request: &mut Asked) {
    request.headers_mut().insert(header::RANGE, HeaderValue::from_static("bytes=100-199"));
}

/// More than a site keeps of the requests of a minute.
const HITS: usize = 1000;

const KIBIBYTE: usize = 1024;
