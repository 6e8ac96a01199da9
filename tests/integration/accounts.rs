//! Local accounts over three pods that share a Redis cluster.

mod claiming;
mod many;
mod people;
mod signing_in;
mod starting;
