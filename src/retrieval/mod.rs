//! One mailbox end to end.  SKELETON.
