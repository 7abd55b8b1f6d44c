//! Programs beside the test: started, signaled by id, ended with it.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{ExitStatus, Output, Stdio};
use std::time::Duration;

use holdover::clock::Clock;
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

/// The bound of every wait. Loaded machines are slow; only a failing test waits this long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A program that runs beside the test and is killed with it.
pub(crate) struct Process {
    child: Child,
    /// What it was started as, for messages.
    name: String,
}

impl Process {
    /// Starts it, its output going where `command` says.
    pub(crate) fn start(mut command: Command) -> Self {
        let name = format!("{:?}", command.as_std());
        let child = command.stdin(Stdio::null()).kill_on_drop(true).spawn();
        Self { child: child.unwrap_or_else(|error| panic!("{name}: {error}")), name }
    }

    /// Sends a signal, such as `TERM`, to this process alone.
    pub(crate) async fn signal(&self, signal: &str) {
        let id = self.child.id().unwrap_or_else(|| panic!("{} has ended", self.name));
        let sent = run("sh", ["-c", &format!("kill -{signal} {id}")]).await;
        assert!(sent.status.success(), "{sent:?}");
    }

    /// Waits for its end.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        timeout(PATIENCE, self.child.wait()).await.unwrap_or_else(|_| panic!("{} does not end", self.name)).unwrap()
    }

    /// Whether it has ended already.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }
}

/// Runs a program to its end.
pub(crate) async fn run<A: AsRef<OsStr>>(program: &str, arguments: impl IntoIterator<Item = A>) -> Output {
    let mut command = Command::new(program);
    command.args(arguments);
    finishes(command).await
}

/// Runs the built binary to its end, in an environment without settings of ours.
pub(crate) async fn holdover<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_holdover"));
    command.args(arguments);
    for name in ["HOLDOVER_CONFIG", "HOLDOVER_REGION", "STATE_DIRECTORY"] {
        command.env_remove(name);
    }
    finishes(command).await
}

/// Runs a command to its end, within a bound.
pub(crate) async fn finishes(mut command: Command) -> Output {
    let name = format!("{:?}", command.as_std());
    let done = timeout(PATIENCE, command.stdin(Stdio::null()).kill_on_drop(true).output()).await;
    done.unwrap_or_else(|_| panic!("{name} does not end")).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Asks again and again until there is an answer; panics after [`PATIENCE`].
pub(crate) async fn poll<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let clock = Clock::new();
    let began = clock.now().monotonic;
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(clock.now().monotonic - began < PATIENCE, "waited {PATIENCE:?} for {what}");
        sleep(Duration::from_millis(10)).await;
    }
}

/// Whether a program is missing, so that the test cannot run.
pub(crate) fn lacks(program: &str) -> bool {
    let missing = find(program).is_none();
    if missing {
        cannot_run(&format!("{program} is not installed"));
    }
    missing
}

/// Says that a test is skipped, and why; with `HOLDOVER_TEST_ALL=1` that is a failure.
pub(crate) fn cannot_run(reason: &str) {
    #[expect(clippy::disallowed_methods, reason = "whoever runs the tests says whether skipping is fine")]
    let all = std::env::var("HOLDOVER_TEST_ALL").is_ok_and(|value| value == "1");
    assert!(!all, "HOLDOVER_TEST_ALL=1 asks for every test, but {reason}");
    skip(reason);
}

/// Says that a test is skipped, and why.
#[expect(clippy::print_stdout, reason = "a skipped test is worth a line")]
pub(crate) fn skip(reason: &str) {
    println!("skipped: {reason}");
}

/// Where a program is; administrators' programs are not in every PATH.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin", "/sbin"].map(PathBuf::from));
    folders.map(|folder| folder.join(program)).find(|file| file.is_file())
}
