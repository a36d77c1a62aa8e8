//! Ways by programs that others have written.
