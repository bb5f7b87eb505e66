//! What a service tells on `/metrics`.

use super::Failed;

/// Samples of one look, in the order told.
#[derive(Debug)]
pub(super) struct Scrape(Vec<(String, f64)>);

impl Scrape {
    /// Looks at a port of this machine.
    ///
    /// # Errors
    /// Nobody listens there, or it does not answer well.
    pub(super) fn of(port: u16) -> Result<Scrape, Failed> {
        let wrong = |error: reqwest::Error| Failed(format!("/metrics: {error}"));
        let answer = reqwest::blocking::get(format!("http://127.0.0.1:{port}/metrics"));
        let answer = answer.and_then(reqwest::blocking::Response::error_for_status);
        Ok(Scrape::read(&answer.map_err(wrong)?.text().map_err(wrong)?))
    }

    fn read(text: &str) -> Scrape {
        let samples = text.lines().filter(|line| !line.starts_with('#'));
        let sample = |line: &str| {
            let (series, value) = line.rsplit_once(' ')?;
            Some((series.to_owned(), value.parse().ok()?))
        };
        Scrape(samples.filter_map(sample).collect())
    }

    fn of_metric<'a>(
        &'a self,
        metric: &'a str,
        labels: &'a [&'a str],
    ) -> impl Iterator<Item = f64> + 'a {
        let all = self.0.iter().filter(move |(series, _)| {
            let name = series.split('{').next().unwrap_or(series);
            name == metric && labels.iter().all(|label| series.contains(label))
        });
        all.map(|(_, value)| *value)
    }

    /// Sum of a metric's series that have every one of `labels`, such as `stage="chain"`.
    pub(super) fn sum(&self, metric: &str, labels: &[&str]) -> f64 {
        // Of none it is 0, where summing gives -0.
        self.of_metric(metric, labels).sum::<f64>() + 0.0
    }

    /// How many such series there are.
    pub(super) fn series(&self, metric: &str) -> usize {
        self.of_metric(metric, &[]).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_are_summed_by_name_and_labels() {
        let text = "# TYPE a counter\na_total{stage=\"chain\",part=\"x\"} 3\n\
                    a_total{stage=\"classify\",part=\"x\"} 4.5\nab_total 9\n# EOF\n";
        let scrape = Scrape::read(text);
        assert_eq!(scrape.sum("a_total", &[]), 7.5);
        assert_eq!(
            scrape.sum("a_total", &["stage=\"chain\"", "part=\"x\""]),
            3.0
        );
        assert_eq!(scrape.sum("a_total", &["part=\"y\""]), 0.0);
        assert_eq!(scrape.series("a_total"), 2);
    }
}
