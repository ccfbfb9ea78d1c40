//! The devices of a worker: accelerators and processors.

use std::collections::BTreeSet;
use std::ffi::OsString;

use super::cpus::Cpus;

/// Variable with the GPUs that a CUDA program sees.
const VISIBLE: &str = "CUDA_VISIBLE_DEVICES";
/// Variable with the order in which CUDA counts GPUs.
const ORDER: &str = "CUDA_DEVICE_ORDER";

/// The devices of one worker.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Device {
    /// Variables that show its accelerators, and no others, to a trial.
    pub environment: Vec<(String, OsString)>,
    /// Processors to which its trials, and the builds that it makes itself, are pinned.
    pub cpus: Cpus,
}

impl Device {
    /// Parses the devices of a worker: `cuda:0` for a GPU as `nvidia-smi` counts them, `cuda:0+1` for several,
    /// `cuda:GPU-…` or `cuda:MIG-…` for one by its UUID, `cpus:0-3` or `cpus:0,2` for processors alone, and `cuda:0/cpus:0-7`
    /// for both. A worker of processors alone sees no GPU. The error says what to write instead.
    ///
    /// ```
    /// use autoresearch_core::Device;
    /// let device = Device::parse("cuda:0+1/cpus:0-7")?;
    /// assert!(device.environment.contains(&("CUDA_VISIBLE_DEVICES".into(), "0,1".into())));
    /// assert_eq!(device.cpus.to_string(), "0-7");
    /// assert!(Device::parse("gpu 0").is_err());
    /// # Ok::<(), String>(())
    /// ```
    #[doc(hidden)]
    pub fn parse(text: &str) -> Result<Device, String> {
        let wrong = |why: String| {
            format!(
                "the device `{text}`: {why}; write for instance `cuda:0`, `cuda:0+1`, `cpus:0-3` or `cuda:0/cpus:0-7`"
            )
        };
        // The UUID of a part of a GPU may itself have slashes.
        let at = ["/cpus:", "/cuda:"].into_iter().filter_map(|part| text.find(part)).min();
        let (first, second) = match at {
            Some(at) => (&text[..at], Some(&text[at + 1..])),
            None => (text, None),
        };
        let (mut gpus, mut cpus) = (None, None);
        for part in [Some(first), second].into_iter().flatten() {
            let twice = match part.split_once(':') {
                Some(("cuda", names)) => gpus.replace(parse_gpus(names).map_err(wrong)?).is_some(),
                Some(("cpus", numbers)) => cpus.replace(parse_cpus(numbers).map_err(wrong)?).is_some(),
                _ => return Err(wrong(format!("`{part}` is neither `cuda:…` nor `cpus:…`"))),
            };
            if twice {
                return Err(wrong("the same kind is named twice; put them together".into()));
            }
        }
        let gpus = gpus.unwrap_or_default();
        let mut environment = vec![(VISIBLE.to_owned(), gpus.join(",").into())];
        if gpus.first().is_some_and(|gpu| is_number(gpu)) {
            // By default the fastest is the first, and what `nvidia-smi` calls 0 need not be that.
            environment.push((ORDER.to_owned(), "PCI_BUS_ID".into()));
        }
        Ok(Device { environment, cpus: cpus.unwrap_or_default() })
    }

    /// Checks that no GPU or processor belongs to two workers, each with one of these; the error says which does.
    ///
    /// ```
    /// use autoresearch_core::Device;
    /// let devices = |texts: [&str; 2]| texts.map(|text| Device::parse(text).unwrap());
    /// assert!(Device::check(&devices(["cuda:0", "cuda:1"])).is_ok());
    /// let error = Device::check(&devices(["cpus:0-3", "cpus:3-5"])).unwrap_err();
    /// assert_eq!(error, "CPU 3 belongs to worker 0 and to worker 1; give each worker CPUs of its own");
    /// ```
    #[doc(hidden)]
    pub fn check(devices: &[Device]) -> Result<(), String> {
        for (second, device) in devices.iter().enumerate() {
            for (first, other) in devices[..second].iter().enumerate() {
                let both = |what: &str, whose: &str| {
                    format!(
                        "{what} belongs to worker {first} and to worker {second}; give each worker {whose} of its own"
                    )
                };
                if let Some(cpu) = device.cpus.iter().find(|cpu| other.cpus.iter().any(|of| of == *cpu)) {
                    return Err(both(&format!("CPU {cpu}"), "CPUs"));
                }
                if device.cpus.is_empty() != other.cpus.is_empty() {
                    let (with, without) = if device.cpus.is_empty() { (first, second) } else { (second, first) };
                    return Err(format!(
                        "worker {without} has no CPUs of its own and would run on those of worker {with}; name the CPUs of \
                         each worker, or of none"
                    ));
                }
                for (gpu, of) in device.gpus().iter().flat_map(|gpu| other.gpus().into_iter().map(move |of| (gpu, of)))
                {
                    if same_gpu(gpu, &of) {
                        return Err(both(&format!("GPU {gpu}"), "GPUs"));
                    }
                    if is_number(gpu) != is_number(&of) {
                        return Err(format!(
                            "whether GPU {of} of worker {first} is GPU {gpu} of worker {second} cannot be told; name all by \
                             number, or all by UUID"
                        ));
                    }
                }
            }
        }
        Ok(())
    }

    /// Lists the GPUs that its trials see, if they are set.
    fn gpus(&self) -> Vec<String> {
        let visible =
            self.environment.iter().rfind(|(name, _)| name == VISIBLE).map(|(_, value)| value.to_string_lossy());
        let visible = visible.unwrap_or_default();
        visible.split(',').map(str::trim).filter(|gpu| !gpu.is_empty()).map(str::to_owned).collect()
    }
}

fn is_number(gpu: &str) -> bool {
    gpu.bytes().all(|byte| byte.is_ascii_digit())
}

/// Compares two names of GPUs by their number or by their UUID, which may be abbreviated to its beginning.
fn same_gpu(one: &str, other: &str) -> bool {
    match (one.parse::<u32>(), other.parse::<u32>()) {
        (Ok(one), Ok(other)) => one == other,
        (Err(_), Err(_)) => one.starts_with(other) || other.starts_with(one),
        _ => false,
    }
}

fn parse_gpus(names: &str) -> Result<Vec<String>, String> {
    let gpus: Vec<String> = names.split('+').map(str::to_owned).collect();
    for (at, gpu) in gpus.iter().enumerate() {
        let is_uuid = (gpu.starts_with("GPU-") || gpu.starts_with("MIG-")) && gpu.len() > 4;
        let fits = gpu.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'/'));
        if !(gpu.parse::<u16>().is_ok() && is_number(gpu) || is_uuid && fits) {
            return Err(format!("`{gpu}` is neither the number of a GPU nor the UUID of one or of a part of one"));
        }
        if gpus[..at].iter().any(|other| same_gpu(gpu, other)) {
            return Err(format!("GPU {gpu} is named twice"));
        }
        if is_number(gpu) != is_number(&gpus[0]) {
            return Err("some GPUs have numbers and some have UUIDs".into());
        }
    }
    Ok(gpus)
}

fn parse_cpus(text: &str) -> Result<Cpus, String> {
    let mut numbers = BTreeSet::new();
    for part in text.split(',') {
        let number = |text: &str| text.parse::<u16>().map_err(|_| format!("`{text}` is no number of a CPU"));
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (number(first)?, number(last)?);
        if last < first {
            return Err(format!("`{part}` ends before it begins"));
        }
        for number in first..=last {
            if !numbers.insert(usize::from(number)) {
                return Err(format!("CPU {number} is named twice"));
            }
        }
    }
    Cpus::new(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn visible(text: &str) -> String {
        Device::parse(text).unwrap().gpus().join(",")
    }

    #[test]
    fn devices_are_read_in_every_way_they_are_written() {
        assert_eq!(
            (visible("cuda:0"), visible("cuda:0+1"), visible("cpus:1")),
            ("0".into(), "0,1".into(), String::new())
        );
        assert_eq!(
            visible("cuda:GPU-8932f937-d72c-4106-c12f-20bd9faed9f6"),
            "GPU-8932f937-d72c-4106-c12f-20bd9faed9f6"
        );
        let part = "MIG-GPU-8932f937-d72c-4106-c12f-20bd9faed9f6/1/2";
        assert_eq!(visible(&format!("cuda:{part}/cpus:0")), part);
        let order = |text: &str| Device::parse(text).unwrap().environment.iter().any(|(name, _)| name == ORDER);
        assert!(order("cuda:3") && !order("cuda:GPU-89") && !order("cpus:0"));
        for (text, cpus) in [("cpus:0-3", "0-3"), ("cpus:0,2", "0,2"), ("cpus:4,0-1/cuda:2", "0-1,4"), ("cuda:2", "")] {
            assert_eq!(Device::parse(text).unwrap().cpus.to_string(), cpus, "{text}");
        }
        // A worker of processors alone does not take another's accelerator.
        assert_eq!(Device::parse("cpus:0").unwrap().environment, [(VISIBLE.to_owned(), "".into())]);
    }

    #[test]
    fn what_is_no_device_is_refused_with_what_to_write() {
        for (text, why) in [
            ("", "neither `cuda:…` nor `cpus:…`"),
            ("gpu:0", "neither `cuda:…` nor `cpus:…`"),
            ("cuda:", "neither the number"),
            ("cuda:0,1", "neither the number"),
            ("cuda:+1", "neither the number"),
            ("cuda:GPU-", "neither the number"),
            ("cuda:GPU-1 2", "neither the number"),
            ("cuda:0+0", "GPU 0 is named twice"),
            ("cuda:0+00", "GPU 00 is named twice"),
            ("cuda:0+GPU-1", "some have UUIDs"),
            ("cpus:", "no number"),
            ("cpus:3-1", "ends before it begins"),
            ("cpus:0,0-2", "CPU 0 is named twice"),
            ("cpus:5000", "there is no CPU 5000"),
            ("cpus:0/cpus:1", "named twice"),
            ("cuda:0/cuda:1", "named twice"),
        ] {
            let error = Device::parse(text).unwrap_err();
            assert!(error.contains(why) && error.contains("write for instance `cuda:0`"), "{text}: {error}");
        }
    }

    #[test]
    fn nothing_belongs_to_two_workers() {
        let check = |texts: &[&str]| {
            let devices: Vec<Device> = texts.iter().map(|text| Device::parse(text).unwrap()).collect();
            Device::check(&devices)
        };
        for sound in [
            &["cuda:0", "cuda:1", "cuda:2+3"][..],
            &["cuda:GPU-1a", "cuda:GPU-2b", "cuda:MIG-1a"],
            &["cuda:0/cpus:0-1", "cpus:2-3"],
            &["cpus:0", "cpus:1"],
            &[],
        ] {
            assert_eq!(check(sound), Ok(()), "{sound:?}");
        }
        for (broken, words) in [
            (&["cuda:0", "cuda:1", "cuda:2+1"][..], "GPU 1 belongs to worker 1 and to worker 2"),
            (&["cuda:GPU-1a2b", "cuda:GPU-1a"], "GPU GPU-1a belongs to worker 0 and to worker 1"),
            (&["cuda:0", "cuda:GPU-1a"], "cannot be told"),
            (&["cpus:0-3", "cpus:2"], "CPU 2 belongs to worker 0 and to worker 1"),
            (&["cuda:0/cpus:0", "cuda:1"], "worker 1 has no CPUs of its own and would run on those of worker 0"),
        ] {
            let error = check(broken).unwrap_err();
            assert!(error.contains(words), "{broken:?}: {error}");
        }
    }
}
