//! What comes out of a measurement: quantiles and medians. Called by the benchmarks.

use std::time::Duration;

/// Times of one thing that was done many times, in ascending order.
#[derive(Debug)]
pub(crate) struct Times(Vec<Duration>);

impl FromIterator<Duration> for Times {
    fn from_iter<I: IntoIterator<Item = Duration>>(times: I) -> Self {
        let mut times: Vec<Duration> = times.into_iter().collect();
        times.sort_unstable();
        Self(times)
    }
}

impl Times {
    /// The time that this many of a thousand do not exceed.
    fn quantile(&self, of_a_thousand: usize) -> Duration {
        let place = (self.0.len() * of_a_thousand).div_ceil(1000).saturating_sub(1);
        self.0.get(place).copied().unwrap_or_default()
    }

    /// Half of them are not above this.
    pub(crate) fn p50(&self) -> Duration {
        self.quantile(500)
    }

    /// One in a hundred is above this.
    pub(crate) fn p99(&self) -> Duration {
        self.quantile(990)
    }

    /// The longest.
    pub(crate) fn max(&self) -> Duration {
        self.quantile(1000)
    }
}

/// The middle one of some figures.
pub(crate) fn median(figures: impl IntoIterator<Item = f64>) -> f64 {
    let mut figures: Vec<f64> = figures.into_iter().collect();
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}

/// A time as the tables show it.
pub(crate) fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
