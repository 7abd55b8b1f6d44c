//! What a site expects of responses: a 200 with an error page is a failure like any other.

use std::time::Duration;

use crate::lab::{Answer, Lab};

const SECOND: Duration = Duration::from_secs(1);

const SCRIPTS: &str = r#"
[[site.expect]]
extensions = ["js"]
types = ["text/javascript"]
statuses = ["2xx", 404]
min = 10
"#;

fn script() -> Answer {
    Answer::ok("the script").max_age(60).with("content-type", "text/javascript; charset=utf-8")
}

fn page() -> Answer {
    Answer::ok("an error page").max_age(60).with("content-type", "text/html")
}

#[tokio::test(start_paused = true)]
async fn a_page_in_place_of_a_script_goes_on_to_the_next_origin_and_is_not_stored() {
    let lab = Lab::start(&["a", "b"], SCRIPTS).await;
    lab.origin("a").answers("/x.js", page());
    lab.origin("b").answers("/x.js", script());
    lab.origin("a").answers("/x.html", page());
    let mut client = lab.client().await;
    client.get("/x.js").await.says(200, "the script").cache_status("fwd=uri-miss; fwd-status=200; stored");
    client.get("/x.js").await.says(200, "the script").cache_status("hit; ttl=60");
    client.get("/x.html").await.says(200, "an error page").cache_status("fwd=uri-miss; fwd-status=200; stored");
    assert!(
        lab.metrics().contains("holdover_origin_attempts_total{site=\"www\",origin=\"a\",outcome=\"unexpected\"} 1"),
        "{}",
        lab.metrics()
    );
}

#[tokio::test(start_paused = true)]
async fn a_stale_script_is_better_than_a_page() {
    let lab = Lab::start(&["a"], &format!("{SCRIPTS}[site.stale]\nwhile_revalidate = \"0s\"")).await;
    lab.origin("a").answers("/x.js", script());
    let mut client = lab.client().await;
    client.get("/x.js").await.says(200, "the script");
    lab.origin("a").answers("/x.js", page());
    lab.time_passes(70 * SECOND).await;
    client
        .get("/x.js")
        .await
        .says(200, "the script")
        .cache_status("fwd=stale; fwd-status=200; ttl=-10; detail=stale-if-error");
    client.get("/x.js").await.says(200, "the script").cache_status("hit; ttl=-10; detail=revived");
}

#[tokio::test(start_paused = true)]
async fn what_every_origin_says_reaches_the_client_as_it_came_and_nobody_else_later() {
    let lab = Lab::start(&["a", "b"], SCRIPTS).await;
    for origin in ["a", "b"] {
        lab.origin(origin).answers("/x.js", page());
    }
    let mut client = lab.client().await;
    for asked in 1..3 {
        let reply = client.get("/x.js").await;
        reply.says(200, "an error page").cache_status("fwd=uri-miss; fwd-status=200");
        assert_eq!(reply.field("content-type"), "text/html");
        assert_eq!((lab.origin("a").requests("/x.js").len(), lab.origin("b").requests("/x.js").len()), (asked, asked));
        lab.time_passes(2 * SECOND).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_too_short_goes_on_to_the_next_origin_whether_its_head_says_so_or_not() {
    let lab = Lab::start(&["a", "b"], SCRIPTS).await;
    let short = || Answer::ok("short").max_age(60).with("content-type", "text/javascript");
    lab.origin("b").answers("/x.js", script());
    lab.origin("b").answers("/empty.js", script().chunked());
    lab.origin("b").answers("/y.js", script().chunked());
    lab.origin("a").answers("/x.js", short());
    lab.origin("a").answers("/empty.js", Answer::ok("").with("content-type", "text/javascript").chunked());
    lab.origin("a").answers("/y.js", short().chunked());
    let mut client = lab.client().await;
    for path in ["/x.js", "/y.js", "/empty.js"] {
        client.get(path).await.says(200, "the script");
        client.get(path).await.says(200, "the script").cache_status("hit; ttl=60");
    }
    lab.origin("b").answers("/z.js", short().chunked());
    lab.origin("a").answers("/z.js", short().chunked());
    client.get("/z.js").await.says(200, "short").cache_status("fwd=uri-miss; fwd-status=200");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_stalls_before_it_is_long_enough_fails_over_before_the_head() {
    let lab = Lab::start(&["a", "b"], SCRIPTS).await;
    let stalling = Answer::ok("the script").with("content-type", "text/javascript").chunked().stalling_at(5);
    lab.origin("a").answers("/x.js", stalling);
    lab.origin("b").answers("/x.js", script());
    let mut client = lab.client().await;
    client.get("/x.js").await.says(200, "the script").within(6 * SECOND);
    for origin in ["a", "b"] {
        lab.origin(origin).answers("/y.js", script().chunked().breaking_at(5));
    }
    assert_eq!(client.get("/y.js").await.status.as_u16(), 502);
    assert_eq!((lab.origin("a").requests("/y.js").len(), lab.origin("b").requests("/y.js").len()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn an_unexpected_status_is_a_failure_and_an_expected_error_an_answer() {
    let lab = Lab::start(&["a", "b"], SCRIPTS).await;
    lab.origin("a").answers("/x.js", Answer::new(403, "forbidden by mistake").max_age(60));
    lab.origin("b").answers("/x.js", script());
    let mut client = lab.client().await;
    client.get("/x.js").await.says(200, "the script");
    client.get("/missing.js").await.says(404, "not here");
    assert!(lab.origin("b").requests("/missing.js").is_empty());
}

#[tokio::test(start_paused = true)]
async fn expectations_are_of_head_and_of_requests_past_the_cache_too() {
    let lab = Lab::start(&["a", "b"], SCRIPTS).await;
    for (path, private) in [("/x.js", false), ("/y.js", true)] {
        let with = |answer: Answer| if private { answer.with("cache-control", "private") } else { answer };
        lab.origin("a").answers(path, with(page()));
        lab.origin("b").answers(path, with(script()));
    }
    let mut client = lab.client().await;
    lab.origin("a").answers("/form.js", page());
    client.send("POST", "/form.js", &[], "x").await.says(200, "an error page");
    let credentials = [("authorization", "Basic eA==")];
    client.get_with("/x.js", &credentials).await.says(200, "the script").cache_status("fwd=bypass; fwd-status=200");
    for path in ["/x.js", "/y.js"] {
        let reply = client.send("HEAD", path, &credentials, "").await;
        assert_eq!(reply.field("content-type"), "text/javascript; charset=utf-8");
    }
}

#[tokio::test(start_paused = true)]
async fn a_validation_needs_no_type() {
    let lab = Lab::start(&["a"], &format!("{SCRIPTS}[site.stale]\nwhile_revalidate = \"0s\"")).await;
    lab.origin("a").answers("/x.js", script().etag("1"));
    let mut client = lab.client().await;
    client.get("/x.js").await.says(200, "the script");
    lab.time_passes(70 * SECOND).await;
    client.get("/x.js").await.says(200, "the script").cache_status("fwd=stale; fwd-status=304; ttl=60; stored");
}

#[tokio::test(start_paused = true)]
async fn an_answer_to_what_a_client_demands_is_no_failure() {
    let lab = Lab::start(&["a", "b"], &format!("{SCRIPTS}[site.probe]\nenabled = false")).await;
    let mut client = lab.client().await;
    for (number, status, field) in [(0, 412, ("if-match", "\"1\"")), (1, 416, ("range", "bytes=1000-"))] {
        for turn in 0..5 {
            let path = format!("/{number}{turn}.js");
            for origin in ["a", "b"] {
                lab.origin(origin).answers(&path, Answer::new(status, "as you wish"));
            }
            let fields = [("authorization", "Basic eA=="), field];
            assert_eq!(client.get_with(&path, &fields).await.status.as_u16(), status);
            assert!(lab.origin("b").requests(&path).is_empty(), "{path}");
        }
    }
    assert_eq!(lab.preferred().await.as_deref(), Some("a"));
}

#[tokio::test(start_paused = true)]
async fn an_origin_that_answers_pages_where_another_has_scripts_is_left() {
    let lab = Lab::start(&["a", "b"], SCRIPTS).await;
    let mut client = lab.client().await;
    for number in 0..10 {
        let path = format!("/{number}.js");
        lab.origin("a").answers(&path, page());
        lab.origin("b").answers(&path, script());
        client.get(&path).await.says(200, "the script");
        lab.time_passes(SECOND / 100).await;
    }
    assert_eq!(lab.preferred().await.as_deref(), Some("b"));
    assert!(lab.origin("a").requests("/9.js").is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_part_of_a_large_page_in_place_of_a_script_is_cut_from_it() {
    let lab = Lab::start(&["a"], SCRIPTS).await;
    let page: String = (0..1 << 20).map(|number| format!("{number:06}")).collect();
    lab.origin("a").answers("/x.js", Answer::ok(page.clone()).with("content-type", "text/html"));
    let reply = lab.client().await.get_with("/x.js", &[("range", "bytes=6000000-6000009")]).await;
    reply.says(206, &page[6_000_000..6_000_010]);
}
