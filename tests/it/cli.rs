//! The commands, as a shell meets them: exit codes and messages.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Output, Stdio};

use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::time::timeout;

use crate::wires::{
    Authority, Client, Folder, LISTEN, Node, Origin, PATIENCE, Process, finishes, holdover, own_address, poll, response,
};

#[tokio::test]
async fn check_accepts_what_the_project_ships() {
    for (name, summary) in [
        ("full.toml", "1 site, 1 origin"),
        ("holdover.toml", "2 sites, 5 origins"),
        ("minimal.toml", "1 site, 2 origins"),
    ] {
        let file = shipped(name);
        says(&check(&file).await, 0, &format!("{file}: {summary}: valid and ready to run\n"), "");
    }
}

#[tokio::test]
async fn check_names_every_problem_by_line_and_column() {
    let folder = Folder::new();
    let text = "[listen]\nhttps = [\"127.0.0.1\"]\nhtttp = []\n\n[[site]]\nhosts = [\"a b\"]\norigin = [{ url = \"ftp://a\" }]\n";
    let file = folder.write("bad.toml", text);
    let output = check(&file).await;
    let problems = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(78), "{problems}");
    for place in ["2:10", "3:1", "6:10", "7:19"] {
        let place = format!("{}:{place}: ", file.display());
        assert!(problems.lines().any(|line| line.starts_with(&place)), "{place} is not in\n{problems}");
    }
    let counted = problems.lines().last().unwrap();
    assert_eq!(counted, format!("holdover: {} problems in the configuration", problems.lines().count() - 1));
    let run = holdover(["run".as_ref(), "--config".as_ref(), file.as_os_str()]).await;
    says(&run, 78, "", &problems);
}

#[tokio::test]
async fn check_names_files_that_cannot_be_used() {
    let (folder, authority) = (Folder::new(), Authority::new());
    let (chain, key) = authority.issue("www.test");
    let (other_chain, other_key) = authority.issue("other.test");
    let junk = folder.write("junk.pem", "no certificate");
    let pair = |chain: &Path, key: &Path| format!("[[certificate]]\nchain = {chain:?}\nkey = {key:?}\n");
    let text = format!(
        "{LISTEN}{SITE}{}{}{}{}",
        pair(&chain, &key),
        pair(&other_chain, &key),
        pair(&junk, &other_key),
        pair(Path::new("/nowhere/a.pem"), &key)
    );
    let file = folder.write("holdover.toml", text);
    let output = check(&file).await;
    let faults = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(78), "{faults}");
    let lines: Vec<_> = faults.lines().collect();
    assert_eq!(lines.len(), 3, "{faults}");
    assert!(lines[0].contains(&format!("{}: does not belong to the first certificate in", key.display())), "{faults}");
    assert!(lines[1].contains(&format!("{}: no certificate found", junk.display())), "{faults}");
    assert!(lines[2].contains("/nowhere/a.pem: cannot be read: No such file"), "{faults}");
    let run = holdover(["run".as_ref(), "--config".as_ref(), file.as_os_str()]).await;
    says(&run, 78, "", &faults);
}

#[tokio::test]
async fn check_looks_at_error_pages() {
    let folder = Folder::new();
    folder.write("good.TXT", "Tea break");
    folder.write("page.php", "");
    folder.write("latin.html", b"caf\xe9");
    folder.write("long.json", "x".repeat(256 * 1024 + 1));
    for (name, expected) in [
        ("good.TXT", ""),
        ("none.html", "cannot be read: No such file"),
        ("page.php", "its name does not end in .html, .htm, .txt or .json"),
        ("latin.html", "it is not UTF-8"),
        ("long.json", "it is longer than 256 KiB"),
    ] {
        let (page, minimal) = (folder.path().join(name), std::fs::read_to_string(shipped("minimal.toml")).unwrap());
        let with_page = minimal.replacen("[[site]]\n", &format!("[[site]]\nerror_page = {page:?}\n"), 1);
        let file = folder.write("holdover.toml", with_page);
        let output = check(file).await;
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(if expected.is_empty() { 0 } else { 78 }), "{name}: {message}");
        assert!(
            expected.is_empty() || message.contains(&format!("error page {}: {expected}", page.display())),
            "{message}"
        );
    }
}

#[tokio::test]
async fn check_warns_of_a_state_directory_that_nothing_can_be_saved_in() {
    let folder = Folder::new();
    for (directory, warning) in [(folder.path(), ""), (Path::new("/proc/nowhere"), "warning: state.directory: nothing")]
    {
        let minimal = std::fs::read_to_string(shipped("minimal.toml")).unwrap();
        let file = folder.write("holdover.toml", format!("{minimal}\n[state]\ndirectory = {directory:?}\n"));
        let output = check(file).await;
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), message.is_empty()), (Some(0), warning.is_empty()), "{message}");
        assert!(message.contains(warning), "{message}");
    }
}

#[tokio::test]
async fn run_refuses_a_key_that_is_not_its_certificates() {
    let (folder, authority) = (Folder::new(), Authority::new());
    let ((chain, _), (_, key)) = (authority.issue("www.test"), authority.issue("other.test"));
    let text = format!("{LISTEN}{SITE}[[certificate]]\nchain = {chain:?}\nkey = {key:?}\n");
    let file = folder.write("holdover.toml", text);
    let output = holdover(["run".as_ref(), "--config".as_ref(), file.as_os_str()]).await;
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(message.contains("does not belong to the first certificate in"), "{message}");
    assert!(!output.status.success());
}

#[tokio::test]
async fn a_missing_file_is_a_failure_that_says_where_to_look() {
    for command in ["check", "run"] {
        let output = holdover([command, "--config", "/nowhere/holdover.toml"]).await;
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{message}");
        assert!(message.contains("/nowhere/holdover.toml (name another one with --config"), "{message}");
    }
}

#[tokio::test]
async fn the_environment_names_the_file_unless_the_command_line_does() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_holdover"));
    command.arg("check").env("HOLDOVER_CONFIG", shipped("minimal.toml"));
    assert_eq!(finishes(command).await.status.code(), Some(0));
    let mut command = Command::new(env!("CARGO_BIN_EXE_holdover"));
    command.args(["check", "--config", "/nowhere"]).env("HOLDOVER_CONFIG", shipped("minimal.toml"));
    assert_eq!(finishes(command).await.status.code(), Some(1));
}

#[tokio::test]
async fn usage_errors_are_told_from_failures() {
    for arguments in [vec![], vec!["serve"], vec!["check", "--nope"], vec!["run", "file"], vec!["check", "--config"]] {
        let output = holdover(&arguments).await;
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("--help"), "{arguments:?}");
    }
}

#[tokio::test]
async fn version_is_one_line() {
    let expected = concat!("holdover ", env!("CARGO_PKG_VERSION"), "\n");
    says(&holdover(["version"]).await, 0, expected, "");
    says(&holdover(["--version"]).await, 0, expected, "");
}

#[tokio::test]
async fn healthcheck_tells_a_ready_node_from_nothing() {
    let node = Node::start(&format!("{LISTEN}{SITE}{CERTIFICATE}")).await;
    let admin = node.address("admin").unwrap().to_string();
    says(&holdover(["healthcheck", "--address", &admin]).await, 0, &format!("{admin} is ready\n"), "");
    node.stops_whole().await;
    let output = holdover(["healthcheck", "--address", &admin]).await;
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(message.starts_with(&format!("holdover: {admin} is not ready: ")), "{message}");
}

#[tokio::test]
async fn purge_and_explain_ask_the_node_at_the_address() {
    let text = format!("{LISTEN}{SITE}{CERTIFICATE}");
    let node = Node::start(&text).await;
    let admin = node.address("admin").unwrap().to_string();
    let output = holdover(["purge", "--address", &admin, "--tag", "red", "--url", "https://www.test/x"]).await;
    let receipt = "{\n  \"mode\": \"hard\",\n  \"responses\": 0,\n  \"sequence\": 1\n}\n";
    says(&output, 0, receipt, "");
    let output = holdover(["purge", "--address", &admin, "--prefix", "https://www.test/x"]).await;
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(message.starts_with("holdover: the node answers 400 Bad Request\n"), "{message}");
    assert!(message.contains("expected a URL that ends with"), "{message}");
    let output = holdover(["explain", "https://www.test/x", "--field", "accept: */*", "--address", &admin]).await;
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.status.code(), &answer["key"]), (Some(0), &"https://www.test/x".into()));
    assert_eq!(holdover(["purge", "--address", &admin]).await.status.code(), Some(2));
    node.stops_whole().await;
}

#[tokio::test]
async fn an_order_is_in_force_at_the_next_start_if_there_is_a_state_directory() {
    let origin = Origin::start(|_| response("", "home")).await;
    let folder = Folder::new();
    for (state, remembered) in [(format!("[state]\ndirectory = {:?}\n", folder.path()), 1), (String::new(), 0)] {
        let text = format!(
            "{state}[listen]\nhttp = [\"127.0.0.1:0\"]\n[[site]]\nname = \"www\"\nhosts = [\"www.test\"]\nplain_http = \"serve\"\n\
             origin = [{{ name = \"o\", url = \"http://{}\" }}]\n",
            origin.address
        );
        let node = Node::start(&text).await;
        let admin = node.address("admin").unwrap().to_string();
        let output = holdover(["origin", "disable", "www", "o", "--address", &admin]).await;
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        node.stops_whole().await;
        let node = Node::start(&text).await;
        assert_eq!(node.events("order-remembered").len(), remembered, "{state}");
        let duty = &node.status().await["sites"][0]["origins"][0]["duty"];
        assert_eq!(duty == "disabled", remembered == 1, "{duty}");
        node.stops_whole().await;
    }
}

#[tokio::test]
async fn a_silent_port_is_not_ready_within_seconds() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let output = holdover(["healthcheck", "--address", &address]).await;
    assert_eq!(output.status.code(), Some(1), "{output:?}");
}

/// With its addresses moved to free ports, since the shipped ones may be taken here.
#[tokio::test]
async fn the_minimal_configuration_starts_and_answers() {
    let text = std::fs::read_to_string(shipped("minimal.toml")).unwrap();
    let node = Node::start(&text.replace("127.0.0.1:8443", "127.0.0.1:0")).await;
    let mut client = Command::new("openssl");
    let address = node.address("https").unwrap().to_string();
    client.args(["s_client", "-connect", &address, "-servername", "localhost", "-quiet", "-alpn", "http/1.1"]);
    let answer = talks(client, "GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 50"), "it has no origins here: {answer}");
    node.stops_whole().await;
}

#[tokio::test]
async fn the_example_configuration_starts_from_its_environment() {
    let [https, http, admin] = [own_address(), own_address(), own_address()];
    let mut command = Command::new(env!("CARGO_BIN_EXE_holdover"));
    command.args(["run", "--config", &shipped("holdover.toml")]);
    command.env("HTTPS", https.to_string()).env("HTTP", http.to_string()).env("ADMIN", admin.to_string());
    command.env("HOLDOVER_REGION", "us").stdout(Stdio::null()).stderr(Stdio::null());
    let mut process = Process::start(command);
    poll("/readyz", async || Client::plain(admin, "localhost").get("/readyz").await.ok()).await;
    let status = Client::plain(admin, "localhost").get("/status").await.unwrap();
    let status: serde_json::Value = serde_json::from_slice(&status.body).unwrap();
    assert_eq!((&status["region"], &status["state"]), (&"us".into(), &"ready".into()));
    let ranks = status["sites"][0]["origins"].as_array().unwrap().iter();
    let ranks: Vec<_> = ranks.map(|origin| (origin["name"].as_str().unwrap(), origin["rank"].as_u64())).collect();
    assert_eq!(ranks, [("frankfurt", Some(2)), ("virginia", Some(1)), ("bucket", Some(3))]);
    let redirect = Client::plain(http, "shop.localhost").get("/a?b").await.unwrap();
    assert_eq!(redirect.status, 301);
    process.signal("TERM").await;
    assert_eq!(process.ended().await.code(), Some(0));
}

#[tokio::test]
async fn a_taken_port_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    for protocol in ["https", "http", "admin"] {
        let listen = match protocol {
            "admin" => format!("[admin]\nlisten = [\"{address}\"]\n[listen]\nhttps = [\"127.0.0.1:0\"]\n"),
            protocol => format!("[listen]\n{protocol} = [\"{address}\"]\n"),
        };
        let plain = SITE.replace("hosts", "plain_http = \"serve\"\nhosts");
        let folder = Folder::new();
        let file = folder.write("holdover.toml", format!("{listen}{plain}{CERTIFICATE}"));
        let output = holdover(["run".as_ref(), "--config".as_ref(), file.as_os_str()]).await;
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{message}");
        let expected = format!("cannot listen on {address} ({protocol}): address already in use");
        assert!(message.contains(&expected), "{message}");
    }
}

/// What a program answers to this input.
async fn talks(mut program: Command, input: &'static str) -> String {
    let mut child = program.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).await.unwrap();
    let output = timeout(PATIENCE, child.wait_with_output()).await.unwrap().unwrap();
    drop(stdin);
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn shipped(name: &str) -> String {
    format!("{}/config/{name}", env!("CARGO_MANIFEST_DIR"))
}

async fn check(file: impl AsRef<Path>) -> Output {
    holdover(["check".as_ref(), "--config".as_ref(), file.as_ref().as_os_str()]).await
}

#[track_caller]
fn says(output: &Output, code: i32, stdout: &str, stderr: &str) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let said = (output.status.code(), text(&output.stdout), text(&output.stderr));
    assert_eq!(said, (Some(code), stdout.to_owned(), stderr.to_owned()));
}

/// Its origin is nobody.
const SITE: &str = r#"
[[site]]
hosts = ["www.test"]
origin = [{ url = "http://127.0.0.1:1" }]
"#;

const CERTIFICATE: &str = "\n[[certificate]]\nself_signed = [\"www.test\"]\n";
