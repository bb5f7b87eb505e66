//! Freed memory goes back to the kernel. A test binary of its own: it measures the whole process.
#![cfg(all(target_os = "linux", target_env = "gnu"))]

use std::sync::Barrier;
use std::thread;

const THREADS: usize = 8;
const BUFFER_BYTES: usize = 6 << 20;

/// Memory of the process that is not pages of files, bytes.
fn anonymous_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("of this process");
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"))
        .expect("RssAnon");
    let kilobytes = line.trim().trim_end_matches(" kB");
    kilobytes.parse::<usize>().expect("a number") * 1024
}

/// Uses two buffers at once, and frees them, like a batch and its block.
fn use_buffers() {
    let buffers = [vec![1_u8; BUFFER_BYTES], vec![1_u8; BUFFER_BYTES]];
    std::hint::black_box(&buffers);
}

#[test]
fn large_buffers_are_given_back_by_every_thread() {
    grapevine_embedded::bound_heap();
    let before = anonymous_bytes();
    let used = Barrier::new(THREADS + 1);
    let measured = Barrier::new(THREADS + 1);
    let held = thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                // From the second time on glibc by itself would serve them from an arena.
                for _ in 0..4 {
                    use_buffers();
                }
                used.wait();
                measured.wait();
            });
        }
        used.wait();
        let held = anonymous_bytes().saturating_sub(before);
        measured.wait();
        held
    });
    assert!(
        held < BUFFER_BYTES,
        "{held} bytes are held after all was freed"
    );
}
