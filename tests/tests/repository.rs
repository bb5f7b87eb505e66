//! The repository itself: the house rules that can be checked are.

use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// Every file that is, or would be, committed.
fn files() -> Vec<PathBuf> {
    let listed = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output()
        .expect("git lists the files: install it with apt-get install git");
    assert!(
        listed.status.success(),
        "git ls-files: {}",
        String::from_utf8_lossy(&listed.stderr)
    );
    let text = String::from_utf8(listed.stdout).expect("file names are UTF-8");
    let files: Vec<_> = text
        .lines()
        .map(PathBuf::from)
        .filter(|path| root().join(path).is_file())
        .collect();
    assert!(files.len() > 50, "only {} files found", files.len());
    files
}

fn text(path: &Path) -> String {
    String::from_utf8_lossy(&std::fs::read(root().join(path)).expect("reads")).into_owned()
}

fn rust_files() -> Vec<PathBuf> {
    files()
        .into_iter()
        .filter(|path| path.extension().is_some_and(|ending| ending == "rs"))
        .collect()
}

#[test]
fn files_stay_small_enough_to_hold_in_the_head() {
    let long: Vec<_> = rust_files()
        .into_iter()
        .map(|path| (text(&path).lines().count(), path))
        .filter(|(lines, _)| *lines > 700)
        .collect();
    assert!(long.is_empty(), "find the second idea in {long:?}");
}

#[test]
fn no_name_says_nothing() {
    for path in files() {
        for part in path.iter().filter_map(|part| part.to_str()) {
            let stem = part.split('.').next().unwrap_or(part);
            assert!(
                ![
                    "util", "utils", "common", "helper", "helpers", "misc", "shared"
                ]
                .contains(&stem),
                "{}",
                path.display()
            );
        }
    }
}

#[test]
fn every_crate_says_what_it_is_for_and_forbids_unsafe_code() {
    let crates: Vec<_> = std::fs::read_dir(root().join("crates"))
        .expect("crates")
        .map(|entry| {
            entry
                .expect("entry")
                .file_name()
                .into_string()
                .expect("UTF-8")
        })
        .collect();
    assert!(crates.len() >= 10);
    let map = text(Path::new("ARCHITECTURE.md"));
    for name in crates {
        let lib = text(&PathBuf::from(format!("crates/{name}/src/lib.rs")));
        assert!(lib.starts_with("//! "), "{name} opens with what it is for");
        let rule = match name.as_str() {
            // They call C: in one module each, which ARCHITECTURE.md names.
            "embedded" | "log" => "#![deny(unsafe_code)]",
            _ => "#![forbid(unsafe_code)]",
        };
        assert!(lib.contains(rule), "{name}: {rule}");
        assert!(
            map.contains(&format!("crates/{name}")),
            "ARCHITECTURE.md leaves out crates/{name}"
        );
    }
}

#[test]
fn nothing_is_left_for_later() {
    let markers = [
        "todo!(",
        "unimplemented!(",
        "dbg!(",
        "#[ignore",
        concat!("FIX", "ME"),
        concat!("XX", "X:"),
    ];
    for path in rust_files()
        .into_iter()
        .filter(|path| !path.ends_with("tests/tests/repository.rs"))
    {
        let text = text(&path);
        for marker in markers {
            assert!(!text.contains(marker), "{} has {marker}", path.display());
        }
    }
}

#[test]
fn what_the_readme_links_to_is_there() {
    for page in files()
        .into_iter()
        .filter(|path| path.extension().is_some_and(|ending| ending == "md"))
    {
        let text = text(&page);
        for link in text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next())
        {
            let target = link.split('#').next().unwrap_or(link);
            if target.is_empty() || target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            let folder = page.parent().unwrap_or(Path::new(""));
            assert!(
                root().join(folder).join(target).exists(),
                "{} links to {link}, which is not there",
                page.display()
            );
        }
    }
}
