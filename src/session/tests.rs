//! The conversation over time: who may speak, when the token ends, what counts as activity, how many bad frames are too many.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::{Activity, BAD_FRAMES_WITHIN, Conversation, Decision, Due, MAX_BAD_FRAMES, Rules};
use crate::protocol::client::{BadFrame, ClientFrame, parse};
use crate::protocol::close::CloseReason;
use crate::protocol::error::ErrorCode;

const MINUTE: Duration = Duration::from_mins(1);
const MILLISECOND: Duration = Duration::from_millis(1);
const RULES: Rules = Rules {
    session_timeout: Duration::from_mins(30),
    expiry_warning: MINUTE,
};

const AUTH: &str = r#"{"type":"command","content":"auth","args":{"token":"t"},"id":"a1"}"#;
const PING: &str = r#"{"type":"command","content":"ping","id":"p1"}"#;
const QUERY: &str = r#"{"type":"query","content":"hello","id":"q1"}"#;
const FEEDBACK: &str =
    r#"{"type":"human_feedback","message_id":"00000000-0000-0000-0000-000000000001","rating":1,"id":"f1"}"#;
const BAD: &str = r#"{"type":"query","id":"b1"}"#;

fn just_before(moment: Instant) -> Instant {
    moment.checked_sub(MILLISECOND).unwrap()
}

fn frame(text: &str) -> Result<ClientFrame, BadFrame> {
    parse(text)
}

fn open(lifetime: Duration, now: Instant) -> Conversation {
    Conversation::open(RULES, lifetime, now)
}

/// Everything that is due at a moment.
fn all_due(conversation: &mut Conversation, activity: Activity, now: Instant) -> Vec<Due> {
    let mut due = Vec::new();
    while let Some(next) = conversation.due(activity, now) {
        due.push(next);
        if matches!(next, Due::Close(_)) {
            break;
        }
    }
    due
}

#[test]
fn the_first_frame_must_be_auth() {
    let now = Instant::now();
    for (text, re) in [(PING, "p1"), (QUERY, "q1"), (FEEDBACK, "f1")] {
        let mut conversation = Conversation::awaiting_auth(RULES, 5 * MINUTE, now);
        let Decision::RefuseAndClose(bad, CloseReason::Unauthorized) =
            conversation.on_frame(frame(text), now)
        else {
            panic!("{text} should be refused");
        };
        assert_eq!(bad.refusal.code, ErrorCode::Unauthorized);
        assert_eq!(bad.re.as_ref().map(crate::ids::ClientName::as_str), Some(re));
        assert!(!conversation.is_open());
    }
    let mut conversation = Conversation::awaiting_auth(RULES, 5 * MINUTE, now);
    let decision = conversation.on_frame(frame(AUTH), now);
    assert!(
        matches!(decision, Decision::Authenticate(Some(_), _)),
        "{decision:?}"
    );
    assert!(
        !conversation.is_open(),
        "a token opens nothing before it was checked"
    );
}

#[test]
fn a_bad_first_frame_is_told_what_is_wrong_with_it_and_closes() {
    let now = Instant::now();
    let mut conversation = Conversation::awaiting_auth(RULES, 5 * MINUTE, now);
    let decision = conversation.on_frame(frame(BAD), now);
    let expected = frame(BAD).unwrap_err();
    assert_eq!(
        decision,
        Decision::RefuseAndClose(expected, CloseReason::Unauthorized)
    );
}

#[test]
fn once_open_frames_are_carried_out_and_auth_renews() {
    let now = Instant::now();
    let mut conversation = open(60 * MINUTE, now);
    for text in [PING, QUERY, FEEDBACK] {
        assert_eq!(
            conversation.on_frame(frame(text), now),
            Decision::Carry(frame(text).unwrap())
        );
    }
    assert!(matches!(
        conversation.on_frame(frame(AUTH), now),
        Decision::Authenticate(Some(_), _)
    ));
    assert!(conversation.is_open());
}

#[test]
fn without_auth_in_time_it_closes() {
    let now = Instant::now();
    let mut conversation = Conversation::awaiting_auth(RULES, MINUTE, now);
    assert_eq!(conversation.next_due(), now + MINUTE);
    assert_eq!(conversation.due(Activity::Quiet, just_before(now + MINUTE)), None);
    for later in [MINUTE, MINUTE, 2 * MINUTE] {
        assert_eq!(
            conversation.due(Activity::Busy, now + later),
            Some(Due::Close(CloseReason::Unauthorized))
        );
    }
}

#[test]
fn thirty_bad_frames_in_a_minute_are_borne_and_one_more_is_not() {
    let now = Instant::now();
    let mut conversation = open(60 * MINUTE, now);
    let bad = frame(BAD).unwrap_err();
    for _ in 0..MAX_BAD_FRAMES {
        assert_eq!(
            conversation.on_frame(frame(BAD), now),
            Decision::Refuse(bad.clone())
        );
    }
    assert_eq!(
        conversation.on_frame(frame(BAD), now + BAD_FRAMES_WITHIN),
        Decision::RefuseAndClose(bad.clone(), CloseReason::BadFrames)
    );

    let mut forgiven = open(60 * MINUTE, now);
    for _ in 0..MAX_BAD_FRAMES {
        forgiven.on_frame(frame(BAD), now);
    }
    assert_eq!(
        forgiven.on_frame(frame(BAD), now + BAD_FRAMES_WITHIN + MILLISECOND),
        Decision::Refuse(bad),
        "what is older than a minute no longer counts"
    );
}

#[test]
fn good_frames_do_not_make_up_for_bad_ones() {
    let now = Instant::now();
    let mut conversation = open(60 * MINUTE, now);
    let mut last = None;
    for _ in 0..=MAX_BAD_FRAMES {
        conversation.on_frame(frame(QUERY), now);
        last = Some(conversation.on_frame(frame(BAD), now));
    }
    assert!(matches!(
        last,
        Some(Decision::RefuseAndClose(_, CloseReason::BadFrames))
    ));
}

#[test]
fn a_session_where_nothing_happens_times_out() {
    let now = Instant::now();
    let mut conversation = open(600 * MINUTE, now);
    let end = now + RULES.session_timeout;
    assert_eq!(conversation.next_due(), end);
    assert_eq!(conversation.due(Activity::Quiet, just_before(end)), None);
    assert_eq!(
        conversation.due(Activity::Quiet, end),
        Some(Due::Close(CloseReason::SessionTimeout))
    );
}

#[test]
fn every_frame_but_ping_and_what_is_not_understood_counts_as_activity() {
    let later = RULES.session_timeout / 2;
    for (text, counts) in [
        (PING, false),
        (BAD, false),
        (QUERY, true),
        (FEEDBACK, true),
        (AUTH, true),
    ] {
        let now = Instant::now();
        let mut conversation = open(600 * MINUTE, now);
        conversation.on_frame(frame(text), now + later);
        let due = conversation.due(Activity::Quiet, now + RULES.session_timeout);
        assert_eq!(due.is_none(), counts, "{text}");
    }
}

#[test]
fn a_run_or_another_device_keeps_the_session_from_timing_out() {
    let now = Instant::now();
    let end = now + RULES.session_timeout;
    let mut busy = open(600 * MINUTE, now);
    assert_eq!(busy.due(Activity::Busy, end), None);
    assert_eq!(
        busy.next_due(),
        end + RULES.session_timeout,
        "the time counts from the end of the run"
    );
    assert_eq!(
        busy.due(Activity::Quiet, just_before(end + RULES.session_timeout)),
        None
    );

    let mut told = open(600 * MINUTE, now);
    told.on_activity(end);
    assert_eq!(told.due(Activity::Quiet, end), None);
}

#[test]
fn a_token_is_warned_of_once_and_then_ends_also_while_a_run_is_in_progress() {
    for activity in [Activity::Quiet, Activity::Busy] {
        let now = Instant::now();
        let mut conversation = open(10 * MINUTE, now);
        let (warning, end) = (now + 9 * MINUTE, now + 10 * MINUTE);
        assert_eq!(conversation.next_due(), warning);
        assert_eq!(all_due(&mut conversation, activity, just_before(warning)), []);
        assert_eq!(all_due(&mut conversation, activity, warning), [Due::WarnExpiry]);
        assert_eq!(conversation.next_due(), end);
        assert_eq!(all_due(&mut conversation, activity, just_before(end)), []);
        assert_eq!(
            all_due(&mut conversation, activity, end),
            [Due::Close(CloseReason::TokenExpired)]
        );
    }
}

#[test]
fn a_short_token_is_warned_of_in_its_last_quarter() {
    let now = Instant::now();
    let mut conversation = open(Duration::from_secs(8), now);
    assert_eq!(conversation.next_due(), now + Duration::from_secs(6));
    assert_eq!(
        all_due(&mut conversation, Activity::Quiet, now + Duration::from_secs(6)),
        [Due::WarnExpiry]
    );
}

#[test]
fn an_expired_token_is_not_warned_of_any_more() {
    let now = Instant::now();
    let mut conversation = open(MINUTE, now);
    assert_eq!(
        all_due(&mut conversation, Activity::Quiet, now + MINUTE),
        [Due::Close(CloseReason::TokenExpired)]
    );
}

#[test]
fn a_renewal_moves_the_end_and_the_warning() {
    let now = Instant::now();
    let mut conversation = open(10 * MINUTE, now);
    all_due(&mut conversation, Activity::Quiet, now + 9 * MINUTE);
    conversation.authenticated(10 * MINUTE, now + 9 * MINUTE);
    assert_eq!(all_due(&mut conversation, Activity::Quiet, now + 10 * MINUTE), []);
    assert_eq!(
        all_due(&mut conversation, Activity::Quiet, now + 18 * MINUTE),
        [Due::WarnExpiry]
    );
    assert_eq!(
        all_due(&mut conversation, Activity::Quiet, now + 19 * MINUTE),
        [Due::Close(CloseReason::TokenExpired)]
    );
}

/// Something that happens to a conversation.
#[derive(Clone, Debug)]
enum Input {
    Frame(&'static str),
    Authenticated(Duration),
    Activity,
    Due(Activity),
}

fn input() -> impl Strategy<Value = Input> {
    let activity = prop_oneof![Just(Activity::Busy), Just(Activity::Quiet)];
    prop_oneof![
        prop::sample::select(vec![AUTH, PING, QUERY, FEEDBACK, BAD, "", "[]", "{}"]).prop_map(Input::Frame),
        // Up to what a token of the year 9999 has left.
        (0..300_000_000_000_u64).prop_map(|seconds| Input::Authenticated(Duration::from_secs(seconds))),
        (0..5000_u64).prop_map(|ms| Input::Authenticated(Duration::from_millis(ms))),
        Just(Input::Activity),
        activity.prop_map(Input::Due),
    ]
}

proptest! {
    #[test]
    fn whatever_happens_when_it_closes_it_stays_closed_and_it_never_asks_to_be_woken_at_once(
        opened in any::<bool>(),
        plan in prop::collection::vec((input(), 0..4_000_000_u64, any::<bool>()), 0..60)
    ) {
        let start = Instant::now();
        let mut conversation = if opened {
            open(60 * MINUTE, start)
        } else {
            Conversation::awaiting_auth(RULES, MINUTE, start)
        };
        let mut now = start;
        for (input, ms, back) in plan {
            // Instants of different tasks may come in the wrong order.
            let at = if back { start } else { now };
            match input {
                Input::Frame(text) => {
                    let was_open = conversation.is_open();
                    let decision = conversation.on_frame(frame(text), at);
                    prop_assert!(was_open || matches!(
                        decision,
                        Decision::Authenticate(..) | Decision::RefuseAndClose(_, CloseReason::Unauthorized)
                    ));
                }
                Input::Authenticated(lifetime) => {
                    conversation.authenticated(lifetime, at);
                    prop_assert!(conversation.is_open());
                }
                Input::Activity => conversation.on_activity(at),
                Input::Due(activity) => {
                    let due = all_due(&mut conversation, activity, now);
                    prop_assert!(due.len() <= 2, "{due:?}");
                    if let Some(Due::Close(_)) = due.last() {
                        // A warning may have become due meanwhile; the close still comes after it.
                        let later = all_due(&mut conversation, activity, now + Duration::from_millis(ms));
                        prop_assert!(
                            activity == Activity::Busy || matches!(later.last(), Some(Due::Close(_))),
                            "{later:?}"
                        );
                    } else {
                        prop_assert!(conversation.next_due() > now, "it would be asked again and again");
                    }
                }
            }
            now += Duration::from_millis(ms);
        }
    }

    #[test]
    fn up_to_twenty_bad_frames_a_minute_never_close(
        pauses in prop::collection::vec(0..6000_u64, 0..200)
    ) {
        let start = Instant::now();
        let mut conversation = open(60_000 * MINUTE, start);
        let mut times: Vec<Instant> = Vec::new();
        let mut now = start;
        for pause in pauses {
            now += Duration::from_millis(pause);
            let recent = times.iter().filter(|time| now - **time <= MINUTE).count();
            if recent < 20 {
                times.push(now);
                let decision = conversation.on_frame(frame(BAD), now);
                prop_assert!(matches!(decision, Decision::Refuse(_)), "{decision:?}");
            }
        }
    }
}
