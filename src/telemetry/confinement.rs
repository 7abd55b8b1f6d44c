//! The memory limit of the cgroup that this process lives in, and what counts against it: beside the process's own memory
//! the kernel's for its sockets and files, and whatever else runs there.

use std::fs;
use std::path::{Path, PathBuf};

use super::process::labeled;

/// A cgroup with a memory limit.
#[derive(Debug)]
pub struct Confinement {
    folder: PathBuf,
    layout: &'static Layout,
    limit_bytes: u64,
}

/// What counts against a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// What the kernel cannot take back by itself, in bytes.
    pub used_bytes: u64,
    /// Beyond it, a process is killed.
    pub limit_bytes: u64,
}

impl Confinement {
    /// That of this process, if it is in one; as the limit is now.
    pub fn find() -> Option<Self> {
        let own = fs::read_to_string("/proc/self/cgroup").ok()?;
        LAYOUTS.iter().find_map(|layout| {
            let path = layout.path(&own)?;
            // A container may see its own cgroup as the root, whatever the host calls it.
            [path, "/"].iter().find_map(|path| Self::at(Path::new(layout.root).join(&path[1..]), layout))
        })
    }

    fn at(folder: PathBuf, layout: &'static Layout) -> Option<Self> {
        let limit_bytes = number(&folder.join(layout.limit)).filter(|&limit| limit < NO_LIMIT)?;
        Some(Self { folder, layout, limit_bytes })
    }

    /// Where the system shows it.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Reads what is used now; blocks for some microseconds. `None` where the system does not tell.
    pub fn usage(&self) -> Option<Usage> {
        let used = number(&self.folder.join(self.layout.usage))?;
        let stat = fs::read_to_string(self.folder.join("memory.stat")).unwrap_or_default();
        let files = self.layout.files.iter().filter_map(|label| labeled(&stat, label)).sum();
        Some(Usage { used_bytes: used.saturating_sub(files), limit_bytes: self.limit_bytes })
    }
}

/// Where a version of cgroups has its files.
#[derive(Debug)]
struct Layout {
    root: &'static str,
    /// The middle field of its line in `/proc/PID/cgroup`.
    controller: &'static str,
    usage: &'static str,
    limit: &'static str,
    /// Cached pages of files, which the kernel takes back when it needs memory.
    files: [&'static str; 2],
}

impl Layout {
    fn path<'a>(&self, own: &'a str) -> Option<&'a str> {
        own.lines().find_map(|line| {
            let (_, rest) = line.split_once(':')?;
            let (controllers, path) = rest.split_once(':')?;
            let is_meant = controllers.split(',').any(|controller| controller == self.controller);
            (is_meant && path.starts_with('/')).then_some(path)
        })
    }
}

fn number(file: &Path) -> Option<u64> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}

/// Version 1 first: where there are both, it is the one that has memory.
const LAYOUTS: [Layout; 2] = [
    Layout {
        root: "/sys/fs/cgroup/memory",
        controller: "memory",
        usage: "memory.usage_in_bytes",
        limit: "memory.limit_in_bytes",
        files: ["total_inactive_file ", "total_active_file "],
    },
    Layout {
        root: "/sys/fs/cgroup",
        controller: "",
        usage: "memory.current",
        limit: "memory.max",
        files: ["inactive_file ", "active_file "],
    },
];

/// Version 1 writes no limit as a number larger than any memory; version 2 as a word.
const NO_LIMIT: u64 = 1 << 60;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cgroup_that_has_the_memory_is_found_in_what_the_kernel_says() {
        let [first, second] = &LAYOUTS;
        for (own, in_first, in_second) in [
            ("0::/\n", None, Some("/")),
            ("0::/system.slice/holdover.service\n", None, Some("/system.slice/holdover.service")),
            ("14:memory:/a\n12:cpu,cpuacct:/b\n0::/c\n", Some("/a"), Some("/c")),
            ("3:cpu,memory:/docker/1:2\n", Some("/docker/1:2"), None),
            ("3:memory:relative\n", None, None),
            ("", None, None),
        ] {
            assert_eq!((first.path(own), second.path(own)), (in_first, in_second), "{own:?}");
        }
    }

    #[test]
    fn what_is_used_is_told_without_cached_files_and_only_under_a_limit() {
        let folder = std::env::temp_dir().join(format!("holdover-confinement-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("there is room for it");
        let write = |name: &str, text: &str| fs::write(folder.join(name), text).expect("there is room for it");
        let usage = || Confinement::at(folder.clone(), &LAYOUTS[1]).and_then(|found| found.usage());
        assert_eq!(usage(), None, "no cgroup");
        write("memory.max", "max\n");
        write("memory.current", "700\n");
        assert_eq!(usage(), None, "no limit");
        write("memory.max", "1000\n");
        assert_eq!(usage(), Some(Usage { used_bytes: 700, limit_bytes: 1000 }));
        write("memory.stat", "anon 400\ninactive_file 200\nactive_file 50\nfile 260\n");
        assert_eq!(usage(), Some(Usage { used_bytes: 450, limit_bytes: 1000 }));
        fs::remove_dir_all(&folder).expect("it was ours");
    }
}
