//! A request, and its place in a trace.

use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use axum::http::HeaderName;
use compute::Account;
use compute_state::TenantName;
use opentelemetry::Context;
use opentelemetry::trace::{
    SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState,
};
use opentelemetry_sdk::trace::Span;

use crate::work::Present;

pub(crate) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// A request, as it is observed.
#[derive(Debug)]
pub(crate) struct Observed {
    pub(crate) context: SpanContext,
    pub(crate) span: Mutex<Option<Span>>,
    /// Whose request it is, once that is known.
    pub(crate) caller: OnceLock<KnownCaller>,
    /// For how long what it used of what is active could not be read, if it could not.
    pub(crate) unread: OnceLock<Duration>,
}

/// Whose request it is, and what it takes.
#[derive(Debug)]
pub(crate) struct KnownCaller {
    pub(crate) tenant: TenantName,
    pub(crate) memory: Account,
    _present: Present,
}

impl Observed {
    pub(super) const fn new(context: SpanContext, span: Option<Span>) -> Self {
        let span = Mutex::new(span);
        Self { context, span, caller: OnceLock::new(), unread: OnceLock::new() }
    }

    /// Says whose request it is. Its answer is charged to this account, and it counts as one of the tenant's until the
    /// answer is sent.
    pub(crate) fn is_of(&self, tenant: &TenantName, memory: &Account, present: Present) {
        let (tenant, memory) = (tenant.clone(), memory.clone());
        let _ = self.caller.set(KnownCaller { tenant, memory, _present: present });
    }

    pub(super) fn as_parent(&self) -> Context {
        Context::new().with_remote_span_context(self.context.clone())
    }

    /// As the W3C's Trace Context writes it.
    pub(crate) fn traceparent(&self) -> String {
        let context = &self.context;
        format!(
            "00-{}-{}-{:02x}",
            context.trace_id(),
            context.span_id(),
            context.trace_flags().to_u8()
        )
    }
}

/// What a `traceparent` says, by the W3C's Trace Context: version, trace, parent, flags.
pub(super) fn parse(text: &str) -> Option<SpanContext> {
    let mut parts = text.split('-');
    let (version, trace, span, flags) =
        (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let lower = |part: &str, length: usize| {
        part.len() == length
            && part.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    };
    let known = lower(version, 2) && version != "ff" && (version != "00" || parts.next().is_none());
    if !(known && lower(trace, 32) && lower(span, 16) && lower(flags, 2)) {
        return None;
    }
    let flags = TraceFlags::new(u8::from_str_radix(flags, 16).ok()?) & TraceFlags::SAMPLED;
    let (trace, span) = (TraceId::from_hex(trace).ok()?, SpanId::from_hex(span).ok()?);
    let context = SpanContext::new(trace, span, flags, true, TraceState::default());
    context.is_valid().then_some(context)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn a_traceparent_is_read_by_its_rules() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let context = parse(good).unwrap();
        assert_eq!(context.trace_id().to_string(), &good[3..35]);
        assert!(context.is_sampled() && context.is_remote());
        assert!(parse(&good.replacen("00", "01", 1)).is_some(), "a later version");
        assert!(parse(&format!("{}-more", good.replacen("00", "01", 1))).is_some());
        for bad in [
            "",
            "00",
            &format!("{good}-more"),
            &good.replacen("00", "ff", 1),
            &good.to_uppercase(),
            &good.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
            &good.replace("00f067aa0ba902b7", &"0".repeat(16)),
            &good[..54],
        ] {
            assert!(parse(bad).is_none(), "{bad}");
        }
    }
}
