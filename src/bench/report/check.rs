//! Whether a fresh measurement is as good as the published one, within a tolerance. Pure. Called by `run`.

use super::{Goal, Suite, Table};

/// Says in a line each what has become worse than published: of figures with a goal, and as ratios where the goal is one.
pub(in crate::bench) fn worse(suite: Suite, published: &Table, fresh: &Table, tolerance: f64) -> Vec<String> {
    let figures = suite.figures().into_iter();
    figures
        .filter_map(|(name, goal)| {
            let find = |table: &Table| table.lines.iter().find(|line| line.figure == name).cloned();
            let (then, now) = (find(published)?, find(fresh)?);
            let (then, now, smaller_is_better) = match goal {
                Goal::RatioAtLeast(_) => (then.ratio, now.ratio, false),
                Goal::RatioAtMost(_) => (then.ratio, now.ratio, true),
                Goal::AtLeast(_) => (then.service, now.service, false),
                Goal::AtMost(_) => (then.service, now.service, true),
                Goal::None => return None,
            };
            let (then, now) = (then?, now.unwrap_or(f64::NAN));
            let bound = if smaller_is_better {
                then * (1.0 + tolerance)
            } else {
                then / (1.0 + tolerance)
            };
            let holds = if smaller_is_better {
                now <= bound
            } else {
                now >= bound
            };
            (!holds).then(|| {
                format!(
                    "{}, {name}: {now:.3} now, {then:.3} published, {bound:.3} allowed",
                    suite.name()
                )
            })
        })
        .collect()
}
