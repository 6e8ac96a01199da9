//! Reads YAML documents into typed values and reports all their mistakes at once, each with its place.
//!
//! [`tree`] parses a text into nodes with their lines, and [`decode`] reads typed fields from the nodes. Both record
//! [`Mistake`]s instead of stopping at the first one. [`emit`] writes documents.

pub mod decode;
pub mod emit;
pub mod json;
pub mod mistakes;
pub mod tree;

mod suggest;

pub use self::mistakes::{Mistake, Mistakes, Place, shown};
pub use self::tree::{Node, Subset, parse, parse_stream};
