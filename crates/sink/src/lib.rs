//! ClickHouse schema, migrations and the exactly-once writer.
