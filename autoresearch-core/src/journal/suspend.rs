//! The time in which the machine was suspended: what the clock since the boot counts and the monotonic one does not.

use std::time::{Duration, Instant, SystemTime};

/// The two clocks are not read at the same moment, so a smaller difference is none.
const SHORTEST: Duration = Duration::from_secs(1);

/// Longest time without a look at the time since the boot, in case the wall clock was put back in a suspend.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// Reads the time since the boot, suspends included; `None` where the system does not tell.
type Uptime = fn() -> Option<Duration>;

/// Measures how long the machine was suspended.
pub(super) struct SuspendClock {
    uptime: Uptime,
    /// Both clocks at the end of the last suspend.
    since: Option<(Duration, Instant)>,
    /// The clocks that cost nothing at the last look at the time since the boot, which costs a file. `None`: it is always read.
    looked: Option<(SystemTime, Instant)>,
}

impl SuspendClock {
    pub(super) fn start() -> SuspendClock {
        SuspendClock { looked: Some((SystemTime::now(), Instant::now())), ..SuspendClock::over(since_boot) }
    }

    pub(super) fn over(uptime: Uptime) -> SuspendClock {
        SuspendClock { uptime, since: uptime().map(|uptime| (uptime, Instant::now())), looked: None }
    }

    /// Returns how long the machine was suspended since the last call that found a suspend, or since the start.
    pub(super) fn suspended(&mut self) -> Duration {
        if let Some((wall, began)) = self.looked {
            // The wall clock goes on in a suspend.
            let ahead = wall.elapsed().unwrap_or(LOOK_EVERY).saturating_sub(began.elapsed());
            if ahead < SHORTEST && began.elapsed() < LOOK_EVERY {
                return Duration::ZERO;
            }
            self.looked = Some((SystemTime::now(), Instant::now()));
        }
        let Some(((before, began), now)) = self.since.zip((self.uptime)()) else { return Duration::ZERO };
        // The standard library's clock stands still in a suspend on Linux.
        let suspended = now.saturating_sub(before).saturating_sub(began.elapsed());
        if suspended < SHORTEST {
            return Duration::ZERO;
        }
        self.since = Some((now, Instant::now()));
        suspended
    }
}

/// The time since the boot by `CLOCK_BOOTTIME`, which Linux shows in a file.
fn since_boot() -> Option<Duration> {
    if !cfg!(target_os = "linux") {
        return None;
    }
    let text = std::fs::read_to_string("/proc/uptime").ok()?;
    Duration::try_from_secs_f64(text.split_whitespace().next()?.parse().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    thread_local! {
        static SLEPT: Cell<u64> = const { Cell::new(0) };
    }

    /// This machine's clock, which was suspended for so many seconds beside.
    fn with_suspends() -> Option<Duration> {
        static START: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
        Some(Duration::from_secs(1000 + SLEPT.get()) + START.elapsed())
    }

    #[test]
    fn a_suspend_is_measured_once() {
        let mut clock = SuspendClock::over(with_suspends);
        assert_eq!(clock.suspended(), Duration::ZERO);
        SLEPT.set(7200);
        let found = clock.suspended();
        assert!(found.abs_diff(Duration::from_secs(7200)) < Duration::from_millis(500), "{found:?}");
        assert_eq!(clock.suspended(), Duration::ZERO, "it was told");
        SLEPT.set(7260);
        assert!(clock.suspended() > Duration::from_secs(59), "another one");
    }

    #[test]
    fn a_suspend_is_looked_for_where_the_wall_clock_ran_ahead() {
        let two_hours = Duration::from_secs(7200);
        let looked = |wall| Some((wall, Instant::now()));
        SLEPT.set(0);
        let mut clock = SuspendClock { looked: looked(SystemTime::now()), ..SuspendClock::over(with_suspends) };
        SLEPT.set(two_hours.as_secs());
        assert_eq!(clock.suspended(), Duration::ZERO, "no look, since the clocks agree");
        clock.looked = looked(SystemTime::now() - two_hours);
        assert!(clock.suspended() > two_hours / 2);
        // A clock that was put back tells nothing, so the time since the boot is asked.
        SLEPT.set(2 * two_hours.as_secs());
        clock.looked = looked(SystemTime::now() + two_hours);
        assert!(clock.suspended() > two_hours / 2);
    }

    #[test]
    fn a_machine_that_is_awake_was_not_suspended() {
        let mut clock = SuspendClock::start();
        std::thread::sleep(Duration::from_millis(50));
        assert_eq!(clock.suspended(), Duration::ZERO);
        assert_eq!(SuspendClock::over(|| None).suspended(), Duration::ZERO, "a system that does not tell");
        if cfg!(target_os = "linux") {
            assert!(since_boot().is_some());
        }
    }
}
