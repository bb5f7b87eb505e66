"""clickhouse-connect against the embedded engine; exits non-zero on any mismatch.

Usage: conformance.py HOST PORT OWNER OWNER_PASSWORD READER READER_PASSWORD
"""

import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, timezone
from decimal import Decimal
from ipaddress import IPv4Address, IPv6Address
from uuid import UUID

import clickhouse_connect
from clickhouse_connect.driver.exceptions import ClickHouseError, DatabaseError

COLUMNS = """
    i8 Int8, i16 Int16, i32 Int32, i64 Int64, i128 Int128, i256 Int256,
    u8 UInt8, u16 UInt16, u32 UInt32, u64 UInt64, u128 UInt128, u256 UInt256,
    f32 Float32, f64 Float64, b Bool, s String, fs FixedString(4),
    d Date, d32 Date32, dt DateTime('UTC'), dt64 DateTime64(6, 'UTC'),
    id UUID, n Nullable(Int32), a Array(UInt16), aa Array(Array(String)),
    m Map(String, UInt32), t Tuple(UInt8, String), lc LowCardinality(String),
    lcn LowCardinality(Nullable(String)), e8 Enum8('one' = 1, 'two' = 2), e16 Enum16('x' = 1000),
    dec Decimal(18, 4), dec128 Decimal(38, 10), ip4 IPv4, ip6 IPv6
"""

ROW = [
    -8, -16, -32, -(2**62), -(2**100), -(2**200),
    8, 16, 32, 2**63, 2**100, 2**200,
    0.5, 0.1, True, "tab\t, quote ', null \0, я", b"abcd",
    date(2024, 2, 29), date(1950, 1, 1), datetime(2024, 2, 29, 12, 30, 1, tzinfo=timezone.utc),
    datetime(2024, 2, 29, 12, 30, 1, 123456, tzinfo=timezone.utc),
    UUID("61f0c404-5cb3-11e7-907b-a6006ad3dba0"), 7, [1, 2, 3], [["a"], [], ["b", "c"]],
    {"k": 1, "l": 2}, (1, "x"), "low", "low", "two", "x",
    Decimal("12345.6789"), Decimal("-0.0000000001"), IPv4Address("192.0.2.1"), IPv6Address("2001:db8::1"),
]


def same(what, found, expected):
    if found != expected:
        raise SystemExit(f"{what}: expected {expected!r}, got {found!r}")


def refused(what, code, action):
    try:
        action()
    except ClickHouseError as error:
        if f"{code}" not in str(error):
            raise SystemExit(f"{what}: expected code {code}, got {error}") from error
        return
    raise SystemExit(f"{what}: was not refused")


def normal(value):
    """A naive date-time means UTC here."""
    if isinstance(value, datetime) and value.tzinfo is None:
        return value.replace(tzinfo=timezone.utc)
    return value


def main(host, port, owner, owner_password, reader, reader_password):
    def connect(user, password, **options):
        return clickhouse_connect.get_client(
            host=host, port=int(port), username=user, password=password, **options
        )

    client = connect(owner, owner_password)
    client.command("CREATE DATABASE IF NOT EXISTS python_client")
    client.command("DROP TABLE IF EXISTS python_client.types")
    client.command(f"CREATE TABLE python_client.types (n0 UInt32, {COLUMNS}) ENGINE = MergeTree ORDER BY n0")

    empty = list(ROW)
    empty[22] = None
    empty[28] = None
    for compress in (True, "zstd", "gzip", False):
        writer = connect(owner, owner_password, compress=compress)
        summary = writer.insert("python_client.types", [[1, *ROW], [2, *empty]])
        same("written rows", summary.written_rows, 2)
        rows = writer.query("SELECT * FROM python_client.types ORDER BY n0").result_rows
        same(f"rows with compress={compress}", len(rows), 2)
        for found, expected in zip(rows, ([1, *ROW], [2, *empty])):
            for i, (value, wanted) in enumerate(zip(found, expected)):
                same(f"column {i} with compress={compress}", normal(value), wanted)
        writer.command("TRUNCATE TABLE python_client.types")
    client.insert("python_client.types", [[1, *ROW], [2, *empty]])

    result = client.query(
        "SELECT n0, s FROM python_client.types WHERE s = {s:String} AND n0 IN {ids:Array(UInt32)} ORDER BY n0",
        parameters={"s": ROW[15], "ids": [1, 2, 3]},
    )
    same("parameters", [row[0] for row in result.result_rows], [1, 2])
    same("column names", result.column_names, ("n0", "s"))
    same("a setting", client.query("SELECT getSetting('max_block_size')", settings={"max_block_size": 99}).first_item,
         {"getSetting('max_block_size')": 99})
    same("a command's value", client.command("SELECT count() FROM python_client.types"), 2)
    same("no rows", client.query("SELECT n0 FROM python_client.types WHERE 0").result_rows, [])
    same("raw", client.raw_query("SELECT 1 AS a", fmt="JSONEachRow"), b'{"a":1}\n')

    # A session, which clickhouse-connect keeps of itself.
    client.command("CREATE TEMPORARY TABLE temporary (a UInt8)")
    client.insert("temporary", [[5]])
    same("a session's table", client.query("SELECT a FROM temporary").result_rows, [(5,)])

    refused("an unknown table", 60, lambda: client.query("SELECT * FROM python_client.nowhere"))
    refused("bad syntax", 62, lambda: client.command("SELEC 1"))
    refused("an unknown column", 47, lambda: client.query("SELECT nothing FROM python_client.types"))
    refused("a wrong password", 516, lambda: connect(owner, "wrong"))

    def broken():
        with client.query_row_block_stream("SELECT throwIf(number = 3000000) FROM numbers(4000000)") as stream:
            for _ in stream:
                pass

    refused("an error in mid-stream", 395, broken)

    def stream(_):
        own = connect(reader, reader_password)
        total = count = 0
        with own.query_column_block_stream("SELECT number, toString(number) FROM numbers(2000000)") as blocks:
            for numbers, texts in blocks:
                total += sum(numbers)
                count += len(texts)
        own.close()
        return count, total

    with ThreadPoolExecutor(3) as pool:
        for outcome in pool.map(stream, range(3)):
            same("two million rows", outcome, (2_000_000, 1_999_999_000_000))

    guest = connect(reader, reader_password)
    same("a reader reads", guest.command("SELECT count() FROM python_client.types"), 2)
    refused("a reader's insert", 497, lambda: guest.insert("python_client.types", [[3, *ROW]]))
    refused("a reader's drop", 497, lambda: guest.command("DROP TABLE python_client.types"))
    refused("a reader's file", 497, lambda: guest.query("SELECT * FROM file('/etc/passwd', 'LineAsString')"))
    same("nothing was written", client.command("SELECT count() FROM python_client.types"), 2)
    client.command("DROP DATABASE python_client")


if __name__ == "__main__":
    if len(sys.argv) != 7:
        raise SystemExit(__doc__)
    try:
        main(*sys.argv[1:])
    except DatabaseError as error:
        raise SystemExit(f"unexpected error: {error}") from error
