package mysqldump

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"
	"time"
)

var noon = time.Date(2026, 11, 29, 12, 0, 0, 123456000, time.UTC)

func mustUUID(t testing.TB, text string) UUID {
	t.Helper()
	id, err := ParseUUID(text)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

type written struct {
	name string
	p    Position
	text string
}

func writtenPositions(t testing.TB) []written {
	return []written{
		{"file and offset", Position{File: "mysql-bin.000123", Offset: 45678901}, "mysql-bin.000123:45678901"},
		{"file alone", Position{File: "mysql-bin.000123"}, "mysql-bin.000123"},
		{"first event", Position{File: "mysql-bin.000001", Offset: 4}, "mysql-bin.000001:4"},
		{"GTIDs alone", Position{GTIDs: mustSet(t, "0-1-79569,1-2-3")}, "gtid=0-1-79569,1-2-3"},
		{"MariaDB", Position{
			File: "m1-bin.000001", Offset: 74407841, GTIDs: mustSet(t, "0-1-79569"), ServerID: 1, Flavor: MariaDB,
			Version: "10.11.19-MariaDB-0+deb12u1-log", Time: noon,
		}, "m1-bin.000001:74407841 gtid=0-1-79569 server-id=1 flavor=mariadb version=10.11.19-MariaDB-0+deb12u1-log time=2026-11-29T12:00:00.123456Z"},
		{"MariaDB whose binary log is in InnoDB", Position{
			GTIDs: mustSet(t, "0-1-5"), ServerID: 1, Flavor: MariaDB, Version: "12.3.1-MariaDB-log",
		}, "gtid=0-1-5 server-id=1 flavor=mariadb version=12.3.1-MariaDB-log"},
		{"MySQL without GTIDs", Position{
			File: "mysql-bin.000003", Offset: 154, ServerID: 1<<32 - 1, ServerUUID: mustUUID(t, uuidB), Flavor: MySQL, Version: "5.7.29-log",
		}, "mysql-bin.000003:154 server-id=4294967295 server-uuid=" + uuidB + " flavor=mysql version=5.7.29-log"},
		{"MySQL with tags", Position{
			File: "m9-bin.000002", Offset: 1<<64 - 1, GTIDs: mustSet(t, uuidC+":1-3:backup:1,\n"+uuidA+":7"), ServerID: 9,
			ServerUUID: mustUUID(t, uuidC), Flavor: MySQL, Version: "9.7.4", Time: noon.Truncate(time.Second),
		}, "m9-bin.000002:18446744073709551615 gtid=" + uuidA + ":7," + uuidC + ":1-3:backup:1 server-id=9 server-uuid=" + uuidC +
			" flavor=mysql version=9.7.4 time=2026-11-29T12:00:00Z"},
		{"name that looks like other things", Position{File: "gtid=0-1-2 a:5%\n.000001", Offset: 5}, "gtid%3D0-1-2%20a%3A5%25%0A.000001:5"},
		{"name in another alphabet", Position{File: "журнал\xff", Offset: 5}, "%D0%B6%D1%83%D1%80%D0%BD%D0%B0%D0%BB%FF:5"},
		{"version with words", Position{File: "b", Version: "8.0.36 (Percona, 28)=\x1b[1m"}, "b version=8.0.36%20%28Percona%2C%2028%29%3D%1B%5B1m"},
		{"years", Position{File: "b", Time: time.Date(9999, 12, 31, 23, 59, 59, 999999999, time.UTC)}, "b time=9999-12-31T23:59:59.999999999Z"},
	}
}

func TestPositionText(t *testing.T) {
	for _, c := range writtenPositions(t) {
		t.Run(c.name, func(t *testing.T) {
			if got := c.p.String(); got != c.text {
				t.Errorf("%q, not %q", got, c.text)
			}
			got, err := Parse(c.text)
			if err != nil || !got.Equal(c.p) || got.IsZero() {
				t.Errorf("%+v, %v", got, err)
			}
			if err := c.p.Check(); err != nil {
				t.Error(err)
			}
			b, err := json.Marshal(map[string]Position{"position": c.p})
			var back map[string]Position
			if err != nil || json.Unmarshal(b, &back) != nil || !back["position"].Equal(c.p) {
				t.Errorf("%s, %v", b, err)
			}
		})
	}
}

// The text is of the instant, wherever it was read.
func TestPositionTime(t *testing.T) {
	here := Position{File: "b", Time: noon}
	there := Position{File: "b", Time: noon.In(time.FixedZone("", 3600))}
	if !here.Equal(there) || here.String() != there.String() {
		t.Errorf("%v and %v", here, there)
	}
}

func TestPositionZero(t *testing.T) {
	var zero Position
	if !zero.IsZero() || zero.String() != "" || zero.Check() == nil {
		t.Errorf("%q is zero: %v, %v", zero, zero.IsZero(), zero.Check())
	}
	b, err := json.Marshal(struct {
		P Position `json:"p,omitzero"`
	}{})
	if err != nil || string(b) != "{}" {
		t.Errorf("%s, %v", b, err)
	}
	for _, p := range []Position{
		{File: "b"}, {Offset: 1}, {GTIDs: mustSet(t, "0-1-1")}, {ServerID: 1}, {ServerUUID: UUID{1}}, {Flavor: MySQL}, {Version: "8"}, {Time: noon},
	} {
		if p.IsZero() || p.Equal(zero) || zero.Equal(p) || !p.Equal(p) || p.String() == "" {
			t.Errorf("%+v is zero", p)
		}
	}
}

func TestPositionCheck(t *testing.T) {
	mariadb, mysql := mustSet(t, "0-1-5"), mustSet(t, uuidA+":1")
	for _, c := range []struct {
		name string
		p    Position
		want string
	}{
		{"no place", Position{ServerID: 1, Flavor: MySQL, Version: "8.4.0", Time: noon}, "neither a binary log nor GTIDs"},
		{"offset without a file", Position{Offset: 4, GTIDs: mysql}, "offset 4 is of no file"},
		{"offset in the magic number", Position{File: "b.000001", Offset: 3}, "before the first event"},
		{"path", Position{File: "/var/lib/mysql/b.000001", Offset: 4}, "no name of a file"},
		{"folder above", Position{File: ".."}, "no name of a file"},
		{"zero byte", Position{File: "a\x00"}, "no name of a file"},
		{"long name", Position{File: strings.Repeat("a", 256)}, "no name of a file"},
		{"long version", Position{File: "b", Version: strings.Repeat("a", 256)}, "256 bytes"},
		{"no flavor", Position{File: "b", Flavor: "oracle"}, "no flavor"},
		{"MariaDB with GTIDs of MySQL", Position{GTIDs: mysql, Flavor: MariaDB}, "the GTIDs are of mysql"},
		{"MySQL with GTIDs of MariaDB", Position{GTIDs: mariadb, Flavor: MySQL}, "the GTIDs are of mariadb"},
		{"late", Position{File: "b", Time: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)}, "no year 10000"},
		{"early", Position{File: "b", Time: time.Date(-1, 1, 1, 0, 0, 0, 0, time.UTC)}, "no year -1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := c.p.Check()
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
			if got, err := Parse(c.p.String()); err == nil {
				t.Errorf("%q is taken as %+v", c.p, got)
			}
			if b, err := c.p.MarshalText(); err == nil {
				t.Errorf("it becomes %q", b)
			}
		})
	}
}

func TestPositionRefused(t *testing.T) {
	for _, text := range []string{
		"", " ", "mysql-bin.000001:", "mysql-bin.000001:0", "mysql-bin.000001:04", "mysql-bin.000001:+4", "mysql-bin.000001:-4",
		"mysql-bin.000001:18446744073709551616", "mysql-bin.000001:4:5", ":4", ":4 gtid=0-1-1", "b:4 ", " b:4", "b:4  gtid=0-1-1", "b:4\n", "b\t:4",
		"b:4 c:5", "gtid=0-1-1 b:4", "b:4 server-id=1 gtid=0-1-1", "gtid=0-1-1 gtid=0-1-1", "gtid=", "b gtid=", "gtid=0-1-1,\n1-1-1", "gtid=1-1-1,0-1-1",
		"gtid=" + strings.ToUpper(uuidA) + ":1", "gtid=" + uuidA + ":1:2", "gtid=0-1-1 server-id=0", "gtid=0-1-1 server-id=4294967296",
		"gtid=0-1-1 server-id=01", "gtid=0-1-1 server-uuid=00000000-0000-0000-0000-000000000000", "gtid=0-1-1 server-uuid=x",
		"b flavor=MySQL", "b flavor=", "b version=", "b version=a(", "b version=%61", "b version=%2b", "b version=%", "b version=%zz", "%62:4", "b%2F:4",
		"b time=", "b time=2026-11-29", "b time=2026-11-29T12:00:00", "b time=2026-11-29T12:00:00+01:00", "b time=2026-11-29T12:00:00+00:00",
		"b time=2026-11-29T12:00:00.10Z", "b time=2026-11-29T12:00:00,1Z", "b time=0001-01-01T00:00:00Z", "b time=2026-02-30T12:00:00Z",
		"b color=red", "b =", "=", "b gtid", "b time=" + strings.Repeat("9", 1000), strings.Repeat("a", 1000), strings.Repeat(" ", MaxText),
		strings.Repeat("a", MaxText+1), "b " + strings.Repeat("x", 1000) + "=1",
	} {
		p, err := Parse(text)
		if err == nil || !p.IsZero() {
			t.Errorf("%.80q is taken as %+v", text, p)
		}
		if err != nil && (len(err.Error()) > 500 || !strings.HasPrefix(err.Error(), "parse position: ")) {
			t.Errorf("%.80q: %d bytes, %.200s", text, len(err.Error()), err)
		}
		kept := Position{File: "kept"}
		if err := kept.UnmarshalText([]byte(text)); err == nil || kept.File != "kept" {
			t.Errorf("%.80q: %+v, %v", text, kept, err)
		}
	}
}

// A position that Check passes comes back, so its text has the bound that Parse has.
func TestPositionLong(t *testing.T) {
	var b strings.Builder
	b.WriteString(uuidA)
	for n := uint64(9e18); b.Len() < MaxText-60; n += 2 {
		b.WriteString(":" + strconv.FormatUint(n, 10))
	}
	p := Position{GTIDs: mustSet(t, b.String())}
	if got, err := Parse(p.String()); err != nil || !got.Equal(p) || p.Check() != nil {
		t.Errorf("%v, %v", err, p.Check())
	}
	p.File = strings.Repeat("a", 200)
	if _, err := Parse(p.String()); err == nil || p.Check() == nil {
		t.Errorf("%d bytes pass", len(p.String()))
	}
}

func TestCompareFiles(t *testing.T) {
	at := func(file string, offset uint64) Position { return Position{File: file, Offset: offset} }
	for _, c := range []struct {
		p, q Position
		want int
	}{
		{at("b.000001", 4), at("b.000001", 4), 0},
		{at("b.000001", 99), at("b.000001", 100), -1},
		{at("b.000001", 100), at("b.000002", 4), -1},
		{at("b.000009", 4), at("b.000010", 4), -1},
		{at("b.999999", 500), at("b.1000000", 4), -1},
		{at("b.9999999", 500), at("b.10000000", 4), -1},
		{at("b.2147483647", 4), at("b.2147483646", 4), 1},
		{at("b.000001", 0), at("b.000002", 0), -1},
		{at("b", 4), at("b.000001", 4), 2},
		{at("", 0), at("", 0), 2},
		{at("b.000001", 0), at("b.000001", 4), 2},
		{at("a.000001", 4), at("b.000001", 4), 2},
		{at("b.1", 4), at("b.2", 4), 2},
		{at("b.0000001", 4), at("b.000002", 4), 2},
		{at("b.00000x", 4), at("b.000002", 4), 2},
		{at("b.+00001", 4), at("b.000002", 4), 2},
		{at("b.2147483648", 4), at("b.000002", 4), 2},
		{at(".000001", 4), at(".000002", 4), 2},
		{at("binlog-000000.ibb", 4096), at("binlog-000001.ibb", 4096), 2},
		{Position{File: "b.000001", Offset: 4, ServerID: 1}, Position{File: "b.000002", Offset: 4}, -1},
		{Position{File: "b.000001", Offset: 4, ServerID: 1}, Position{File: "b.000002", Offset: 4, ServerID: 2}, 2},
		{Position{File: "b.000001", Offset: 4, ServerUUID: UUID{1}}, Position{File: "b.000002", Offset: 4}, -1},
		{Position{File: "b.000001", Offset: 4, ServerUUID: UUID{1}}, Position{File: "b.000002", Offset: 4, ServerUUID: UUID{2}}, 2},
	} {
		got, err := c.p.CompareFiles(c.q)
		back, backErr := c.q.CompareFiles(c.p)
		refused := c.want == 2
		if refused != (err != nil) || refused != (backErr != nil) || !refused && (got != c.want || back != -c.want) {
			t.Errorf("%v and %v: %d, %v; back %d, %v", c.p, c.q, got, err, back, backErr)
		}
	}
}

func FuzzPosition(f *testing.F) {
	for _, c := range writtenPositions(f) {
		f.Add(c.text)
	}
	for _, s := range []string{"", "b:04", "b version=%2b", "gtid=1-1-1,0-1-1", "b time=2026-11-29T12:00:00+00:00", ":4"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := Parse(text)
		if err != nil {
			if !p.IsZero() {
				t.Fatalf("%+v beside %v", p, err)
			}
			return
		}
		if p.String() != text {
			t.Fatalf("%q comes back as %q", text, p)
		}
		if err := p.Check(); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if c, err := p.CompareFiles(p); err == nil && c != 0 {
			t.Fatalf("%v is not where it is", p)
		}
	})
}

// FuzzPositionFields: what any fields print comes back, or Check refuses it.
func FuzzPositionFields(f *testing.F) {
	f.Add("mysql-bin.000123", uint64(45678901), "0-1-79569", uint32(1), "mariadb", "10.11.19-MariaDB-0+deb12u1-log", int64(1795927844), int64(5))
	f.Add("", uint64(0), uuidC+":1-3:backup:1", uint32(9), "mysql", "9.7.4", int64(0), int64(0))
	f.Add("a b:=%", uint64(4), "", uint32(0), "", "\xff\x00\n", int64(-62135596800), int64(0))
	f.Fuzz(func(t *testing.T, file string, offset uint64, gtids string, id uint32, flavor, version string, seconds, nanos int64) {
		set, _ := ParseGTIDSet(gtids)
		p := Position{File: file, Offset: offset, GTIDs: set, ServerID: id, Flavor: Flavor(flavor), Version: version, Time: time.Unix(seconds, nanos)}
		got, err := Parse(p.String())
		if check := p.Check(); (check == nil) != (err == nil) || err == nil && !got.Equal(p) {
			t.Fatalf("%+v: %v; %q comes back as %+v, %v", p, check, p, got, err)
		}
		if strings.ContainsAny(p.String(), "\n\r\t\x00\x1b") {
			t.Fatalf("%q is not one line", p)
		}
	})
}
