use super::{Times, median, scaled};

#[test]
fn a_quantile_is_the_time_that_so_many_do_not_exceed() {
    let mut times = Times::default();
    for ms in (0..=100).rev() {
        times.add(ms * 1_000_000);
    }
    let times = times.sorted();
    assert_eq!(times.quantile_ms(0.5), Some(50.0));
    assert_eq!(times.quantile_ms(0.99), Some(99.0));
    assert_eq!(times.quantile_ms(1.0), Some(100.0));
    assert_eq!(Times::default().sorted().quantile_ms(0.5), None);
}

#[test]
fn a_curve_ends_where_too_few_times_are_left() {
    let mut times = Times::default();
    (0..600).for_each(|ns| times.add(ns));
    let last = times.sorted().curve().last().map(|point| point.0);
    assert_eq!(
        last,
        Some(0.99),
        "six of 600 are above it, less than one above 0.999"
    );
}

#[test]
fn a_median_is_in_the_middle() {
    assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
    assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
    assert_eq!(median(&[f64::NAN, 7.0]), Some(7.0));
    assert_eq!(median(&[]), None);
}

#[test]
fn a_scaled_count_is_never_none() {
    assert_eq!(scaled(100, 0.1), 10);
    assert_eq!(scaled(3, 0.01), 1);
}
