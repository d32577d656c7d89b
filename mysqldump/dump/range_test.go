package dump

import (
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"nightjar/mysqldump/choose"
	"nightjar/mysqldump/ranges"
	"nightjar/mysqldump/servertest"
	"nightjar/mysqldump/sum"
)

// A space is a kind of key that a table may have.
type space struct {
	name    string
	columns string // with the key
	draw    func(r *rand.Rand) string
	whole   bool // stays in one file
	mariadb bool // has it alone
}

func quoted(charset string, text []byte) string {
	return charset + "x'" + hex.EncodeToString(text) + "'"
}

func word(r *rand.Rand, letters []string, most int) []byte {
	var b strings.Builder
	for range r.IntN(most + 1) {
		b.WriteString(letters[r.IntN(len(letters))])
	}
	return []byte(b.String())
}

var letters = []string{"a", "A", "b", "B", "ä", "Ä", "ß", "ss", "é", "E", " ", "z", "Z", "0", "_", "%", "'", "\\", "\x00", "\n", "語", "😀"}

func draws(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.UintN(256))
	}
	return b
}

func numbers(format string, draw func(r *rand.Rand) any) func(r *rand.Rand) string {
	return func(r *rand.Rand) string { return fmt.Sprintf(format, draw(r)) }
}

var spaces = []space{
	{name: "dense", columns: "k INT PRIMARY KEY", draw: numbers("%d", func(r *rand.Rand) any { return r.IntN(1000) })},
	{name: "sparse", columns: "k BIGINT PRIMARY KEY", draw: numbers("%d", func(r *rand.Rand) any { return int64(r.Uint64() >> r.UintN(64)) })},
	{name: "negative", columns: "k BIGINT PRIMARY KEY", draw: numbers("%d", func(r *rand.Rand) any { return int64(r.Uint64()) })},
	{name: "huge", columns: "k BIGINT UNSIGNED PRIMARY KEY", draw: numbers("%d", func(r *rand.Rand) any { return ^uint64(0) - r.Uint64()>>r.UintN(64) })},
	{name: "tiny", columns: "k TINYINT UNSIGNED, l SMALLINT, PRIMARY KEY (k,l)", draw: func(r *rand.Rand) string { return fmt.Sprintf("%d,%d", r.IntN(3), r.IntN(60000)-30000) }},
	{name: "constant", columns: "k INT, l INT, m INT, PRIMARY KEY (k,l,m)", draw: func(r *rand.Rand) string { return fmt.Sprintf("7,%d,%d", r.IntN(2), r.IntN(3000)) }},
	{name: "ci", columns: "k VARCHAR(60) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci PRIMARY KEY", draw: func(r *rand.Rand) string { return quoted("_utf8mb4 ", word(r, letters, 8)) }},
	{name: "unicode", columns: "k VARCHAR(60) CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci, l INT, PRIMARY KEY (k,l)", draw: func(r *rand.Rand) string {
		return quoted("_utf8mb4 ", word(r, letters, 3)) + fmt.Sprintf(",%d", r.IntN(10))
	}},
	{name: "latin", columns: "k CHAR(20) CHARACTER SET latin1 PRIMARY KEY", draw: func(r *rand.Rand) string { return quoted("_latin1 ", draws(r, r.IntN(6))) }},
	{name: "wide", columns: "k VARCHAR(20) CHARACTER SET utf16 PRIMARY KEY", draw: func(r *rand.Rand) string {
		return "CONVERT(" + quoted("_utf8mb4 ", word(r, letters, 6)) + " USING utf16)"
	}},
	{name: "sjis", columns: "k VARCHAR(20) CHARACTER SET sjis PRIMARY KEY", draw: func(r *rand.Rand) string {
		return "CONVERT(" + quoted("_utf8mb4 ", word(r, letters, 6)) + " USING sjis)"
	}},
	{name: "bin", columns: "k VARCHAR(60) CHARACTER SET utf8 COLLATE utf8_bin PRIMARY KEY", draw: func(r *rand.Rand) string { return quoted("_utf8mb4 ", word(r, letters[:20], 6)) }},
	{name: "bytes", columns: "k VARBINARY(20) PRIMARY KEY", draw: func(r *rand.Rand) string { return quoted("", draws(r, r.IntN(6))) }},
	{name: "fixed", columns: "k BINARY(16) PRIMARY KEY", draw: func(r *rand.Rand) string { return quoted("", draws(r, r.IntN(17))) }},
	{name: "text_uuid", columns: "k CHAR(36) PRIMARY KEY", draw: func(r *rand.Rand) string {
		x := hex.EncodeToString(draws(r, 16))
		return "'" + x[:8] + "-" + x[8:12] + "-" + x[12:16] + "-" + x[16:20] + "-" + x[20:] + "'"
	}},
	{name: "day", columns: "k DATE, l INT, PRIMARY KEY (k,l)", draw: func(r *rand.Rand) string {
		return []string{"'0000-00-00'", "'2020-00-00'", "'2021-02-31'", fmt.Sprintf("'20%02d-0%d-1%d'", r.IntN(30), 1+r.IntN(9), r.IntN(10))}[min(3, r.IntN(20))] + fmt.Sprintf(",%d", r.IntN(50))
	}},
	{name: "moment", columns: "k DATETIME(6) PRIMARY KEY", draw: func(r *rand.Rand) string {
		return fmt.Sprintf("'20%02d-0%d-1%d 0%d:11:12.%06d'", r.IntN(30), 1+r.IntN(9), r.IntN(10), r.IntN(10), r.IntN(1000000))
	}},
	{name: "stamp", columns: "k TIMESTAMP(2) NOT NULL, l BIGINT, PRIMARY KEY (k,l)", draw: func(r *rand.Rand) string {
		return fmt.Sprintf("'20%02d-0%d-1%d 0%d:11:12.%02d',%d", r.IntN(30), 1+r.IntN(9), r.IntN(10), r.IntN(10), r.IntN(100), r.IntN(5))
	}},
	{name: "money", columns: "k DECIMAL(30,5) PRIMARY KEY", draw: numbers("%d.12345", func(r *rand.Rand) any { return int64(r.Uint64() >> r.UintN(64)) })},
	{name: "behind", columns: "w INT NOT NULL, k INT PRIMARY KEY", draw: func(r *rand.Rand) string { return fmt.Sprintf("%d,%d", r.IntN(5000), r.IntN(5000)) }},
	{name: "secondary", columns: "k INT NOT NULL, l INT, UNIQUE KEY u (k)", draw: func(r *rand.Rand) string { return fmt.Sprintf("%d,NULL", r.IntN(5000)-2500) }},
	{name: "chosen", columns: "k ENUM('z','a','m'), l INT, PRIMARY KEY (k,l)", whole: true, draw: func(r *rand.Rand) string { return fmt.Sprintf("%d,%d", 1+r.IntN(3), r.IntN(1000)) }},
	{name: "second_chosen", columns: "l INT, k ENUM('z','a','m'), PRIMARY KEY (l,k)", draw: func(r *rand.Rand) string { return fmt.Sprintf("%d,%d", r.IntN(1000), 1+r.IntN(3)) }},
	{name: "floating", columns: "k DOUBLE PRIMARY KEY", whole: true, draw: numbers("%g", func(r *rand.Rand) any { return r.NormFloat64() })},
	{name: "prefixed", columns: "k TEXT, l INT AUTO_INCREMENT, PRIMARY KEY (k(3), l), KEY (l)", whole: true, draw: func(r *rand.Rand) string { return quoted("", word(r, letters[:10], 6)) + ",NULL" }},
	{name: "keyless", columns: "k INT", whole: true, draw: func(r *rand.Rand) string { return fmt.Sprint(r.IntN(10)) }},
	{name: "uuid", columns: "k UUID PRIMARY KEY", mariadb: true, draw: func(r *rand.Rand) string { return "'" + hex.EncodeToString(draws(r, 16)) + "'" }},
	{name: "address", columns: "k INET6 PRIMARY KEY", mariadb: true, draw: func(r *rand.Rand) string { return fmt.Sprintf("'%x::%x'", r.IntN(1<<16), r.IntN(1<<16)) }},
}

// fill makes a table of each space with rows, about as many as are asked for. If the statistics are to be wrong, they are
// those of a table without rows.
func fill(t *testing.T, s *servertest.Server, r *rand.Rand, database string, rows int, wrong bool) {
	statements := []string{"SET NAMES utf8mb4", "SET SESSION sql_mode='ALLOW_INVALID_DATES,NO_AUTO_VALUE_ON_ZERO'", "CREATE DATABASE IF NOT EXISTS " + database, "USE " + database}
	for _, p := range spaces {
		if p.mariadb && !s.Kind.MariaDB() {
			continue
		}
		create := fmt.Sprintf("CREATE TABLE IF NOT EXISTS %s (%s, v VARCHAR(300)) ENGINE=InnoDB", p.name, p.columns)
		if wrong {
			create += " STATS_PERSISTENT=1 STATS_AUTO_RECALC=0"
		}
		statements = append(statements, create, "ANALYZE TABLE "+p.name)
		var values []string
		for range rows {
			values = append(values, fmt.Sprintf("(%s,'%s')", p.draw(r), strings.Repeat("x", r.IntN(300))))
		}
		statements = append(statements, "INSERT IGNORE INTO "+p.name+" VALUES "+strings.Join(values, ","))
		if !wrong {
			statements = append(statements, "ANALYZE TABLE "+p.name)
		}
	}
	s.Exec(t, statements...)
}

// Each row is in one of the ranges, once, whatever the keys are; and the ranges stay where they are from night to night.
func TestRanges(t *testing.T) {
	servertest.Each(t, func(t *testing.T, k servertest.Kind) {
		s := servertest.Start(t, k)
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		r := rand.New(rand.NewPCG(seed, 0))
		o := options()
		o.Selection = choose.Selection{Databases: []string{"spaces"}}
		var before *memory
		for night := range 3 {
			fill(t, s, r, "spaces", []int{300, 30, 200}[night], false)
			o.RangeBytes = 4000 + r.Uint64N(4000)
			if before != nil {
				o.Previous = before.source()
			}
			m, _ := dumpOf(t, s, o)
			want, got := sums(t, s), noted(m)
			for _, p := range spaces {
				if p.mariadb && !k.MariaDB() {
					continue
				}
				name := "spaces." + p.name
				files := m.rowFiles("spaces", p.name)
				if got[name] != want[name] {
					t.Errorf("night %d: the rows of %s are %s, not %s, in %d files", night, p.name, got[name], want[name], len(files))
				}
				if (len(files) == 1) != p.whole {
					t.Errorf("night %d: the rows of %s are in %d files", night, p.name, len(files))
				}
				checkChain(t, m, "spaces", p.name)
				if before != nil {
					kept(t, before, m, p.name)
				}
			}
			before = m
		}
		testOutgrown(t, s, r)
	})
}

// A table of which the server says that it is small, though it is not, is read as a whole, into several files.
func testOutgrown(t *testing.T, s *servertest.Server, r *rand.Rand) {
	o := options()
	o.Selection = choose.Selection{Databases: []string{"grown"}}
	o.RangeBytes = 10000 // twice that is more than one page of 16 KiB
	for night := range 2 {
		fill(t, s, r, "grown", 300, true)
		m, _ := dumpOf(t, s, o)
		o.Previous = m.source()
		want, got := sums(t, s), noted(m)
		for _, p := range spaces {
			if p.mariadb && !s.Kind.MariaDB() {
				continue
			}
			name := "grown." + p.name
			files := m.rowFiles("grown", p.name)
			if total, err := sum.Parse(want[name]); got[name] != want[name] || err != nil || rowsOf(t, m, name) != total.Rows {
				t.Errorf("night %d: the rows of %s are %s, in %d files that have %d, not %s", night, name, got[name], len(files), rowsOf(t, m, name), want[name])
			}
			if (len(files) == 1) != p.whole {
				t.Errorf("night %d: the rows of %s are in %d files", night, name, len(files))
			}
			checkChain(t, m, "grown", p.name)
		}
	}
}

// checkChain sees that the ranges have neither gap nor overlap.
func checkChain(t *testing.T, m *memory, database, table string) {
	t.Helper()
	var found []ranges.Range
	for _, f := range m.source() {
		of, r, ok := ranges.Noted(f.Name, f.Notes)
		if f.Notes["database"] == database && f.Notes["object"] == table && f.Notes["kind"] == "40-rows" && !ok {
			t.Errorf("%s: its notes cannot be used again: %v", f.Name, f.Notes)
		}
		if ok && of == [2]string{database, table} {
			found = append(found, r)
		}
	}
	if ranges.Chain(found) == nil {
		t.Errorf("the ranges of %s are no chain: %v", table, found)
	}
}

// kept sees that files begin where those of the same name did.
func kept(t *testing.T, before, now *memory, table string) {
	t.Helper()
	for _, name := range before.rowFiles("spaces", table) {
		if f := now.files[name]; f == nil {
			t.Errorf("%s is not there any more", name)
		} else if f.notes["from"] != before.files[name].notes["from"] {
			t.Errorf("%s begins at %s, not at %s", name, f.notes["from"], before.files[name].notes["from"])
		}
	}
}
