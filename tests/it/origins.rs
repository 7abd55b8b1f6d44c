//! Names, addresses and probes.

use std::time::Duration;

use holdover::origin::answers::Lookup;

use crate::lab::{Answer, Lab};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn a_name_that_no_longer_resolves_keeps_its_last_good_addresses() {
    let mut lab = Lab::start(&["a"], "").await;
    lab.origin("a").answers("/x", Answer::ok("a").with("cache-control", "no-store"));
    for lookup in [Lookup::Failed("SERVFAIL".into()), Lookup::Empty, Lookup::NoSuchName] {
        lab.origin("a").resolves_to(Some(lookup));
        lab.time_passes(300 * SECOND).await;
        lab.client().await.get("/x").await.says(200, "a");
    }
    assert!(lab.news().contains(&"resolve-failed"));
}

#[tokio::test(start_paused = true)]
async fn a_name_that_never_resolved_is_an_unhealthy_origin_and_nothing_worse() {
    let lab = Lab::start(&["a", "b"], "").await;
    let gone =
        Lab::start(&["a", "b"], "[[site.origin]]\nname = \"lost\"\nurl = \"http://nowhere.invalid\"\nrank = 1\n").await;
    for lab in [lab, gone] {
        lab.origin("a").answers("/x", Answer::ok("a").with("cache-control", "no-store"));
        lab.client().await.get("/x").await.says(200, "a").within(SECOND / 10);
    }
}

#[tokio::test(start_paused = true)]
async fn an_origin_whose_probe_lacks_the_expected_text_is_left() {
    let lab = Lab::start(&["a", "b"], "[site.probe]\nbody = \"home\"").await;
    for name in ["a", "b"] {
        lab.origin(name).answers("/x", Answer::ok(name).with("cache-control", "no-store"));
    }
    lab.client().await.get("/x").await.says(200, "a");
    lab.origin("a").answers("/", Answer::ok("<h1>Default page</h1>"));
    lab.time_passes(10 * SECOND).await;
    lab.client().await.get("/x").await.says(200, "b");
}

#[tokio::test(start_paused = true)]
async fn an_origin_that_fails_requests_is_left_though_its_probes_pass() {
    let lab = Lab::start(&["a", "b"], "").await;
    lab.origin("a").answers("/x", Answer::new(500, "broken"));
    lab.origin("b").answers("/x", Answer::ok("b").with("cache-control", "no-store"));
    let mut client = lab.client().await;
    for _ in 0..20 {
        client.get("/x").await.says(200, "b");
    }
    let wasted = lab.origin("a").requests("/x").len();
    assert!(wasted <= 5, "{wasted} requests were wasted on the bad origin");
}
