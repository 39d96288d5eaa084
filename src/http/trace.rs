//! The trace that a client tells its request in: the header `traceparent` of W3C's Trace Context, for requests and upgrades.

use axum::http::HeaderMap;

use crate::trace::Parent;

/// The client's context. One that is not well formed counts as none, as the standard has it, and so do several.
pub(crate) fn traceparent(headers: &HeaderMap) -> Option<Parent> {
    let mut given = headers.get_all("traceparent").iter();
    let (first, more) = (given.next()?, given.next());
    if more.is_some() {
        return None;
    }
    first.to_str().ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn one_sound_header_is_a_context_and_two_are_none() {
        const SOUND: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let mut headers = HeaderMap::new();
        assert_eq!(traceparent(&headers), None);
        headers.append("Traceparent", HeaderValue::from_static(SOUND));
        assert_eq!(traceparent(&headers).unwrap().to_string(), SOUND);
        headers.append("traceparent", HeaderValue::from_static(SOUND));
        assert_eq!(traceparent(&headers), None);
        headers.insert("traceparent", HeaderValue::from_bytes(b"\xff").unwrap());
        assert_eq!(traceparent(&headers), None);
    }
}
