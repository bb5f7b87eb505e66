//! The line that shows how far an import is.

use std::path::Path;

use grapevine_producer::import::Progress;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::numerals::count;

/// Shown on standard error where that is a terminal; otherwise nothing is.
#[derive(Clone, Debug)]
pub(super) struct ProgressLine {
    bar: ProgressBar,
}

impl ProgressLine {
    pub(super) fn new(file: &Path, hidden: bool) -> Self {
        let target = if hidden {
            ProgressDrawTarget::hidden()
        } else {
            ProgressDrawTarget::stderr()
        };
        let bar = ProgressBar::with_draw_target(None, target);
        let name = file
            .file_name()
            .unwrap_or(file.as_os_str())
            .to_string_lossy()
            .into_owned();
        ProgressLine {
            bar: bar.with_prefix(name),
        }
    }

    /// Shows the bytes of the source and what became of them.
    pub(super) fn show(&self, progress: &Progress) {
        if self.bar.length().is_none() {
            self.begin(progress.bytes_total);
        }
        self.bar.set_position(progress.bytes_read);
        let rate = progress.lines as f64 / self.bar.elapsed().as_secs_f64().max(0.001);
        self.bar.set_message(format!(
            "{} lines, {} a second",
            count(progress.lines as f64),
            count(rate)
        ));
    }

    /// Shows bytes alone, where the lines are counted elsewhere.
    pub(super) fn show_bytes(&self, sent: u64, total: Option<u64>) {
        if self.bar.length().is_none() {
            self.begin(total);
        }
        self.bar.set_position(sent);
    }

    fn begin(&self, total: Option<u64>) {
        let template = match total {
            Some(total) => {
                self.bar.set_length(total);
                "{prefix} {bar:24} {percent} %  {msg}  {eta} left"
            }
            None => "{prefix} {spinner} {bytes}  {msg}",
        };
        // The templates are fixed; one that did not parse would show as indicatif's own line.
        if let Ok(style) = ProgressStyle::with_template(template) {
            self.bar.set_style(style);
        }
    }

    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
