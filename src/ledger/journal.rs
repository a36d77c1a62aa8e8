//! Lines, groups, replay, compaction.
