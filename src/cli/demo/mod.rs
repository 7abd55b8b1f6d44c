//! The demo: three origins, a node in front of them, and an outage to watch.

mod answer;
mod assets;
mod command;
mod drill;
mod origins;
mod png;
mod stage;
mod tally;
mod timeline;
mod visitor;

pub(super) use command::demo;
