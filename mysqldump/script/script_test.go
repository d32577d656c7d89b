package script

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func readAll(t *testing.T, file []byte) (all []string) {
	t.Helper()
	for r := NewReader(iotest.HalfReader(bytes.NewReader(file))); ; {
		s, err := r.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, string(s))
	}
}

// What is written is read, whatever is in it.
func TestRoundTrip(t *testing.T) {
	texts := []string{
		"SELECT 1", "SELECT ';'", "CREATE TABLE `a;\nb` (x int)", "BEGIN\n  SET @a = 1;\nEND", "x;", "x;\n", "a$$;\nb$$\n$1$", "SELECT 1\nDELIMITER ;\n;\n2", strings.Repeat("x", 1<<20),
		"SELECT '\x00\xff'",
	}
	var b bytes.Buffer
	w := NewWriter(&b, "a\nSELECT 1;", "da`ta;\nbase")
	for _, text := range texts {
		w.Statement(text)
		w.Program(text)
	}
	if w.Err() != nil {
		t.Fatal(w.Err())
	}
	got := readAll(t, b.Bytes())[4:]
	if len(got) != 2*len(texts) {
		t.Fatalf("%d statements of %d: %.200q", len(got), 2*len(texts), got)
	}
	for i, text := range texts {
		if got[2*i] != text || got[2*i+1] != text {
			t.Errorf("%.200q became %.200q and %.200q", text, got[2*i], got[2*i+1])
		}
	}
}

func TestName(t *testing.T) {
	for _, c := range []struct {
		kind             Kind
		database, object string
		number           int
		want             string
	}{
		{Tables, "shop", "orders", -1, "30-table.shop.orders.sql"},
		{Rows, "shop", "or.ders/", 7, "40-rows.shop.or=2Eders=2F.000007.sql"},
		{Views, "shop", "v", 3, "60-view.000003.shop.v.sql"},
		{Databases, "..", "", -1, "10-database.=2E=2E.sql"},
		{Databases, "é", "", -1, "10-database.=C3=A9.sql"},
	} {
		if got := Name(c.kind, c.database, c.object, c.number); got != c.want {
			t.Errorf("%q, not %q", got, c.want)
		}
	}
	long := strings.Repeat("語", 64)
	a, b := Name(Rows, long, long, 999999), Name(Rows, long, long[:len(long)-3]+"x", 999999)
	if a == b || len(a) > 255 {
		t.Errorf("%q, %q", a, b)
	}
}

func FuzzReader(f *testing.F) {
	f.Add([]byte("-- a\nSET NAMES binary;\nDELIMITER $$\na;\n$$\nDELIMITER ;\n"))
	f.Add([]byte("DELIMITER \n;\n"))
	f.Fuzz(func(t *testing.T, file []byte) {
		r := NewReader(bytes.NewReader(file))
		for {
			if _, err := r.Next(); err != nil {
				return
			}
		}
	})
}
