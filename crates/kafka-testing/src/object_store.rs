//! An S3-compatible store: S3Proxy, which keeps its objects in a directory.

use std::path::PathBuf;
use std::process::Command;

use crate::answering::wait_until_answers;
use crate::error::{TestingError, io};
use crate::install;
use crate::ports::Port;
use crate::process::{GuardedProcess, ScratchDirectory};

/// Name of the account that the store knows.
const USER: &str = "grapevine";
/// Its key.
const PASSWORD: &str = "under-the-vine";

/// A running store; it ends when dropped, and what it holds goes with it.
#[derive(Debug)]
pub struct ObjectStore {
    port: Port,
    process: GuardedProcess,
    directory: ScratchDirectory,
}

impl ObjectStore {
    /// Starts it with one empty bucket, and waits until it answers. It demands signed requests.
    ///
    /// # Errors
    /// What is missing on the machine, or its own words.
    pub fn start(bucket: &str) -> Result<ObjectStore, TestingError> {
        let libs = install::s3proxy()?;
        let directory = ScratchDirectory::new()?;
        let port = Port::take()?;
        let objects = directory.path().join("objects");
        let bucket = objects.join(bucket);
        std::fs::create_dir_all(&bucket).map_err(io("cannot create", &bucket))?;
        let properties = directory.path().join("s3proxy.properties");
        let text = format!(
            "s3proxy.authorization=aws-v2-or-v4\n\
             s3proxy.identity={USER}\n\
             s3proxy.credential={PASSWORD}\n\
             s3proxy.endpoint=http://127.0.0.1:{}\n\
             jclouds.provider=filesystem-nio2\n\
             jclouds.identity=unused\n\
             jclouds.credential=unused\n\
             jclouds.filesystem.basedir={}\n",
            port.number(),
            objects.display()
        );
        std::fs::write(&properties, text).map_err(io("cannot write", &properties))?;
        let mut command = Command::new("java");
        command
            .args(["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xmx256m"])
            .arg("-cp")
            .arg(libs.join("*"))
            .arg("org.gaul.s3proxy.Main")
            .arg("--properties")
            .arg(&properties)
            .current_dir(directory.path());
        let output = directory.path().join("output");
        let mut process = GuardedProcess::start(&mut command, &output)?;
        // It forbids what is not signed: it is there.
        wait_until_answers("S3Proxy", &mut process, port.number(), ("/", "403"))?;
        Ok(ObjectStore {
            port,
            process,
            directory,
        })
    }

    /// What a client has to know, as the environment variables that S3's own tools read.
    pub fn environment(&self) -> [(&'static str, String); 5] {
        [
            ("AWS_ENDPOINT_URL", self.url()),
            ("AWS_REGION", "us-east-1".to_owned()),
            ("AWS_ACCESS_KEY_ID", USER.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", PASSWORD.to_owned()),
            ("AWS_ALLOW_HTTP", "true".to_owned()),
        ]
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port.number())
    }

    /// Where an object of that bucket and name is kept.
    pub fn object(&self, bucket: &str, name: &str) -> PathBuf {
        self.directory
            .path()
            .join("objects")
            .join(bucket)
            .join(name)
    }

    /// What it said last.
    pub fn last_words(&self) -> String {
        self.process.last_words(25)
    }
}
