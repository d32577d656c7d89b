package schema

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"slices"
	"strconv"
	"strings"
	"testing"

	"nightjar/mysqldump/choose"
	"nightjar/mysqldump/servertest"
)

// A typeCase is a type and expressions for values of it; only names the kinds of server that have it, if not all do.
type typeCase struct {
	definition string
	values     []string
	only       []servertest.Kind
}

var (
	mariadb    = []servertest.Kind{servertest.MariaDB1011, servertest.MariaDB118}
	mysqls     = []servertest.Kind{servertest.MySQL57, servertest.MySQL97}
	vector     = []servertest.Kind{servertest.MySQL97}
	zerofilled = []string{"0", "1", "7", "65535"}
)

func allBytes() string {
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	return "x'" + hex.EncodeToString(all) + "'"
}

func typeCases() []typeCase {
	reals := []string{"0", "-0e0", "'-0'", "-1*0e0", "1", "-1.5", "16777215", "16777217", "0.1", "1e-7", "3.4028234e38", "-3.4028234e38", "1.17549435e-38", "1e-45", "1e10", "1e15", "1e16", "123456789012345678"}
	doubles := append([]string{"1.7976931348623157e308", "-1.7976931348623157e308", "2.2250738585072014e-308", "5e-324", "0.30000000000000004", "9007199254740993", "1e22", "1e23"}, reals...)
	integers := []string{"0", "-1", "1", "127", "-128", "2147483647", "-2147483648", "9223372036854775807", "-9223372036854775808", "18446744073709551615"}
	dates := []string{"'2024-02-29'", "'0000-00-00'", "'2024-00-00'", "'2024-02-31'", "'9999-12-31'", "'0001-01-01'"}
	times := []string{"'2024-02-29 23:59:59.999999'", "'1970-01-01 00:00:01'", "'0000-00-00'", "'2024-00-31 01:02:03.000001'", "'9999-12-31 23:59:59'", "'2038-01-19 03:14:07'"}
	cases := []typeCase{
		{"float", reals, nil}, {"float unsigned zerofill", reals, nil}, {"float(10,2)", reals, nil}, {"double", doubles, nil}, {"double(20,3) zerofill", doubles, nil}, {"double(60,30)", reals, nil},
		{"decimal(65,30)", doubles, nil}, {"decimal(10,2) unsigned zerofill", reals, nil}, {"decimal(10)", reals, nil},
		{"tinyint", integers, nil}, {"tinyint(1)", integers, nil}, {"smallint unsigned", integers, nil}, {"mediumint", integers, nil}, {"int", integers, nil}, {"bigint", integers, nil}, {"bigint unsigned", integers, nil},
		{"int(7) unsigned zerofill", zerofilled, nil}, {"tinyint(3) zerofill", zerofilled, nil}, {"bigint zerofill", integers, nil},
		{"year", []string{"0", "'0'", "1901", "2155", "70"}, nil}, {"bit(1)", []string{"0", "1"}, nil}, {"bit(64)", []string{"0", "1", "b'101'", "18446744073709551615"}, nil}, {"bit(17)", []string{"0", "131071", "39"}, nil},
		{"date", dates, nil}, {"datetime", times, nil}, {"datetime(6)", times, nil}, {"timestamp NULL", times, nil}, {"timestamp(6) NULL", times, nil},
		{"time", []string{"'838:59:59'", "'-838:59:59'", "'00:00:00'", "'-00:00:01'"}, nil}, {"time(6)", []string{"'-00:00:00.000001'", "'838:59:58.999999'", "'1 2:3:4.5'"}, nil},
		{"binary(8)", []string{"''", "x'00'", "'a  '", "x'2000ff27225c0a0d1a'"}, nil}, {"varbinary(300)", []string{"''", "x'00'", "'a  '", allBytes()}, nil},
		{"blob", []string{"''", allBytes()}, nil}, {"longblob", []string{"repeat(x'00ff',999)"}, nil}, {"tinyblob", []string{"x'00'"}, nil}, {"mediumblob", []string{allBytes()}, nil},
		{"text CHARACTER SET utf8mb4", []string{"''", "_utf8mb4'é語😀'", "_utf8mb4'a\\0\\n\\r\\Z\\'\\\"\\\\%_ '"}, nil},
		{"set('','a','b') CHARACTER SET latin1", []string{"0", "1", "3", "6"}, nil}, {"enum('a,','''',',''') CHARACTER SET latin1", []string{"0", "1", "2", "3"}, nil},
		{"set('a','b''c','é') CHARACTER SET latin1", []string{"''", "'a'", "5", "7"}, nil},
		{"enum('x','','é','a''b','3') CHARACTER SET latin1", []string{"''", "0", "1", "2", "3", "4", "5", "'3'", "'no'"}, nil},
		{"enum('0','1') CHARACTER SET ucs2", []string{"0", "1", "2"}, nil}, {"set('語','b') CHARACTER SET sjis", []string{"0", "1", "3"}, nil},
		{"enum('a','b') CHARACTER SET binary", []string{"0", "1", "2"}, nil},
		{"json", []string{"'{\"é\": [1, 2.5, null, true, \"a\\\\\"b\"]}'", "'1'", "'\"x\"'", "'null'", "'1e100'", "'1.0'", "'{}'"}, nil},
		{"json ", []string{"CAST(18446744073709551615 AS json)", "json_array(1e15,123456789012345678e0,1e-10,0.1e0,-0e0)", "json_array(1.10,json_object(_utf8mb4'a\\\\\"é', 123456789012345678901234567890.5, _utf8mb4']', json_array(_utf8mb4'x,', 0.00, 7)),12345678901234567890123)", "cast(1.10 as json)"}, mysqls},
		{"geometry", []string{"ST_GeomFromText('POINT(1 2)')", "ST_GeomFromText('POLYGON((0 0,1 0,1 1,0 0))', 7)", "ST_GeomFromText('GEOMETRYCOLLECTION(POINT(1 2),LINESTRING(0 0,1 1))')"}, []servertest.Kind{servertest.MariaDB1011, servertest.MariaDB118, servertest.MySQL57}},
		{"geometry ", []string{"ST_GeomFromText('POINT(1 2)', 4326)", "ST_GeomFromText('POINT(1 2)')", "ST_GeomFromText('GEOMETRYCOLLECTION EMPTY')"}, vector},
		{"point SRID 4326", []string{"ST_GeomFromText('POINT(1 2)', 4326)"}, vector}, {"multipolygon", []string{"ST_GeomFromText('MULTIPOLYGON(((0 0,1 0,1 1,0 0)))')"}, nil},
		{"vector(3)", []string{"string_to_vector('[1,-2.5,1e-30]')"}, vector}, {"vector(3) ", []string{"vec_fromtext('[1,-2.5,1e-30]')"}, []servertest.Kind{servertest.MariaDB118}},
		{"uuid", []string{"'12345678-1234-1234-1234-123456789abc'", "'00000000-0000-0000-0000-000000000000'"}, mariadb}, {"inet6", []string{"'::'", "'::ffff:1.2.3.4'", "'fe80::1'"}, mariadb},
		{"inet4", []string{"'1.2.3.4'", "'0.0.0.0'"}, mariadb},
		{"text COMPRESSED", []string{"repeat('é',999)", "''"}, mariadb},
	}
	for _, charset := range []string{"ucs2", "utf16", "utf16le", "utf32", "utf8", "utf8mb4", "latin1", "latin2", "ascii", "binary", "sjis", "cp932", "ujis", "eucjpms", "gbk", "gb2312", "big5", "euckr", "cp1251", "koi8r", "hebrew", "tis620", "swe7", "gb18030"} {
		c := typeCase{definition: "char(9) CHARACTER SET " + charset, values: []string{"''", "_utf8mb4'é'", "_utf8mb4'語ソ表'", "_utf8mb4'я\\\\\\''", "'a'", "_utf8mb4'€'", "'\\0\\n'", "_utf8mb4'😀'"}}
		if charset == "gb18030" {
			c.only = mysqls
		}
		cases = append(cases, c, typeCase{"varchar(9) CHARACTER SET " + charset, append(c.values, "' a '"), c.only}, typeCase{"text CHARACTER SET " + charset, c.values, c.only})
	}
	return cases
}

// testValues: of each type, the text that Value prints has the CRC-32 that the server computes, and what Literal writes makes the same value.
func testValues(t *testing.T, p peer) {
	c := connect(t, p)
	run(t, c, "SET SESSION sql_mode='NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES'", "CREATE DATABASE types_ CHARACTER SET latin1", "USE types_")
	var cases []typeCase
	for _, tc := range typeCases() {
		if tc.only == nil || slices.Contains(tc.only, p.kind) {
			cases = append(cases, tc)
		}
	}
	engine := map[bool]string{false: "MyISAM", true: "InnoDB"}
	for i, tc := range cases {
		run(t, c, fmt.Sprintf("CREATE TABLE a%d (id int PRIMARY KEY, v %s) ENGINE=%s", i, tc.definition, engine[strings.HasPrefix(tc.definition, "vector") || strings.Contains(tc.definition, "SRID")]))
		for j, v := range append(tc.values[:len(tc.values):len(tc.values)], "NULL") {
			if tc.definition == "json" {
				v = strings.Replace("_utf8mb4"+v, "_utf8mb4NULL", "NULL", 1)
			}
			run(t, c, fmt.Sprintf("INSERT IGNORE INTO a%d VALUES (%d,%s)", i, j, v))
		}
	}
	inv, err := Read(t.Context(), c, choose.Selection{Databases: []string{"types\\_"}})
	if err != nil {
		t.Fatal(err)
	}
	run(t, c, "USE types_")
	if len(inv.Tables) != len(cases) {
		t.Fatalf("%d tables of %d", len(inv.Tables), len(cases))
	}
	for _, table := range inv.Tables {
		i, _ := strconv.Atoi(table.Name[1:])
		tc, column := cases[i], table.Columns[1]
		insert := []byte(fmt.Sprintf("INSERT INTO b%d (id,v) VALUES ", i))
		value, rows := column.Value(), 0
		err := c.Query(t.Context(), "SELECT "+value+", CRC32("+value+") FROM "+table.Name+" ORDER BY id", func(row [][]byte) error {
			if row[0] != nil && strconv.FormatUint(uint64(crc32.ChecksumIEEE(row[0])), 10) != string(row[1]) {
				t.Errorf("%s: %s prints %q, of which the server's CRC-32 is another", tc.definition, value, row[0])
			}
			insert = fmt.Appendf(insert, "(%d,", rows)
			insert = append(column.Literal()(insert, bytes.Clone(row[0])), "),"...)
			rows++
			return nil
		})
		if err != nil {
			t.Errorf("%s: %v", tc.definition, err)
			continue
		}
		run(t, c, fmt.Sprintf("CREATE TABLE b%d LIKE a%d", i, i))
		if err := c.Exec(t.Context(), string(insert[:len(insert)-1])); err != nil {
			t.Errorf("%s: %v: %.2000q", tc.definition, err, insert)
			continue
		}
		differ := fmt.Sprintf("SELECT a.id, HEX(a.v), HEX(b.v) FROM a%d a JOIN b%d b USING (id) WHERE NOT BINARY a.v <=> BINARY b.v OR HEX(a.v)<>HEX(b.v)", i, i)
		err = c.Query(t.Context(), differ, func(row [][]byte) error {
			t.Errorf("%s: row %s was %s, and is %s", tc.definition, row[0], row[1], row[2])
			return nil
		})
		var sums []string
		if err == nil {
			err = c.Query(t.Context(), fmt.Sprintf("CHECKSUM TABLE a%d, b%d", i, i), func(row [][]byte) error {
				sums = append(sums, string(row[1]))
				return nil
			})
		}
		if err != nil || len(sums) != 2 || column.DataType != "json" && sums[0] != sums[1] || sums[0] == "" {
			t.Errorf("%s: checksums %q, %v: %q", tc.definition, sums, err, insert)
		}
	}
}
