//! Local accounts over three pods that share a Redis cluster.

mod acceptance;
mod administration;
mod bootstrap;
mod invitation_claims;
mod passwords;
mod ranks;
mod search;
mod session_writes;
