import java.math.BigDecimal;
import java.math.BigInteger;
import java.net.InetAddress;
import java.sql.Array;
import java.sql.Connection;
import java.sql.Date;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.sql.Types;
import java.time.LocalDate;
import java.time.LocalDateTime;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Properties;
import java.util.UUID;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.IntStream;

/**
 * ClickHouse's JDBC driver, as Metabase uses it, against the embedded engine. Ends with an
 * exception, and so a non-zero exit code, on any mismatch.
 *
 * <p>Arguments: HOST:PORT OWNER OWNER_PASSWORD READER READER_PASSWORD
 */
public class Conformance {
    private static final String COLUMNS =
            "n0 UInt32, i8 Int8, i16 Int16, i32 Int32, i64 Int64, i128 Int128, u8 UInt8, u16 UInt16,"
                    + " u32 UInt32, u64 UInt64, f32 Float32, f64 Float64, b Bool, s String, fs FixedString(4),"
                    + " d Date, dt DateTime('UTC'), dt64 DateTime64(6, 'UTC'), id UUID, n Nullable(Int32),"
                    + " a Array(UInt16), m Map(String, UInt32), t Tuple(UInt8, String),"
                    + " lc LowCardinality(String), lcn LowCardinality(Nullable(String)),"
                    + " e8 Enum8('one' = 1, 'two' = 2), dec Decimal(18, 4), ip4 IPv4, ip6 IPv6";

    private static final String TEXT = "tab\t, quote ', line\n\nbackslash \\, я";

    private static String host;

    private static Connection connect(String user, String password) throws SQLException {
        Properties properties = new Properties();
        properties.setProperty("user", user);
        properties.setProperty("password", password);
        return DriverManager.getConnection("jdbc:clickhouse://" + host + "/default", properties);
    }

    private static void same(String what, Object found, Object expected) {
        if (!Objects.equals(found, expected)) {
            throw new AssertionError(what + ": expected " + expected + ", got " + found);
        }
    }

    private interface Action {
        void run() throws Exception;
    }

    private static void refused(String what, int code, Action action) throws Exception {
        try {
            action.run();
        } catch (SQLException error) {
            if (error.getErrorCode() == code || String.valueOf(error.getMessage()).contains("Code: " + code)) {
                return;
            }
            throw new AssertionError(what + ": expected code " + code + ", got " + error, error);
        }
        throw new AssertionError(what + ": was not refused");
    }

    private static void execute(Connection connection, String sql) throws SQLException {
        try (Statement statement = connection.createStatement()) {
            statement.execute(sql);
        }
    }

    private static long count(Connection connection, String sql) throws SQLException {
        try (Statement statement = connection.createStatement(); ResultSet result = statement.executeQuery(sql)) {
            result.next();
            return result.getLong(1);
        }
    }

    private static void types(Connection connection) throws Exception {
        execute(connection, "CREATE OR REPLACE TABLE java_client.types (" + COLUMNS + ") ENGINE = MergeTree ORDER BY n0");
        String literal =
                "INSERT INTO java_client.types VALUES (1, -8, -16, -32, -4611686018427387904,"
                        + " -1267650600228229401496703205376, 8, 16, 32, 9223372036854775808, 0.5, 0.1, true, 'text',"
                        + " 'abcd', '2024-02-29', '2024-02-29 12:30:01', '2024-02-29 12:30:01.123456',"
                        + " '61f0c404-5cb3-11e7-907b-a6006ad3dba0', 7, [1, 2, 3], {'k': 1, 'l': 2}, (1, 'x'),"
                        + " 'low', NULL, 'two', 12345.6789, '192.0.2.1', '2001:db8::1')";
        execute(connection, literal);
        String sql =
                "SELECT * FROM java_client.types WHERE n0 = ? AND s = ? ORDER BY n0";
        try (PreparedStatement statement = connection.prepareStatement(sql)) {
            statement.setInt(1, 1);
            statement.setString(2, "text");
            try (ResultSet row = statement.executeQuery()) {
                same("a row", row.next(), true);
                same("i8", row.getByte("i8"), (byte) -8);
                same("i16", row.getShort("i16"), (short) -16);
                same("i32", row.getInt("i32"), -32);
                same("i64", row.getLong("i64"), -4611686018427387904L);
                same("i128", row.getObject("i128"), new BigInteger("-1267650600228229401496703205376"));
                same("u8", row.getInt("u8"), 8);
                same("u16", row.getInt("u16"), 16);
                same("u32", row.getLong("u32"), 32L);
                same("u64", new BigInteger(row.getString("u64")), new BigInteger("9223372036854775808"));
                same("f32", row.getFloat("f32"), 0.5f);
                same("f64", row.getDouble("f64"), 0.1);
                same("b", row.getBoolean("b"), true);
                same("fs", row.getString("fs"), "abcd");
                same("d", row.getObject("d", LocalDate.class), LocalDate.of(2024, 2, 29));
                same("d as Date", row.getDate("d"), Date.valueOf("2024-02-29"));
                same("dt", row.getObject("dt", LocalDateTime.class), LocalDateTime.of(2024, 2, 29, 12, 30, 1));
                same("dt64", row.getObject("dt64", LocalDateTime.class),
                        LocalDateTime.of(2024, 2, 29, 12, 30, 1, 123_456_000));
                same("id", row.getObject("id", UUID.class), UUID.fromString("61f0c404-5cb3-11e7-907b-a6006ad3dba0"));
                same("n", row.getInt("n"), 7);
                same("n is there", row.wasNull(), false);
                Array array = row.getArray("a");
                int[] numbers = Arrays.stream(elements(array.getArray())).mapToInt(n -> ((Number) n).intValue()).toArray();
                same("a", Arrays.toString(numbers), "[1, 2, 3]");
                Map<?, ?> map = (Map<?, ?>) row.getObject("m");
                same("m", ((Number) map.get("l")).longValue(), 2L);
                same("lc", row.getString("lc"), "low");
                same("lcn", row.getString("lcn"), null);
                same("lcn is null", row.wasNull(), true);
                same("e8", row.getString("e8"), "two");
                same("dec", row.getBigDecimal("dec"), new BigDecimal("12345.6789"));
                same("ip4", address(row.getObject("ip4")), InetAddress.getByName("192.0.2.1"));
                same("ip6", address(row.getObject("ip6")), InetAddress.getByName("2001:db8::1"));
                Object tuple = row.getObject("t");
                Object[] fields = elements(tuple instanceof Array array2 ? array2.getArray() : tuple);
                same("t", ((Number) fields[0]).intValue() + "," + fields[1], "1,x");
                same("type of u64", row.getMetaData().getColumnTypeName(10), "UInt64");
                same("one row", row.next(), false);
            }
        }
    }

    private static Object[] elements(Object array) {
        if (array instanceof Object[] objects) {
            return objects;
        }
        if (array instanceof List<?> list) {
            return list.toArray();
        }
        return IntStream.range(0, java.lang.reflect.Array.getLength(array))
                .mapToObj(i -> java.lang.reflect.Array.get(array, i))
                .toArray();
    }

    private static Object address(Object value) throws Exception {
        return value instanceof InetAddress ? value : InetAddress.getByName(String.valueOf(value).replace("/", ""));
    }

    private static void batches(Connection connection) throws Exception {
        execute(connection, "CREATE OR REPLACE TABLE java_client.batch (id UInt32, s String, n Nullable(Float64)) ENGINE = MergeTree ORDER BY id");
        String sql = "INSERT INTO java_client.batch (id, s, n) VALUES (?, ?, ?)";
        try (PreparedStatement statement = connection.prepareStatement(sql)) {
            for (int id = 0; id < 10_000; id++) {
                statement.setInt(1, id);
                statement.setString(2, TEXT);
                if (id % 2 == 0) {
                    statement.setNull(3, Types.DOUBLE);
                } else {
                    statement.setDouble(3, id / 4.0);
                }
                statement.addBatch();
            }
            statement.executeBatch();
        }
        same("rows of a batch", count(connection, "SELECT count() FROM java_client.batch"), 10_000L);
        same("nulls of a batch", count(connection, "SELECT countIf(n IS NULL) FROM java_client.batch"), 5_000L);
        try (PreparedStatement statement =
                connection.prepareStatement("SELECT s, n FROM java_client.batch WHERE id = ?")) {
            statement.setInt(1, 9_999);
            try (ResultSet row = statement.executeQuery()) {
                row.next();
                same("a text", row.getString(1), TEXT);
                same("a number", row.getDouble(2), 2499.75);
            }
        }
    }

    private static long stream(Connection connection) throws SQLException {
        long sum = 0;
        long rows = 0;
        try (Statement statement = connection.createStatement();
                ResultSet result = statement.executeQuery("SELECT number, toString(number) FROM numbers(2000000)")) {
            while (result.next()) {
                sum += result.getLong(1);
                rows += result.getString(2).isEmpty() ? 0 : 1;
            }
        }
        same("rows streamed", rows, 2_000_000L);
        return sum;
    }

    public static void main(String[] args) throws Exception {
        if (args.length != 5) {
            throw new IllegalArgumentException("HOST:PORT OWNER OWNER_PASSWORD READER READER_PASSWORD");
        }
        host = args[0];
        try (Connection connection = connect(args[1], args[2]); Connection guest = connect(args[3], args[4])) {
            same("the product", connection.getMetaData().getDatabaseProductName(), "ClickHouse");
            execute(connection, "CREATE DATABASE IF NOT EXISTS java_client");
            types(connection);
            batches(connection);
            try (ResultSet tables = connection.getMetaData().getTables(null, "java_client", "%", null)) {
                int found = 0;
                while (tables.next()) {
                    found++;
                }
                same("tables in the metadata", found, 2);
            }

            refused("an unknown table", 60, () -> count(connection, "SELECT * FROM java_client.nowhere"));
            refused("bad syntax", 62, () -> count(connection, "SELECT FROM WHERE"));
            refused("an unknown column", 47, () -> count(connection, "SELECT nothing FROM java_client.types"));
            refused("a wrong password", 516, () -> {
                try (Connection wrong = connect(args[1], "wrong")) {
                    count(wrong, "SELECT 1");
                }
            });

            ExecutorService pool = Executors.newFixedThreadPool(3);
            try {
                List<Callable<Long>> readers = List.of(
                        () -> readWithItsOwn(args), () -> readWithItsOwn(args), () -> readWithItsOwn(args));
                for (Future<Long> sum : pool.invokeAll(readers)) {
                    same("two million rows", sum.get(), 1_999_999_000_000L);
                }
            } finally {
                pool.shutdown();
            }

            same("a reader reads", count(guest, "SELECT count() FROM java_client.types"), 1L);
            refused("a reader's insert", 497, () -> execute(guest, "INSERT INTO java_client.batch VALUES (1, 'x', 1)"));
            refused("a reader's drop", 497, () -> execute(guest, "DROP TABLE java_client.types"));
            refused("a reader's file", 497, () -> count(guest, "SELECT count() FROM file('/etc/passwd', 'LineAsString')"));
            same("nothing was written", count(connection, "SELECT count() FROM java_client.batch"), 10_000L);
            execute(connection, "DROP DATABASE java_client");
        }
    }

    private static long readWithItsOwn(String[] args) throws SQLException {
        try (Connection own = connect(args[3], args[4])) {
            return stream(own);
        }
    }
}
