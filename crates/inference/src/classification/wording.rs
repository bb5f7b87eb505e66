//! Details of evidence that would otherwise be put together for every visit.

/// Path lengths and parameter counts in words, made once.
#[derive(Debug)]
pub(super) struct Wording {
    paths: Vec<String>,
    parameters: Vec<String>,
}

const PATH_MAX: usize = 400;
const PARAMETERS_MAX: usize = 20;

impl Default for Wording {
    fn default() -> Self {
        let paths = (0..=PATH_MAX).map(|length| format!("{length}-character path"));
        let parameters = (0..=PARAMETERS_MAX).map(|count| match count {
            1 => "1 parameter that belongs to the content".to_owned(),
            _ => format!("{count} parameters that belong to the content"),
        });
        Wording {
            paths: paths.collect(),
            parameters: parameters.collect(),
        }
    }
}

impl Wording {
    pub(super) fn path(&self, length: u16) -> &str {
        let known = self.paths.get(usize::from(length));
        known.map_or("path of more than 400 characters", String::as_str)
    }

    pub(super) fn parameters(&self, count: u16) -> &str {
        let known = self.parameters.get(usize::from(count));
        known.map_or(
            "more than 20 parameters that belong to the content",
            String::as_str,
        )
    }
}
