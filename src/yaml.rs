//! Reads YAML documents into typed values and reports all their mistakes at once, each with its place.
//!
//! [`tree`] parses a text into nodes that know their lines, [`decode`] reads typed fields out of them, and both record
//! [`Mistake`]s instead of stopping at the first one.

pub mod decode;
pub mod json;
pub mod mistakes;
pub mod tree;

mod suggest;

pub use self::mistakes::{Mistake, Mistakes, Place, shown};
pub use self::tree::{Node, Subset, parse};
