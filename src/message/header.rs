//! Read-only view of a header.
