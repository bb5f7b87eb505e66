//! Collector, access-log importer: everything that puts hits on the log.
