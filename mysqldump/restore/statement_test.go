package restore

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"nightjar/mysqldump"
	"nightjar/mysqldump/script"
)

func TestSplit(t *testing.T) {
	rows := []string{"(1,'a')", `(2,'),(\'b')`, "(3,_utf8mb4'{\"x\": \"(\"}')", "(4,NULL)", "(5,'" + strings.Repeat("x", 50) + "')"}
	head := "INSERT INTO `t` (`a`,`values`) VALUES\n"
	statement := head + strings.Join(rows, ",\n")
	for most := len(head) + 58; most <= len(statement); most++ {
		pieces, err := split([]byte(statement), most)
		if err != nil {
			t.Fatalf("%d: %v", most, err)
		}
		var got []string
		for _, p := range pieces {
			h, found, err := rowsOf(p)
			if err != nil || len(p) > most || strings.TrimSpace(string(h)) != strings.TrimSpace(head) {
				t.Fatalf("%d: %q: %v", most, p, err)
			}
			for _, row := range found {
				got = append(got, string(row))
			}
		}
		if !slices.Equal(got, rows) {
			t.Fatalf("%d: %q", most, got)
		}
	}
	for _, bad := range []string{statement + " ON DUPLICATE KEY UPDATE a=1", head, head + "(1", "CREATE TABLE t (a int)", head + "(1),'x'"} {
		if pieces, err := split([]byte(bad), 10); err == nil {
			t.Errorf("%q is split: %q", bad, pieces)
		}
	}
	if _, err := split([]byte(statement), len(head)+20); err == nil || !strings.Contains(err.Error(), "max_allowed_packet") {
		t.Errorf("a row that is too large: %v", err)
	}
}

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{
		{"shop", "shop", true}, {"shop", "shops", false}, {"sh*", "shop", true}, {"*", "", true}, {"s?op", "shop", true}, {"?", "é", true}, {"??", "é", false},
		{"*a*b", "xaxbxb", true}, {"*a*b", "xaxbx", false}, {"", "", true}, {"", "a", false}, {`a\*`, "a*", true}, {`a\*`, "ab", false},
	} {
		if got := match(c.pattern, c.name); got != c.want {
			t.Errorf("%q matches %q: %v", c.pattern, c.name, got)
		}
	}
	for text, want := range map[string]Pattern{
		"shop": {"shop", ""}, "shop.*": {"shop", "*"}, `a\.b.c.d`: {`a\.b`, "c.d"}, "a.b": {"a", "b"},
	} {
		if got, err := ParsePattern(text); err != nil || got != want {
			t.Errorf("%q is %+v, %v", text, got, err)
		}
	}
	for _, bad := range []string{"", ".", "a.", ".b", `a\`, `a.b\`} {
		if p, err := ParsePattern(bad); err == nil {
			t.Errorf("%q is %+v", bad, p)
		}
	}
}

// No statement is cut so that a piece is too large, whatever it is.
func FuzzSplit(f *testing.F) {
	for _, seed := range []string{"INSERT INTO t VALUES (1,'\\'),(')),(2)", "INSERT INTO t VALUES (1),(2)", "VALUES (", "VALUES (1)/*"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, statement []byte) {
		if pieces, err := split(statement, 12); err == nil {
			for _, p := range pieces {
				if len(p) > 12 {
					t.Fatalf("%q is split into %q", statement, pieces)
				}
			}
		}
	})
}

// files are those of a dump, without content.
type files []mysqldump.SourceFile

func (f files) Files() ([]mysqldump.SourceFile, error)    { return f, nil }
func (f files) Open(string) (rc io.ReadCloser, err error) { return nil, errors.New("not here") }

// A name of which the dump has nothing is an error, beside names of which it has something too.
func TestAskedFor(t *testing.T) {
	note := func(kind script.Kind, database, object string) mysqldump.SourceFile {
		return mysqldump.SourceFile{Name: string(kind) + "." + object, Notes: map[string]string{
			script.NoteKind: string(kind), script.NoteDatabase: database, script.NoteObject: object}}
	}
	dump := files{note(script.Databases, "shop", ""), note(script.Tables, "shop", "t"), note(script.Views, "shop", "v")}
	for _, c := range []struct {
		names  []string
		rename string
		ok     bool
	}{
		{nil, "", true}, {[]string{"shop"}, "", true}, {[]string{"shop.t", "s*.v"}, "", true}, {[]string{"shop"}, "shop", true},
		{[]string{"shop.u"}, "", false}, {[]string{"shop.t", "shop.u"}, "", false}, {[]string{"shop", "wiki"}, "", false}, {nil, "wiki", false},
		{[]string{"shop.t"}, "shop.t", false},
	} {
		o := &Options{Rename: map[string]string{}}
		if c.rename != "" {
			o.Rename[c.rename] = "x"
		}
		for _, name := range c.names {
			p, err := ParsePattern(name)
			if err != nil {
				t.Fatal(err)
			}
			o.Selection = append(o.Selection, p)
		}
		if _, err := newPlan(dump, o); errors.Is(err, ErrNothing) == c.ok || c.ok && err != nil {
			t.Errorf("%+v: %v", c, err)
		}
	}
}
