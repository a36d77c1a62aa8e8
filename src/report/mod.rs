//! Events.  SKELETON.
