//! Signing in, over any pods: that it succeeds, what it leaves behind, and what people are told
//! when it fails.

mod anywhere;
mod identity;
mod one_pod;
mod providers;
mod refused;
mod store_away;
