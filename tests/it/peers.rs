//! Real programs on both sides: nginx as origin; curl and a browser as clients.

use http::StatusCode;
use tokio::process::Command;

use crate::wires::{Authority, Client, Folder, LISTEN, Load, Nginx, Node, Sample, find, finishes, lacks, poll, skip};

#[tokio::test]
async fn compressed_and_plain_variants_are_kept_apart() {
    let Some(scene) = Scene::start(1, "").await else { return };
    let style = "a { color: red }\n".repeat(500);
    scene.origins[0].site.write("style.css", &style);
    for expected in ["fwd=uri-miss; fwd-status=200; stored", "hit; ttl="] {
        let reply = scene.client.get_with("/style.css", &[("accept-encoding", "gzip, br")]).await.unwrap();
        assert_eq!((reply.status, reply.field("content-encoding")), (200, "gzip"));
        assert_eq!(reply.field("vary"), "Accept-Encoding");
        assert!(reply.body.len() < style.len() / 4 && reply.body.starts_with(&[0x1f, 0x8b]));
        assert!(reply.field("cache-status").starts_with(&format!("holdover; {expected}")), "{reply:?}");
    }
    for expected in ["fwd=vary-miss; fwd-status=200; stored", "hit; ttl="] {
        let reply = scene.client.get("/style.css").await.unwrap();
        reply.says(200, &style);
        assert!(reply.field("cache-status").starts_with(&format!("holdover; {expected}")), "{reply:?}");
    }
    assert_eq!(scene.origins[0].requests("/style.css"), 2);
    scene.node.stops_whole().await;
}

#[tokio::test]
async fn an_unchanged_file_is_validated_and_a_changed_one_fetched() {
    let Some(scene) = Scene::start(1, "").await else { return };
    let site = &scene.origins[0].site;
    std::fs::create_dir(site.path().join("always")).unwrap();
    site.write("always/x.html", "first");
    let first = scene.client.get("/always/x.html").await.unwrap();
    first.says(200, "first");
    let again = scene.client.get("/always/x.html").await.unwrap();
    again.says(200, "first");
    assert_eq!(again.field("etag"), first.field("etag"));
    assert!(again.field("cache-status").starts_with("holdover; fwd=stale; fwd-status=304"), "{again:?}");
    let unchanged = scene.client.get_with("/always/x.html", &[("if-none-match", first.field("etag"))]).await.unwrap();
    unchanged.says(304, "");
    site.write("always/x.html", "second, and longer");
    let changed = scene.client.get_with("/always/x.html", &[("if-none-match", first.field("etag"))]).await.unwrap();
    changed.says(200, "second, and longer");
    scene.node.stops_whole().await;
}

#[tokio::test]
async fn ranges_are_cut_from_the_stored_file() {
    let Some(scene) = Scene::start(1, "").await else { return };
    let file: String = (0..100_000).map(|number| format!("{number:07}\n")).collect();
    scene.origins[0].site.write("file.bin", &file);
    scene.client.get("/file.bin").await.unwrap().says(200, &file);
    for (range, first, last) in [
        ("bytes=0-0", 0, 0),
        ("bytes=100-65999", 100, 65_999),
        ("bytes=799990-", 799_990, 799_999),
        ("bytes=-10", 799_990, 799_999),
    ] {
        let part = scene.client.get_with("/file.bin", &[("range", range)]).await.unwrap();
        part.says(206, &file[first..=last]);
        assert_eq!(part.field("content-range"), format!("bytes {first}-{last}/{}", file.len()));
    }
    let beyond = scene.client.get_with("/file.bin", &[("range", "bytes=800000-")]).await.unwrap();
    assert_eq!((beyond.status, beyond.field("content-range")), (416, "bytes */800000"));
    assert_eq!(scene.origins[0].requests("/file.bin"), 1);
    scene.node.stops_whole().await;
}

#[tokio::test]
async fn a_stopped_origin_fails_nobody_under_load() {
    let Some(scene) = Scene::start(2, "").await else { return };
    scene.fill(300, "page");
    let mut load = Load::start(scene.client.clone(), 300, |number| format!("/{number}.html"));
    load.reaches(75).await;
    scene.origins[0].signal("STOP").await;
    // Until the node sees it, requests in flight wait for the first byte and then go on to the second origin.
    let samples = load.finishes().await;
    all_served(&samples);
    scene.prefers(1).await;
    scene.origins[0].signal("CONT").await;
    scene.node.stops_whole().await;
}

#[tokio::test]
async fn a_killed_origin_fails_nobody_under_load() {
    let Some(mut scene) = Scene::start(2, "").await else { return };
    scene.fill(200, "page");
    let mut load = Load::start(scene.client.clone(), 200, |number| format!("/{number}.html"));
    load.reaches(75).await;
    scene.origins[0].dies().await;
    all_served(&load.finishes().await);
    scene.prefers(1).await;
    scene.origins[0].returns().await;
    scene.prefers(0).await;
    scene.client.get("/1.html?again").await.unwrap().says(200, "page 1");
    scene.node.stops_whole().await;
}

#[tokio::test]
async fn without_origins_what_is_stored_is_served_and_the_rest_refused_quickly() {
    let Some(mut scene) = Scene::start(2, "").await else { return };
    for origin in &scene.origins {
        std::fs::create_dir(origin.site.path().join("brief")).unwrap();
        origin.site.write("brief/x.html", "stored");
    }
    scene.client.get("/brief/x.html").await.unwrap().says(200, "stored");
    for origin in &mut scene.origins {
        origin.dies().await;
    }
    scene.node.mode_becomes("stale-only").await;
    // Fresh for one second only.
    poll("the stored response to be stale", async || {
        let reply = scene.client.get("/brief/x.html").await.unwrap();
        reply.says(200, "stored");
        reply.field("cache-status").contains("ttl=-").then_some(())
    })
    .await;
    let samples = Load::start(scene.client.clone(), 50, |number| match number % 2 {
        0 => "/brief/x.html".to_owned(),
        number => format!("/unknown-{number}.html"),
    });
    for sample in samples.finishes().await {
        let reply = sample.reply.unwrap();
        if sample.path == "/brief/x.html" {
            reply.says(200, "stored");
        } else {
            assert_eq!(StatusCode::from_u16(reply.status).unwrap(), StatusCode::SERVICE_UNAVAILABLE);
            assert!(reply.field("retry-after").parse::<u32>().is_ok(), "{:?}", reply.headers);
        }
        assert!(sample.time < SOON, "{} took {:?}", sample.path, sample.time);
    }
    for origin in &mut scene.origins {
        origin.returns().await;
        origin.site.write("new.html", "new");
    }
    poll("the origins to be used again", async || {
        let reply = scene.client.get("/new.html").await.unwrap();
        (reply.status == 200).then_some(())
    })
    .await;
    scene.node.mode_becomes("normal").await;
    scene.node.stops_whole().await;
}

#[tokio::test]
async fn curl_gets_the_file_over_both_protocols() {
    let Some(scene) = Scene::start(1, "").await else { return };
    let file = "0123456789abcdef\n".repeat(400_000);
    scene.origins[0].site.write("large.bin", &file);
    for (option, version) in [("--http1.1", "1.1"), ("--http2", "2")] {
        let folder = Folder::new();
        let mut command = scene.curl();
        command.args([option, "--fail", "--write-out", "%{http_version} %{response_code} %{size_download}"]);
        command.arg("--output").arg(folder.path().join("got")).arg(scene.url("/large.bin"));
        let output = finishes(command).await;
        assert!(output.status.success(), "{output:?}");
        let facts = String::from_utf8(output.stdout).unwrap();
        assert_eq!(facts, format!("{version} 200 {}", file.len()));
        assert!(folder.read("got") == file, "{option}: the bytes differ");
    }
    scene.node.stops_whole().await;
}

#[tokio::test]
async fn a_browser_shows_a_page_with_its_style_and_script() {
    // Large to install, so only those who have it test with it.
    let Some(browser) = ["chromium", "chromium-browser"].into_iter().find_map(find) else {
        return skip("chromium is not installed");
    };
    let Some(scene) = Scene::start(1, "").await else { return };
    let page = "<!doctype html><link rel=stylesheet href=style.css><p id=p>before</p><script src=page.js></script>";
    let script = "p.textContent = 'colored ' + getComputedStyle(p).color";
    let site = &scene.origins[0].site;
    site.write("page.html", page);
    site.write("page.js", script);
    site.write("style.css", "p { color: rgb(1, 2, 3) }");
    let profile = Folder::new();
    let mut command = Command::new(browser);
    command.args(["--headless", "--no-sandbox", "--disable-gpu", "--ignore-certificate-errors", "--dump-dom"]);
    command.arg(format!("--user-data-dir={}", profile.path().display()));
    command.arg(format!("--host-resolver-rules=MAP www.test {}", scene.node.address("https").unwrap().ip()));
    command.arg(scene.url("/page.html"));
    let output = finishes(command).await;
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(shown.contains("colored rgb(1, 2, 3)"), "{shown}\n{}", String::from_utf8_lossy(&output.stderr));
    for path in ["/page.html", "/page.js", "/style.css"] {
        assert_eq!(scene.origins[0].requests(path), 1, "{path}");
    }
    scene.node.stops_whole().await;
}

/// A node with nginx behind it, in order of rank.
struct Scene {
    node: Node,
    client: Client,
    origins: Vec<Nginx>,
    authority: Authority,
}

impl Scene {
    /// `None`, having said so, where there is no nginx.
    async fn start(count: usize, settings: &str) -> Option<Self> {
        if lacks("nginx") || lacks("curl") {
            return None;
        }
        let authority = Authority::new();
        let mut text = format!("{LISTEN}{}{SITE}{settings}", authority.certificate("www.test"));
        let mut origins = Vec::new();
        for rank in 1..=count {
            let origin = Nginx::start().await;
            origin.site.write("index.html", "home");
            let address = origin.address;
            text += &format!("[[site.origin]]\nname = \"{rank}\"\nurl = \"http://{address}\"\nrank = {rank}\n");
            origins.push(origin);
        }
        let node = Node::start(&text).await;
        for rank in 1..=count {
            let name = rank.to_string();
            node.tells("endpoint-changed", |event| event["origin"] == *name && event["to"] == "healthy").await;
        }
        let client = Client::tls(node.address("https").unwrap(), "www.test", &authority);
        Some(Self { node, client, origins, authority })
    }

    /// Gives every origin the same pages.
    fn fill(&self, count: usize, word: &str) {
        for origin in &self.origins {
            (0..count)
                .for_each(|number| drop(origin.site.write(&format!("{number}.html"), format!("{word} {number}"))));
        }
    }

    /// Waits until the node prefers this origin.
    async fn prefers(&self, index: usize) {
        let name = (index + 1).to_string();
        poll(&format!("origin {name} to be preferred"), async || {
            (self.node.status().await["sites"][0]["preferred_origin"] == *name).then_some(())
        })
        .await;
    }

    fn url(&self, path: &str) -> String {
        format!("https://www.test:{}{path}", self.node.address("https").unwrap().port())
    }

    /// curl, knowing where the site is and whom to trust.
    fn curl(&self) -> Command {
        let address = self.node.address("https").unwrap();
        let mut command = Command::new("curl");
        command.args(["--silent", "--show-error", "--noproxy", "*", "--cacert"]).arg(self.authority.anchor());
        command.arg("--resolve").arg(format!("www.test:{}:{}", address.port(), address.ip()));
        command
    }
}

#[track_caller]
fn all_served(samples: &[Sample]) {
    let failures: Vec<_> = samples.iter().filter_map(Sample::failure).collect();
    assert!(failures.is_empty(), "{} of {} failed:\n{}", failures.len(), samples.len(), failures.join("\n"));
}

const SITE: &str = r#"
[[site]]
hosts = ["www.test"]
[site.timeouts]
first_byte = "1s"
[site.probe]
interval = "500ms"
interval_in_transition = "100ms"
timeout = "400ms"
[site.failback]
probes = 2
hold_down = "1s"
dwell = "1s"
ramp = "0s"
"#;

/// What nobody calls waiting, on a loaded machine.
const SOON: std::time::Duration = std::time::Duration::from_millis(1500);
