//! Getting the parts: by Maven, once, into the user's cache.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use crate::error::{TestingError, io};

/// Version of Apache Kafka.
pub const KAFKA_VERSION: &str = "4.3.1";
/// Version of Apicurio's registry: the last line that runs on Java 17.
pub const REGISTRY_VERSION: &str = "2.6.13.Final";
/// Version of S3Proxy: the last line that runs on Java 17.
pub const S3PROXY_VERSION: &str = "2.6.0";
/// What all of them need.
const JAVA_VERSION: u32 = 17;
const DEPENDENCY_PLUGIN: &str = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1";
/// Names Kafka and what it logs with; Maven finds the rest.
const KAFKA_POM: &str = include_str!("../kafka.pom.xml");

/// Directory of Kafka's jars, brought there if they are not.
///
/// # Errors
/// No Java 17, no Maven, or what Maven says.
pub(crate) fn kafka() -> Result<PathBuf, TestingError> {
    java()?;
    let name = format!("kafka-{KAFKA_VERSION}");
    obtain(&name, |work| {
        let pom = work.join("pom.xml");
        fs::write(&pom, KAFKA_POM.replace("KAFKA_VERSION", KAFKA_VERSION))
            .map_err(io("cannot write", &pom))?;
        copy_dependencies("Apache Kafka", &pom, &work.join("libs"))
    })
    .map(|directory| directory.join("libs"))
}

/// Java's archive of Kafka's classes, which `make` makes where it is not there yet: one for each version of
/// Java, which takes no other's.
///
/// # Errors
/// Those of the cache, and of `make`.
pub(crate) fn kafka_classes(
    make: impl FnOnce(&Path) -> Result<(), TestingError>,
) -> Result<PathBuf, TestingError> {
    java()?;
    let said = said_by_java().unwrap_or_default();
    let version = said.split('"').nth(1).unwrap_or("unknown");
    let name = format!("kafka-{KAFKA_VERSION}-classes-{version}");
    let archive = |directory: &Path| directory.join("classes.jsa");
    obtain(&name, |work| make(&archive(work))).map(|directory| archive(&directory))
}

/// Directory of what Kafka's tool made of the storage of a broker of this kind, which `make` makes where it
/// is not there yet.
///
/// # Errors
/// Those of the cache, and of `make`.
pub(crate) fn formatted(
    kind: &str,
    make: impl FnOnce(&Path) -> Result<(), TestingError>,
) -> Result<PathBuf, TestingError> {
    obtain(&format!("kafka-{KAFKA_VERSION}-storage-{kind}"), make)
}

/// Apicurio's runnable jar, brought there if it is not.
///
/// # Errors
/// As [`kafka`].
pub(crate) fn registry() -> Result<PathBuf, TestingError> {
    java()?;
    let name = format!("apicurio-registry-{REGISTRY_VERSION}");
    let jar = format!("apicurio-registry-app-{REGISTRY_VERSION}-runner.jar");
    obtain(&name, |work| {
        let artifact = format!("io.apicurio:apicurio-registry-app:{REGISTRY_VERSION}:tar.gz:all");
        maven(
            "Apicurio's registry",
            &[
                // Without a project of its own it would read one in the current directory.
                "-f".to_owned(),
                empty_project(work)?.display().to_string(),
                format!("{DEPENDENCY_PLUGIN}:unpack"),
                format!("-Dartifact={artifact}"),
                format!("-DoutputDirectory={}", work.display()),
            ],
        )
    })
    .map(|directory| directory.join(jar))
}

/// Directory of S3Proxy's jars, brought there if they are not.
///
/// # Errors
/// As [`kafka`].
pub(crate) fn s3proxy() -> Result<PathBuf, TestingError> {
    java()?;
    obtain(&format!("s3proxy-{S3PROXY_VERSION}"), |work| {
        let pom = work.join("pom.xml");
        let text = project(&format!(
            "<dependencies><dependency><groupId>org.gaul</groupId><artifactId>s3proxy</artifactId><version>{S3PROXY_VERSION}</version></dependency></dependencies>"
        ));
        fs::write(&pom, text).map_err(io("cannot write", &pom))?;
        copy_dependencies("S3Proxy", &pom, &work.join("libs"))
    })
    .map(|directory| directory.join("libs"))
}

/// Has Maven copy what a project needs at run time.
fn copy_dependencies(part: &str, pom: &Path, libs: &Path) -> Result<(), TestingError> {
    let arguments = [
        "-f".to_owned(),
        pom.display().to_string(),
        format!("{DEPENDENCY_PLUGIN}:copy-dependencies"),
        "-DincludeScope=runtime".to_owned(),
        format!("-DoutputDirectory={}", libs.display()),
    ];
    maven(part, &arguments)
}

/// The text of a project that builds nothing.
fn project(parts: &str) -> String {
    format!(
        "<project><modelVersion>4.0.0</modelVersion><groupId>grapevine</groupId><artifactId>parts</artifactId><version>1</version><packaging>pom</packaging>{parts}</project>"
    )
}

fn empty_project(work: &Path) -> Result<PathBuf, TestingError> {
    let pom = work.join("pom.xml");
    fs::write(&pom, project("")).map_err(io("cannot write", &pom))?;
    Ok(pom)
}

/// A directory in the cache, made whole by `bring` or not at all: it gets its name by a rename, and
/// one process at a time makes it.
fn obtain(
    name: &str,
    bring: impl FnOnce(&Path) -> Result<(), TestingError>,
) -> Result<PathBuf, TestingError> {
    let cache = cache()?;
    let whole = cache.join(name);
    if whole.exists() {
        return Ok(whole);
    }
    fs::create_dir_all(&cache).map_err(io("cannot create", &cache))?;
    let path = cache.join(format!("{name}.lock"));
    let lock = File::create(&path).map_err(io("cannot write", &path))?;
    lock.lock().map_err(io("cannot lock", &path))?;
    if whole.exists() {
        return Ok(whole);
    }
    let work = cache.join(format!("{name}.partial"));
    // Left by a process that was killed: whoever holds the lock is the only one at work.
    if work.exists() {
        fs::remove_dir_all(&work).map_err(io("cannot remove", &work))?;
    }
    fs::create_dir_all(&work).map_err(io("cannot create", &work))?;
    bring(&work)?;
    fs::rename(&work, &whole).map_err(io("cannot write", &whole))?;
    Ok(whole)
}

/// `testing` in the cache that the engine is kept in as well.
fn cache() -> Result<PathBuf, TestingError> {
    let var = |name| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    var("GRAPEVINE_CACHE")
        .or_else(|| var("XDG_CACHE_HOME").map(|directory| directory.join("grapevine")))
        .or_else(|| var("HOME").map(|directory| directory.join(".cache/grapevine")))
        .map(|directory| directory.join("testing"))
        .ok_or(TestingError::NoCache)
}

fn maven(part: &str, arguments: &[String]) -> Result<(), TestingError> {
    let output = Command::new("mvn")
        // Checksums that do not match fail the fetch.
        .args(["--quiet", "--batch-mode", "--strict-checksums"])
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| match error.kind() {
            ErrorKind::NotFound => TestingError::Missing {
                program: "mvn",
                remedy: "apt-get install maven",
            },
            _ => io("cannot start", "mvn")(error),
        })?;
    if output.status.success() {
        return Ok(());
    }
    // Maven's errors are on standard output; the first says what went wrong, the rest how to ask.
    let said = String::from_utf8_lossy(&output.stdout);
    let reason = said
        .lines()
        .find_map(|line| line.strip_prefix("[ERROR] "))
        .map_or_else(
            || format!("mvn ended with {}", output.status),
            str::to_owned,
        );
    Err(TestingError::Fetch {
        part: part.to_owned(),
        reason,
    })
}

/// What Java says of its version, asked once a process; none where there is no Java.
fn said_by_java() -> Option<&'static str> {
    static SAID: OnceLock<Option<String>> = OnceLock::new();
    let said = SAID.get_or_init(|| {
        let output = Command::new("java").arg("-version").output().ok()?;
        Some(String::from_utf8_lossy(&output.stderr).into_owned())
    });
    said.as_deref()
}

/// Checks that Java is there and new enough.
fn java() -> Result<(), TestingError> {
    let Some(said) = said_by_java() else {
        return Err(TestingError::Missing {
            program: "java",
            remedy: "apt-get install openjdk-17-jre-headless",
        });
    };
    match java_version(said) {
        Some(version) if version >= JAVA_VERSION => Ok(()),
        _ => Err(TestingError::OldJava {
            wanted: JAVA_VERSION,
            found: said.lines().next().unwrap_or_default().to_owned(),
        }),
    }
}

/// The feature release in what `java -version` says: `17` of `"17.0.15"`, `8` of `"1.8.0_402"`.
fn java_version(said: &str) -> Option<u32> {
    let quoted = said.split('"').nth(1)?;
    let mut numbers = quoted.split(['.', '-', '_', '+']);
    let first = numbers.next()?.parse().ok()?;
    match first {
        1 => numbers.next()?.parse().ok(),
        first => Some(first),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn javas_versions_are_read() {
        let openjdk = "openjdk version \"17.0.15\" 2025-04-15\nOpenJDK Runtime Environment";
        assert_eq!(java_version(openjdk), Some(17));
        assert_eq!(java_version("java version \"1.8.0_402\""), Some(8));
        assert_eq!(
            java_version("openjdk version \"25-ea\" 2025-09-16"),
            Some(25)
        );
        assert_eq!(java_version("no such thing"), None);
    }
}
