//! The processors that a command may run on.

use std::fmt;

/// Number of processors that can be named: as many as the system's own set has room for.
const MOST: usize = 1024;

/// A set of processors, by the system's numbers from 0. The empty set, which is the default, pins nothing.
///
/// Pinning is Linux's (`sched_setaffinity`); elsewhere it has no effect, see [`Cpus::SUPPORTED`].
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Cpus([u64; MOST / 64]);

impl Cpus {
    /// Tells whether this system can pin a command at all.
    #[doc(hidden)]
    pub const SUPPORTED: bool = cfg!(target_os = "linux");

    /// Makes a set of these numbers. The error names the number that is too great.
    ///
    /// ```
    /// use autoresearch_core::Cpus;
    /// assert_eq!(Cpus::new([3, 0, 1])?.to_string(), "0-1,3");
    /// assert!(Cpus::new([4096]).is_err());
    /// # Ok::<(), String>(())
    /// ```
    pub fn new(numbers: impl IntoIterator<Item = usize>) -> Result<Cpus, String> {
        let mut set = Cpus::default();
        for number in numbers {
            let word = set.0.get_mut(number / 64);
            let word = word.ok_or_else(|| format!("there is no CPU {number}; numbers go up to {}", MOST - 1))?;
            *word |= 1 << (number % 64);
        }
        Ok(set)
    }

    /// Tells whether nothing is pinned.
    #[doc(hidden)]
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    /// Iterates over the numbers, ascending.
    #[doc(hidden)]
    pub fn iter(&self) -> impl Iterator<Item = usize> {
        let words = self.0;
        (0..MOST).filter(move |number| words[number / 64] >> (number % 64) & 1 == 1)
    }

    /// Returns the processors that this process may use, and so every command that it starts: those that a container or an
    /// administrator allows. Empty where pinning is not supported.
    #[doc(hidden)]
    pub fn allowed() -> Cpus {
        allowed()
    }

    /// Checks that a command can be pinned to these here; the error says what to do. Always succeeds where pinning has no effect.
    #[doc(hidden)]
    pub fn check(&self) -> Result<(), String> {
        if self.is_empty() { Ok(()) } else { tried(*self) }
    }
}

impl fmt::Display for Cpus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut numbers = self.iter().peekable();
        let mut separator = "";
        while let Some(first) = numbers.next() {
            let mut last = first;
            while let Some(next) = numbers.next_if_eq(&(last + 1)) {
                last = next;
            }
            match last - first {
                0 => write!(f, "{separator}{first}")?,
                _ => write!(f, "{separator}{first}-{last}")?,
            }
            separator = ",";
        }
        Ok(())
    }
}

impl fmt::Debug for Cpus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cpus({self})")
    }
}

#[cfg(not(target_os = "linux"))]
fn tried(_cpus: Cpus) -> Result<(), String> {
    Ok(())
}

/// Pins a thread that ends at once: only the system knows what a container or an administrator allows.
#[cfg(target_os = "linux")]
fn tried(cpus: Cpus) -> Result<(), String> {
    let allowed = allowed();
    let result = std::thread::spawn(move || cpus.apply().map(|()| self::allowed())).join();
    let hint = "change the CPUs of the configuration, or leave them out";
    match result {
        Ok(Ok(got)) if got == cpus => Ok(()),
        Ok(Err(error)) if error.raw_os_error() != Some(libc::EINVAL) => {
            Err(format!("this system does not allow to pin a command to CPUs ({error}); {hint}"))
        }
        _ => Err(format!("a command cannot be pinned to the CPUs {cpus}: allowed here are {allowed}; {hint}")),
    }
}

#[cfg(not(target_os = "linux"))]
fn allowed() -> Cpus {
    Cpus::default()
}

/// Returns the processors that the calling thread may use.
#[cfg(target_os = "linux")]
fn allowed() -> Cpus {
    // SAFETY: the set is plain old data, and the call fills no more than its size.
    let set = unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &mut set);
        set
    };
    // SAFETY: reads a bit of the set, within its size.
    Cpus::new((0..MOST).filter(|number| unsafe { libc::CPU_ISSET(*number, &set) })).unwrap_or_default()
}

#[cfg(target_os = "linux")]
impl Cpus {
    /// Pins the calling thread, and so what it starts. Makes only system calls, as is needed after a fork.
    pub(super) fn apply(&self) -> std::io::Result<()> {
        if self.is_empty() {
            return Ok(());
        }
        // SAFETY: the set lives on this stack, and every number is within its size.
        let result = unsafe {
            let mut set: libc::cpu_set_t = std::mem::zeroed();
            self.iter().for_each(|number| libc::CPU_SET(number, &mut set));
            libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &set)
        };
        if result == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_shown_as_ranges() {
        let shown = |numbers: &[usize]| Cpus::new(numbers.iter().copied()).unwrap().to_string();
        assert_eq!(
            (shown(&[]), shown(&[7]), shown(&[0, 1, 2, 64, 65, 1023])),
            (String::new(), "7".into(), "0-2,64-65,1023".into())
        );
        assert!(Cpus::new([1024]).unwrap_err().contains("1024"));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_is_not_there_cannot_be_pinned_to() {
        let allowed = allowed();
        assert!(allowed.check().is_ok() && Cpus::default().check().is_ok());
        let missing = (0..MOST).rev().find(|number| !allowed.iter().any(|other| other == *number)).unwrap();
        let also = allowed.iter().chain([missing]);
        for cpus in [Cpus::new([missing]), Cpus::new(also)] {
            let error = cpus.unwrap().check().unwrap_err();
            assert!(error.contains(&format!("allowed here are {allowed}")), "{error}");
        }
        assert_eq!(super::allowed(), allowed, "the check pins nothing that lasts");
    }
}
