//! Processes on a core of their own, and what they cost.

use std::fs;
use std::io;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A server of one or more processes, ended when dropped.
pub(crate) struct Server {
    children: Vec<Child>,
}

impl Server {
    /// Starts `commands` on `core`; what they say goes to `log`.
    ///
    /// # Errors
    /// A program is not found, or the log cannot be written.
    pub(crate) fn start(commands: &[Vec<String>], core: usize, log: &Path) -> io::Result<Self> {
        let mut server = Self { children: Vec::new() };
        for words in commands {
            let log = fs::OpenOptions::new().create(true).append(true).open(log)?;
            let mut command = Command::new("taskset");
            command.args(["-c", &core.to_string()]).args(words).stdin(Stdio::null());
            server.children.push(command.stdout(log.try_clone()?).stderr(log).spawn()?);
        }
        Ok(server)
    }

    /// CPU time used so far, user and system, by all its processes and threads.
    pub(crate) fn cpu(&self) -> Duration {
        Duration::from_nanos(self.processes().into_iter().flat_map(threads).map(nanoseconds_on_cpu).sum())
    }

    /// Its resident set, in KiB; what its processes share is counted for each.
    pub(crate) fn resident_kib(&self) -> u64 {
        let resident = |process| {
            let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
            status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next()?.parse::<u64>().ok())
        };
        self.processes().into_iter().filter_map(resident).sum::<u64>()
    }

    /// The processes started, and those that they have started.
    fn processes(&self) -> Vec<u32> {
        let mut found: Vec<u32> = self.children.iter().map(Child::id).collect();
        let mut looked_at = 0;
        while let Some(&process) = found.get(looked_at) {
            for thread in threads(process) {
                let children = fs::read_to_string(format!("/proc/{process}/task/{thread}/children"));
                found.extend(children.unwrap_or_default().split_whitespace().flat_map(str::parse::<u32>));
            }
            looked_at += 1;
        }
        found
    }
}

impl Drop for Server {
    /// Ends the processes in the way that lets them end their own.
    fn drop(&mut self) {
        for child in &mut self.children {
            if let Some(process) = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw) {
                let _ = rustix::process::kill_process(process, rustix::process::Signal::TERM);
            }
        }
        for child in &mut self.children {
            let _ = child.wait();
        }
    }
}

fn threads(process: u32) -> Vec<u32> {
    let Ok(entries) = fs::read_dir(format!("/proc/{process}/task")) else { return Vec::new() };
    entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// The first field of `/proc/PID/schedstat`, which for a thread is its own time and exact, unlike clock ticks.
fn nanoseconds_on_cpu(thread: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{thread}/schedstat")).unwrap_or_default();
    text.split_whitespace().next().and_then(|field| field.parse().ok()).unwrap_or(0)
}
