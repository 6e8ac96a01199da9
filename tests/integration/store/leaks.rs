//! Nothing secret stands in Redis.
