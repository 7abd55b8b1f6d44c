//! The configuration: text in, a model or all problems at once out.
//!
//! `load` is the road: `syntax` reads the text, `inspect` holds every key against its row in `keys`, `file` is the
//! written form as types, `validate` makes the model and checks what concerns several keys.

mod faults;
mod fields;
mod file;
mod form;
mod inspect;
mod interpolate;
mod keys;
mod load;
pub mod model;
mod names;
mod reference;
mod section;
mod syntax;
mod units;
mod validate;
mod words;

#[cfg(test)]
mod tests;

pub use faults::Problem;
pub use load::{Surroundings, load};
pub use reference::{full, reference};
