//! What a server offered, pauses, alerts.
