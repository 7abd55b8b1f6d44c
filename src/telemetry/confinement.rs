//! The memory limits of the cgroups that this process lives in, its own and those above it, and what counts against them:
//! beside the process's own memory the kernel's for its sockets and files, and whatever else runs there.

use std::fs;
use std::path::{Path, PathBuf};

use super::process::labeled;

/// The cgroups of this process, from its own up to the root, as far as they are to be seen from here.
#[derive(Debug)]
pub struct Confinement {
    cgroups: Vec<Cgroup>,
}

/// A cgroup that this process lives in.
#[derive(Debug)]
pub struct Cgroup {
    folder: PathBuf,
    layout: &'static Layout,
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
    /// The cgroups that this process is in; none where the system has none.
    pub fn find() -> Self {
        let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let found = LAYOUTS.iter().find_map(|layout| layout.cgroups(Path::new(layout.root), &own));
        Self { cgroups: found.unwrap_or_default() }
    }

    /// All of them, the innermost first.
    pub fn cgroups(&self) -> &[Cgroup] {
        &self.cgroups
    }

    /// The one whose limit is nearest, and what is used of it; reads as [`Cgroup::usage`] does.
    pub fn nearest(&self) -> Option<(&Cgroup, Usage)> {
        let limited = self.cgroups.iter().filter_map(|cgroup| Some((cgroup, cgroup.usage()?)));
        limited.min_by_key(|(_, usage)| usage.limit_bytes.saturating_sub(usage.used_bytes))
    }
}

impl Cgroup {
    /// Where the system shows it.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Reads its limit, and what is used of it; blocks for some microseconds. `None` while it has no limit.
    pub fn usage(&self) -> Option<Usage> {
        let limit_bytes = number(&self.folder.join(self.layout.limit)).filter(|&limit| limit < NO_LIMIT)?;
        let used = number(&self.folder.join(self.layout.usage))?;
        let stat = fs::read_to_string(self.folder.join("memory.stat")).unwrap_or_default();
        let files = self.layout.files.iter().filter_map(|label| labeled(&stat, label)).sum();
        Some(Usage { used_bytes: used.saturating_sub(files), limit_bytes })
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
    /// Whether what is below a cgroup counts in it, if that can be otherwise.
    hierarchy: Option<&'static str>,
}

impl Layout {
    /// The cgroup of `/proc/self/cgroup` and those above it in which its memory counts, below the folder `root`.
    fn cgroups(&'static self, root: &Path, own: &str) -> Option<Vec<Cgroup>> {
        let path = Path::new(self.path(own)?);
        // A container may have its own cgroup for a root, and yet be told what the host calls it.
        let path = if below(root, path).is_dir() { path } else { Path::new("/") };
        let folders = path.ancestors().take(DEPTH_MAX).map(|path| below(root, path));
        let counting = folders.enumerate().take_while(|(height, folder)| *height == 0 || self.counts_children(folder));
        let cgroups: Vec<Cgroup> = counting.map(|(_, folder)| Cgroup { folder, layout: self }).collect();
        root.is_dir().then_some(cgroups)
    }

    fn counts_children(&self, folder: &Path) -> bool {
        self.hierarchy.is_none_or(|file| number(&folder.join(file)) == Some(1))
    }

    fn path<'a>(&self, own: &'a str) -> Option<&'a str> {
        own.lines().find_map(|line| {
            let (_, rest) = line.split_once(':')?;
            let (controllers, path) = rest.split_once(':')?;
            let is_meant = controllers.split(',').any(|controller| controller == self.controller);
            // Who is outside of the cgroup that it sees as the root cannot see its own.
            (is_meant && path.starts_with('/') && !path.contains("/..")).then_some(path)
        })
    }
}

/// An absolute path as it is seen below `root`.
fn below(root: &Path, path: &Path) -> PathBuf {
    root.components().chain(path.components().skip(1)).collect()
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
        hierarchy: Some("memory.use_hierarchy"),
    },
    Layout {
        root: "/sys/fs/cgroup",
        controller: "",
        usage: "memory.current",
        limit: "memory.max",
        files: ["inactive_file ", "active_file "],
        hierarchy: None,
    },
];

/// Version 1 writes no limit as a number larger than any memory; version 2 as a word.
const NO_LIMIT: u64 = 1 << 60;

/// Twice as deep as systemd and Kubernetes nest cgroups; each of them is read with every measurement.
const DEPTH_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

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
            ("0::/../neighbor\n", None, None),
            ("", None, None),
        ] {
            assert_eq!((first.path(own), second.path(own)), (in_first, in_second), "{own:?}");
        }
    }

    /// Files of a version below the root, the process's `/proc/self/cgroup`, and the cgroup whose limit is nearest with what
    /// is used of it.
    #[track_caller]
    fn check(why: &str, layout: &'static Layout, files: &str, own: &str, expected: Option<(&str, u64, u64)>) {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let root = std::env::temp_dir().join(format!("holdover-confinement-{}-{number}", std::process::id()));
        for file in files.split(',') {
            let (path, text) = file.trim().split_once(" = ").expect("a path and its content");
            let path = root.join(path);
            fs::create_dir_all(path.parent().expect("it is below the root")).expect("there is room for it");
            fs::write(path, text.replace(';', "\n")).expect("there is room for it");
        }
        let confinement = Confinement { cgroups: layout.cgroups(&root, own).unwrap_or_default() };
        let nearest = confinement.nearest().map(|(cgroup, Usage { used_bytes, limit_bytes })| {
            let path = cgroup.folder().strip_prefix(&root).expect("it is below the root");
            (path.to_str().expect("it is a text"), used_bytes, limit_bytes)
        });
        assert_eq!(nearest, expected, "{why}");
        fs::remove_dir_all(&root).expect("it was ours");
    }

    #[test]
    fn the_nearest_limit_of_all_around_counts() {
        let second = &LAYOUTS[1];
        let own = "0::/pod/node\n";
        check("no limit", second, "pod/node/memory.max = max;, pod/node/memory.current = 7", own, None);
        let node = "pod/node/memory.max = 1000;, pod/node/memory.current = 700;";
        check("one's own", second, node, own, Some(("pod/node", 700, 1000)));
        let stat = format!("{node}, pod/node/memory.stat = anon 400;inactive_file 200;active_file 50;file 260;");
        check("cached files do not count", second, &stat, own, Some(("pod/node", 450, 1000)));
        let wide = format!("{node}, pod/memory.max = 2000, pod/memory.current = 1600");
        check("one above that is further away", second, &wide, own, Some(("pod/node", 700, 1000)));
        let narrow = format!("{node}, pod/memory.max = 2000, pod/memory.current = 1800");
        check("one above, filled by others", second, &narrow, own, Some(("pod", 1800, 2000)));
        let files = format!("{narrow}, pod/memory.stat = inactive_file 150;");
        check("cached files above", second, &files, own, Some(("pod/node", 700, 1000)));
        let equal = format!("{node}, pod/memory.max = 2000, pod/memory.current = 1700");
        check("of two that are as near the inner one", second, &equal, own, Some(("pod/node", 700, 1000)));
        let slice = "pod/memory.max = 900, pod/memory.current = 800, pod/node/cgroup.procs = 1";
        check("memory that is only counted above", second, slice, own, Some(("pod", 800, 900)));
        let root = "memory.max = 900, memory.current = 800";
        check("a root of one's own", second, root, "0::/\n", Some(("", 800, 900)));
        check("a root that the host calls otherwise", second, root, own, Some(("", 800, 900)));
        check("nothing is known of one's own", second, root, "0::/../neighbor\n", None);
    }

    #[test]
    fn in_the_first_version_a_cgroup_counts_what_is_below_it_if_it_says_so() {
        let first = &LAYOUTS[0];
        let own = "4:memory:/pod/node\n";
        let node = "pod/node/memory.limit_in_bytes = 9223372036854771712, pod/node/memory.usage_in_bytes = 700";
        check("no limit", first, node, own, None);
        let pod = format!("{node}, pod/memory.limit_in_bytes = 900, pod/memory.usage_in_bytes = 850");
        check("not below", first, &format!("{pod}, pod/memory.use_hierarchy = 0;"), own, None);
        let pod = format!("{pod}, pod/memory.use_hierarchy = 1;");
        check("below as well", first, &pod, own, Some(("pod", 850, 900)));
        let stat = "total_inactive_file 30;total_active_file 20;inactive_file 7;";
        check("with its files", first, &format!("{pod}, pod/memory.stat = {stat}"), own, Some(("pod", 800, 900)));
        let root = "memory.limit_in_bytes = 900, memory.usage_in_bytes = 800";
        check("a root that the host calls otherwise", first, root, own, Some(("", 800, 900)));
    }
}
