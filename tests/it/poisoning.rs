//! What one client sends, or gets for itself, changes nothing for the others.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::lab::{Answer, Lab};

const SECOND: Duration = Duration::from_secs(1);
const STRICT: &str = "[site.stale]\nwhile_revalidate = \"0s\"";

#[tokio::test(start_paused = true)]
async fn what_an_origin_makes_of_the_conditions_of_one_client_is_for_that_one() {
    let lab = Lab::start(&["a"], "").await;
    let mut client = lab.client().await;
    for (path, field) in [("/match", "if-match"), ("/since", "if-unmodified-since")] {
        lab.origin("a").answers(path, Answer::ok("made of the condition").max_age(60));
        client.get_with(path, &[(field, "\"<script>\"")]).await.says(200, "made of the condition");
        lab.origin("a").answers(path, Answer::ok("body").max_age(60));
        client.get(path).await.says(200, "body");
    }
}

#[tokio::test(start_paused = true)]
async fn what_an_origin_makes_of_a_range_or_condition_of_one_client_is_for_that_one() {
    let lab = Lab::start(&["a"], "").await;
    let mut client = lab.client().await;
    for (path, field, text) in [("/range", "range", "bytes=666-"), ("/none", "if-none-match", "\"<script>\"")] {
        lab.origin("a").answers(path, Answer::ok("mine").with("cache-control", "private"));
        client.get(path).await.says(200, "mine");
        lab.origin("a").answers(path, Answer::new(404, "blocked by a firewall"));
        client.get_with(path, &[(field, text)]).await.says(404, "blocked by a firewall");
        assert!(lab.origin("a").requests(path)[1].contains(text));
        lab.origin("a").answers(path, Answer::ok("body").max_age(60));
        client.get(path).await.says(200, "body");
    }
}

#[tokio::test(start_paused = true)]
async fn an_if_match_can_poison_nobody_by_404() {
    let lab = Lab::start(&["a"], "").await;
    let mut client = lab.client().await;
    client.get_with("/x", &[("if-match", "\"../../etc/passwd\"")]).await.says(404, "not here");
    lab.origin("a").answers("/x", Answer::ok("body").max_age(60));
    client.get("/x").await.says(200, "body");
}

#[tokio::test(start_paused = true)]
async fn a_304_made_of_the_fields_of_one_client_is_for_that_one() {
    let lab = Lab::start(&["a"], STRICT).await;
    let mut client = lab.client().await;
    for (path, field, text) in [("/match", "if-match", "\"<script>\""), ("/accept", "accept", "text/<script>")] {
        lab.origin("a").answers(path, Answer::ok("body").max_age(10).etag("v1"));
        client.get(path).await.says(200, "body");
        lab.time_passes(20 * SECOND).await;
        lab.origin("a").answers(path, Answer::ok("body").max_age(60).etag("v1").with("x-reflected", "<script>"));
        client.get_with(path, &[(field, text)]).await;
        lab.origin("a").answers(path, Answer::ok("body").max_age(60).etag("v1"));
        assert_eq!(client.get(path).await.says(200, "body").field("x-reflected"), "");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_not_acceptable_to_one_client_is_so_to_nobody_else() {
    let lab = Lab::start(&["a"], STRICT).await;
    let mut client = lab.client().await;
    lab.origin("a").answers("/x", Answer::new(406, "not acceptable").max_age(60));
    client.get_with("/x", &[("accept", "application/x-none")]).await.says(406, "not acceptable");
    lab.origin("a").answers("/x", Answer::ok("body").max_age(60));
    client.get("/x").await.says(200, "body");
}

#[tokio::test(start_paused = true)]
async fn a_failure_made_of_the_fields_of_one_client_keeps_nobody_else_stale() {
    let settings = format!("[site.request]\nauthorization = \"cache\"\n{STRICT}");
    let lab = Lab::start(&["a"], &settings).await;
    let mut client = lab.client().await;
    for (path, field) in [("/a", ("accept", "text/<script>")), ("/b", ("authorization", "Basic !!!"))] {
        lab.origin("a").answers(path, Answer::ok("old").with("cache-control", "public, max-age=10"));
        client.get(path).await.says(200, "old");
        lab.time_passes(20 * SECOND).await;
        lab.origin("a").answers(path, Answer::new(500, "cannot parse"));
        client.get_with(path, &[field]).await.says(200, "old");
        lab.origin("a").answers(path, Answer::ok("new").max_age(60));
        client.get(path).await.says(200, "new");
    }
}

#[tokio::test(start_paused = true)]
async fn a_head_of_one_client_removes_nothing() {
    let lab = Lab::start(&["a"], "[site.request]\ndirectives = \"all\"").await;
    let mut client = lab.client().await;
    lab.origin("a").answers("/x", Answer::ok("body").max_age(60));
    client.get("/x").await.says(200, "body");
    client.send("HEAD", "/x", &[("cache-control", "no-cache"), ("if-match", "\"a\"")], "").await;
    client.get("/x").await.says(200, "body").cache_status("hit; ttl=59");
}

#[tokio::test(start_paused = true)]
async fn the_validation_of_an_authorized_client_takes_no_cookie_from_the_others() {
    let lab = Lab::start(&["a"], &format!("[site.request]\nauthorization = \"cache\"\n{STRICT}")).await;
    let mut client = lab.client().await;
    let answer = Answer::ok("body").with("cache-control", "public, max-age=10").etag("v1");
    lab.origin("a").answers("/x", answer.clone().with("set-cookie", "ab=1"));
    client.get("/x").await.says(200, "body");
    lab.time_passes(20 * SECOND).await;
    lab.origin("a").answers("/x", answer);
    client.get_with("/x", &[("authorization", "Basic Ym9iOng=")]).await.says(200, "body");
    assert_eq!(client.get("/x").await.field("set-cookie"), "ab=1");
}

#[tokio::test(start_paused = true)]
async fn the_default_port_is_no_input_outside_the_key() {
    let lab = Lab::start(&["a"], "").await;
    lab.origin("a").answers("/x", Answer::ok("body").max_age(60));
    let mut raw = lab.connection();
    raw.write_all(b"GET /x HTTP/1.1\r\nhost: www.test:443\r\n\r\n").await.unwrap();
    raw.read_u8().await.unwrap();
    let head = lab.origin("a").requests("/x").pop().unwrap_or_default();
    assert!(!head.contains(":443") && !head.is_empty(), "{head}");
}

#[tokio::test(start_paused = true)]
async fn what_a_client_says_of_its_way_is_no_input_outside_the_key() {
    let lab = Lab::start(&["a"], "").await;
    let mut client = lab.client().await;
    for (path, field) in [("/via", "via"), ("/cdn-loop", "cdn-loop"), ("/accept", "accept")] {
        lab.origin("a").answers(path, Answer::new(404, "blocked by a firewall"));
        client.get_with(path, &[(field, "1.1 <script>")]).await.says(404, "blocked by a firewall");
        lab.origin("a").answers(path, Answer::ok("body").max_age(60));
        client.get(path).await.says(200, "body");
    }
}

#[tokio::test(start_paused = true)]
async fn directives_nobody_knows_do_not_reach_the_origin_of_a_stored_response() {
    let lab = Lab::start(&["a"], "[site.request]\ndirectives = \"all\"").await;
    lab.origin("a").answers("/x", Answer::ok("body").max_age(10));
    let mut client = lab.client().await;
    let fields = [("cache-control", "<script>"), ("pragma", "akamai-x-get-cache-key")];
    client.get_with("/x", &fields).await.says(200, "body");
    let sent = lab.origin("a").requests("/x").pop().unwrap();
    assert!(!sent.contains("<script>") && !sent.contains("akamai"), "{sent}");
}

#[tokio::test(start_paused = true)]
async fn what_one_authorized_client_gets_does_not_displace_what_all_share() {
    let settings = format!("[site.request]\nauthorization = \"cache\"\n{STRICT}");
    let lab = Lab::start(&["a"], &settings).await;
    lab.origin("a").answers("/x", Answer::ok("public").with("cache-control", "public, max-age=10"));
    let mut client = lab.client().await;
    client.get("/x").await.says(200, "public");
    lab.time_passes(20 * SECOND).await;
    lab.origin("a").answers("/x", Answer::ok("mine").with("cache-control", "private"));
    client.get_with("/x", &[("authorization", "Basic eDp5")]).await.says(200, "mine");
    lab.origin("a").dies();
    lab.mode_becomes("stale-only").await;
    client.get("/x").await.says(200, "public");
}

#[tokio::test(start_paused = true)]
async fn a_cookie_for_an_authorized_client_is_for_nobody_else() {
    let lab = Lab::start(&["a"], "[site.request]\nauthorization = \"cache\"").await;
    let answer = Answer::ok("body").with("cache-control", "public, max-age=60").with("set-cookie", "session=bob");
    lab.origin("a").answers("/x", answer);
    let mut client = lab.client().await;
    let bob = client.get_with("/x", &[("authorization", "Basic Ym9iOng=")]).await;
    assert_eq!(bob.says(200, "body").field("set-cookie"), "session=bob");
    let other = client.get("/x").await;
    assert_eq!(other.says(200, "body").field("set-cookie"), "");
}
