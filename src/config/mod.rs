//! The configuration: text in, a model or all problems at once out.

pub mod model;
