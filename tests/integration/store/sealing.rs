//! Who can write into Redis gains nothing.
