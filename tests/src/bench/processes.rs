//! What processes have used, as Linux tells it.

use std::ops::Sub;

/// Ticks of `/proc/PID/stat` a second: `USER_HZ`, the same on every Linux of this architecture.
const TICKS: f64 = 100.0;

/// What a process has used since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Used {
    /// Seconds of CPU, of user and system, all threads.
    pub(super) cpu: f64,
    /// Most memory in RAM so far, bytes.
    pub(super) memory: u64,
}

impl Sub for Used {
    type Output = Used;

    /// What was used since `before`; the peak of memory is that of the whole life.
    fn sub(self, before: Used) -> Used {
        Used {
            cpu: self.cpu - before.cpu,
            memory: self.memory,
        }
    }
}

/// What a process has used so far; nothing of one that is gone.
pub(super) fn used(process: u32) -> Used {
    let read = |file: &str| std::fs::read_to_string(format!("/proc/{process}/{file}"));
    Used {
        cpu: read("stat").ok().and_then(|text| cpu(&text)).unwrap_or(0.0),
        memory: (read("status").ok().and_then(|text| peak(&text))).unwrap_or(0),
    }
}

fn cpu(stat: &str) -> Option<f64> {
    // After the name in brackets the 12th and 13th field are user and system time.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let (user, system): (f64, f64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some((user + system) / TICKS)
}

fn peak(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1024)
}

/// Processes that wanted to run in the last minute, on average: above the number of cores, figures
/// are those of a busy machine.
pub(super) fn load_average() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or("unknown").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn linux_is_read_right() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 8 0 100 1 1";
        assert_eq!(cpu(stat), Some(3.0));
        assert_eq!(peak("Name:\ta\nVmHWM:\t    2048 kB\n"), Some(2_097_152));
        assert!(used(std::process::id()).memory > 1 << 20);
        assert_eq!(used(u32::MAX), Used::default());
    }
}
