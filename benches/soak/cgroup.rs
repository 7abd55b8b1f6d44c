//! A memory cgroup for the node, where the machine lets us make one: version 2 or version 1.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;

/// A cgroup of our own; removed with this value, once nobody is in it any more.
pub(crate) struct Cgroup {
    folder: PathBuf,
    failures: &'static str,
}

impl Cgroup {
    /// A cgroup in which no more than `limit` bytes may be used.
    pub(crate) fn new(limit: u64) -> anyhow::Result<Self> {
        let layout = LAYOUTS.iter().find(|layout| Path::new(layout.root).join(layout.probe).exists());
        let layout = layout.context("this machine has no memory cgroups")?;
        let folder = Path::new(layout.root).join(format!("holdover-soak-{}", std::process::id()));
        fs::create_dir(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let cgroup = Self { folder, failures: layout.failures };
        fs::write(cgroup.folder.join(layout.limit), limit.to_string()).context("cannot set the limit")?;
        if let Some(swap) = layout.swap {
            // A machine without swap does not have the file.
            let _ = fs::write(cgroup.folder.join(swap), "0");
        }
        Ok(cgroup)
    }

    /// A command that runs `binary` inside from its first byte on.
    pub(crate) fn command(&self, binary: &Path) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", r#"echo $$ > "$0" && exec "$@""#]);
        command.arg(self.folder.join("cgroup.procs")).arg(binary);
        command
    }

    /// What the kernel says of the times the limit was met.
    pub(crate) fn failures(&self) -> String {
        let told = fs::read_to_string(self.folder.join(self.failures)).unwrap_or_default();
        format!("{}: {}", self.failures, told.split_whitespace().collect::<Vec<_>>().join(" "))
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // The node is gone by then; if it is not, the folder stays and says so.
        let _ = fs::remove_dir(&self.folder);
    }
}

/// Where a version of cgroups has its files.
struct Layout {
    root: &'static str,
    probe: &'static str,
    limit: &'static str,
    swap: Option<&'static str>,
    failures: &'static str,
}

const LAYOUTS: [Layout; 2] = [
    Layout {
        root: "/sys/fs/cgroup",
        probe: "memory.stat",
        limit: "memory.max",
        swap: Some("memory.swap.max"),
        failures: "memory.events",
    },
    Layout {
        root: "/sys/fs/cgroup/memory",
        probe: "memory.limit_in_bytes",
        limit: "memory.limit_in_bytes",
        swap: None,
        failures: "memory.failcnt",
    },
];
