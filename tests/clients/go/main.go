// clickhouse-go over HTTP, as Grafana's data source uses it, against the embedded engine.
// Exits non-zero on any mismatch.
//
// Usage: go run . HOST:PORT OWNER OWNER_PASSWORD READER READER_PASSWORD
package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"reflect"
	"strings"
	"sync"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/google/uuid"
	"github.com/shopspring/decimal"
)

const columns = `
	n0 UInt32, i8 Int8, i16 Int16, i32 Int32, i64 Int64,
	u8 UInt8, u16 UInt16, u64 UInt64,
	f32 Float32, f64 Float64, b Bool, s String, fs FixedString(4),
	d Date, dt DateTime('UTC'), dt64 DateTime64(6, 'UTC'),
	id UUID, n Nullable(Int32), a Array(UInt16), aa Array(Array(String)),
	m Map(String, UInt32), t Tuple(UInt8, String), lc LowCardinality(String),
	lcn LowCardinality(Nullable(String)), e8 Enum8('one' = 1, 'two' = 2),
	dec Decimal(18, 4), ip4 IPv4, ip6 IPv6`

type row struct {
	N0   uint32            `ch:"n0"`
	I8   int8              `ch:"i8"`
	I16  int16             `ch:"i16"`
	I32  int32             `ch:"i32"`
	I64  int64             `ch:"i64"`
	U8   uint8             `ch:"u8"`
	U16  uint16            `ch:"u16"`
	U64  uint64            `ch:"u64"`
	F32  float32           `ch:"f32"`
	F64  float64           `ch:"f64"`
	B    bool              `ch:"b"`
	S    string            `ch:"s"`
	FS   string            `ch:"fs"`
	D    time.Time         `ch:"d"`
	DT   time.Time         `ch:"dt"`
	DT64 time.Time         `ch:"dt64"`
	ID   uuid.UUID         `ch:"id"`
	N    *int32            `ch:"n"`
	A    []uint16          `ch:"a"`
	AA   [][]string        `ch:"aa"`
	M    map[string]uint32 `ch:"m"`
	T    []any             `ch:"t"`
	LC   string            `ch:"lc"`
	LCN  *string           `ch:"lcn"`
	E8   string            `ch:"e8"`
	Dec  decimal.Decimal   `ch:"dec"`
	IP4  net.IP            `ch:"ip4"`
	IP6  net.IP            `ch:"ip6"`
}

func example(number uint32) row {
	seven, low := int32(7), "low"
	r := row{
		N0: number, I8: -8, I16: -16, I32: -32, I64: -1 << 62,
		U8: 8, U16: 16, U64: 1 << 63, F32: 0.5, F64: 0.1, B: true,
		S: "tab\t, quote ', null \x00, я", FS: "abcd",
		D:    time.Date(2024, 2, 29, 0, 0, 0, 0, time.UTC),
		DT:   time.Date(2024, 2, 29, 12, 30, 1, 0, time.UTC),
		DT64: time.Date(2024, 2, 29, 12, 30, 1, 123456000, time.UTC),
		ID:   uuid.MustParse("61f0c404-5cb3-11e7-907b-a6006ad3dba0"),
		N:    &seven, A: []uint16{1, 2, 3}, AA: [][]string{{"a"}, {}, {"b", "c"}},
		M: map[string]uint32{"k": 1, "l": 2}, T: []any{uint8(1), "x"},
		LC: "low", LCN: &low, E8: "two", Dec: decimal.RequireFromString("12345.6789"),
		IP4: net.ParseIP("192.0.2.1").To4(), IP6: net.ParseIP("2001:db8::1"),
	}
	if number%2 == 0 {
		r.N, r.LCN = nil, nil
	}
	return r
}

func fail(format string, values ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", values...)
	os.Exit(1)
}

func must(what string, err error) {
	if err != nil {
		fail("%s: %v", what, err)
	}
}

func same(what string, found, expected any) {
	if !reflect.DeepEqual(found, expected) {
		fail("%s: expected %#v, got %#v", what, expected, found)
	}
}

// refused wants ClickHouse's own code in the error.
func refused(what string, code int32, err error) {
	if err == nil {
		fail("%s: was not refused", what)
	}
	var exception *clickhouse.Exception
	if errors.As(err, &exception) && exception.Code == code {
		return
	}
	if !strings.Contains(err.Error(), fmt.Sprintf("ode: %d", code)) {
		fail("%s: expected code %d, got %v", what, code, err)
	}
}

func open(address, user, password string, compression clickhouse.CompressionMethod) driver.Conn {
	options := &clickhouse.Options{
		Addr:     []string{address},
		Protocol: clickhouse.HTTP,
		Auth:     clickhouse.Auth{Database: "default", Username: user, Password: password},
		Settings: clickhouse.Settings{"max_execution_time": 240},
	}
	if user != os.Args[2] {
		options.Settings = nil
	}
	if compression != clickhouse.CompressionNone {
		options.Compression = &clickhouse.Compression{Method: compression}
	}
	conn, err := clickhouse.Open(options)
	must("open", err)
	return conn
}

func types(conn driver.Conn) {
	ctx := context.Background()
	must("create", conn.Exec(ctx, "CREATE OR REPLACE TABLE go_client.types ("+columns+") ENGINE = MergeTree ORDER BY n0"))
	batch, err := conn.PrepareBatch(ctx, "INSERT INTO go_client.types")
	must("prepare", err)
	for number := uint32(1); number <= 1000; number++ {
		r := example(number)
		must("append", batch.AppendStruct(&r))
	}
	must("send", batch.Send())
	rows, err := conn.Query(ctx, "SELECT * FROM go_client.types ORDER BY n0")
	must("select", err)
	count := uint32(0)
	for rows.Next() {
		count++
		var found row
		must("scan", rows.ScanStruct(&found))
		expected := example(count)
		if !found.Dec.Equal(expected.Dec) || !found.IP4.Equal(expected.IP4) {
			fail("row %d: expected %v, got %v", count, expected, found)
		}
		found.Dec, found.IP4 = expected.Dec, expected.IP4
		found.D, found.DT, found.DT64 = found.D.UTC(), found.DT.UTC(), found.DT64.UTC()
		same(fmt.Sprintf("row %d", count), found, expected)
	}
	must("rows", rows.Err())
	same("rows", count, uint32(1000))

	var id uint32
	var text string
	err = conn.QueryRow(ctx,
		"SELECT n0, s FROM go_client.types WHERE n0 = {id:UInt32} AND s = {text:String}",
		clickhouse.Named("id", "7"), clickhouse.Named("text", example(1).S)).Scan(&id, &text)
	if err != nil {
		// A value with a zero byte cannot travel in every form of a parameter.
		err = conn.QueryRow(ctx, "SELECT n0, s FROM go_client.types WHERE n0 = {id:UInt32} AND e8 = {text:String}",
			clickhouse.Named("id", "7"), clickhouse.Named("text", "two")).Scan(&id, &text)
	}
	must("parameters", err)
	same("parameters", id, uint32(7))
	must("positional", conn.QueryRow(ctx, "SELECT count() FROM go_client.types WHERE lc = ? AND n0 > ?", "low", 990).Scan(new(uint64)))
}

func stream(conn driver.Conn) error {
	rows, err := conn.Query(context.Background(), "SELECT number, toString(number) FROM numbers(2000000)")
	if err != nil {
		return err
	}
	defer rows.Close()
	var count, sum, number uint64
	var text string
	for rows.Next() {
		if err := rows.Scan(&number, &text); err != nil {
			return err
		}
		count++
		sum += number
	}
	if rows.Err() != nil {
		return rows.Err()
	}
	if count != 2_000_000 || sum != 1_999_999_000_000 {
		return fmt.Errorf("%d rows with sum %d", count, sum)
	}
	return nil
}

func main() {
	if len(os.Args) != 6 {
		fail("usage: conformance HOST:PORT OWNER OWNER_PASSWORD READER READER_PASSWORD")
	}
	address, owner, ownerPassword, reader, readerPassword := os.Args[1], os.Args[2], os.Args[3], os.Args[4], os.Args[5]
	ctx := context.Background()
	conn := open(address, owner, ownerPassword, clickhouse.CompressionLZ4)
	must("ping", conn.Ping(ctx))
	version, err := conn.ServerVersion()
	must("version", err)
	if version.Version.Major < 26 {
		fail("server version: %v", version)
	}
	must("database", conn.Exec(ctx, "CREATE DATABASE IF NOT EXISTS go_client"))
	for _, compression := range []clickhouse.CompressionMethod{
		clickhouse.CompressionNone, clickhouse.CompressionLZ4, clickhouse.CompressionZSTD, clickhouse.CompressionGZIP,
	} {
		types(open(address, owner, ownerPassword, compression))
	}

	refused("an unknown table", 60, conn.Exec(ctx, "SELECT * FROM go_client.nowhere"))
	refused("bad syntax", 62, conn.Exec(ctx, "SELEC 1"))
	_, err = conn.Query(ctx, "SELECT nothing FROM go_client.types")
	refused("an unknown column", 47, err)
	refused("a wrong password", 516, open(address, owner, "wrong", clickhouse.CompressionNone).Ping(ctx))

	guest := open(address, reader, readerPassword, clickhouse.CompressionLZ4)
	var count uint64
	must("a reader reads", guest.QueryRow(ctx, "SELECT count() FROM go_client.types").Scan(&count))
	same("a reader reads", count, uint64(1000))
	var group sync.WaitGroup
	failures := make(chan error, 3)
	for range 3 {
		group.Add(1)
		go func() {
			defer group.Done()
			if err := stream(open(address, reader, readerPassword, clickhouse.CompressionLZ4)); err != nil {
				failures <- err
			}
		}()
	}
	group.Wait()
	close(failures)
	for err := range failures {
		fail("two million rows: %v", err)
	}

	batch, err := guest.PrepareBatch(ctx, "INSERT INTO go_client.types")
	if err == nil {
		r := example(5000)
		must("append", batch.AppendStruct(&r))
		err = batch.Send()
	}
	refused("a reader's insert", 497, err)
	refused("a reader's drop", 497, guest.Exec(ctx, "DROP TABLE go_client.types"))
	refused("a reader's file", 497, guest.Exec(ctx, "SELECT * FROM file('/etc/passwd', 'LineAsString')"))
	must("count", conn.QueryRow(ctx, "SELECT count() FROM go_client.types").Scan(&count))
	same("nothing was written", count, uint64(1000))
	must("drop", conn.Exec(ctx, "DROP DATABASE go_client"))
}
