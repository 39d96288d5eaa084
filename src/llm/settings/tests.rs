//! The rules that the settings themselves follow.

use super::*;

#[test]
fn pauses_double_up_to_their_cap_and_chance_takes_any_part_of_them() {
    let retry = Retry::default();
    let bounds = [0, 1, 2, 3, 4, 5, u32::MAX].map(|retries| retry.pause(retries, 1.0).as_millis());
    assert_eq!(bounds, [500, 1_000, 2_000, 4_000, 8_000, 8_000, 8_000]);
    assert_eq!(retry.pause(3, 0.25), Duration::from_secs(1));
    assert_eq!(retry.pause(3, 0.0), Duration::ZERO);
}
