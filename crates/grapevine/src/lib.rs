//! The grapevine command: local, import, report, query, simulate, demo.
