//! One row per key: form, bounds, default, sentence. Checks, defaults, `full.toml` and `docs/config.md` come from here.

use super::section::Section;

mod node;
mod origins;
mod row;
mod site;

/// All tables, parents before their children, in the order of the reference.
pub(super) fn sections() -> impl Iterator<Item = &'static Section> {
    [node::SECTIONS, site::SECTIONS, origins::SECTIONS].into_iter().flatten()
}

/// The file itself.
pub(super) fn root() -> &'static Section {
    &node::SECTIONS[0]
}

/// The sections directly inside `parent`.
pub(super) fn children(parent: &'static Section) -> impl Iterator<Item = &'static Section> {
    sections().filter(|section| !section.path.is_empty() && section.parent_path() == parent.path)
}
