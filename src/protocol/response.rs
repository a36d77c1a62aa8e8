//! Response codes (RFC 2449 §8, RFC 3206): only what `auth` needs.
#![allow(missing_docs, reason = "stands in for the real file until that is merged")]

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResponseCode {
    InUse,
    LoginDelay,
    SysTemp,
    SysPerm,
    Auth,
    Utf8,
}
