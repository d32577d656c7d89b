package choose

import (
	"strings"
	"testing"
)

func TestSelection(t *testing.T) {
	for _, c := range []struct {
		selection       Selection
		chosen, not     []string // of tables, as database.table
		whole, notWhole []string // of databases
	}{
		{Selection{}, []string{"a.b", "mysqlx.b"}, []string{"mysql.user", "sys.x", "INFORMATION_SCHEMA.x"}, []string{"a"}, []string{"mysql"}},
		{Selection{Databases: []string{"a?", "x\\*"}}, []string{"ab.t", "x*.t", "aé.t"}, []string{"a.t", "abc.t", "xy.t"}, []string{"ab"}, []string{"a"}},
		{Selection{Tables: []string{"a.t*", "d\\.b.*x*y"}}, []string{"a.t", "a.t1", "d.b.xy", "d.b.axby"}, []string{"a.s", "b.t", "d.b.yx"}, nil, []string{"a", "d.b"}},
		{Selection{Databases: []string{"a"}, Tables: []string{"b.t"}, ExcludeTables: []string{"*.tmp_*"}}, []string{"a.x", "b.t"}, []string{"a.tmp_1", "b.u"}, []string{"a"}, []string{"b"}},
		{Selection{Tables: []string{"*.*"}}, []string{"a.b"}, []string{"mysql.b"}, nil, []string{"a"}},
	} {
		parsed, err := c.selection.Parse()
		if err != nil {
			t.Fatal(err)
		}
		table := func(name string) bool {
			i := strings.LastIndexByte(name, '.')
			chosen, _ := parsed.Table(name[:i], name[i+1:])
			return chosen && parsed.Database(name[:i])
		}
		for _, name := range c.chosen {
			if !table(name) {
				t.Errorf("%+v leaves %s out", c.selection, name)
			}
		}
		for _, name := range c.not {
			if table(name) {
				t.Errorf("%+v chooses %s", c.selection, name)
			}
		}
		for _, name := range c.whole {
			if !parsed.Whole(name) {
				t.Errorf("%+v has not all of %s", c.selection, name)
			}
		}
		for _, name := range c.notWhole {
			if parsed.Whole(name) {
				t.Errorf("%+v has all of %s", c.selection, name)
			}
		}
	}
	for _, s := range []Selection{{Databases: []string{""}}, {Databases: []string{"a\\"}}, {Tables: []string{"a"}}, {Tables: []string{"a."}}, {ExcludeTables: []string{".b"}}} {
		if _, err := s.Parse(); err == nil {
			t.Errorf("%+v is taken", s)
		}
	}
}

func FuzzPattern(f *testing.F) {
	f.Add("a*b?\\*.c", "axxb")
	f.Fuzz(func(t *testing.T, text, name string) {
		p, _, err := parsePattern(text, false)
		if err != nil {
			return
		}
		p.match(name)
		if again, _, err := parsePattern(p.String(), false); err != nil || again.String() != p.String() {
			t.Errorf("%q is %q, and then %q: %v", text, p, again, err)
		}
	})
}

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{
		{"shop", "shop", true}, {"shop", "shops", false}, {"sh*", "shop", true}, {"*", "", true}, {"s?op", "shop", true}, {"?", "é", true}, {"??", "é", false},
		{"*a*b", "xaxbxb", true}, {"*a*b", "xaxbx", false}, {"", "", true}, {"", "a", false}, {`a\*`, "a*", true}, {`a\*`, "ab", false},
	} {
		if got := Match(c.pattern, c.name); got != c.want {
			t.Errorf("%q matches %q: %v", c.pattern, c.name, got)
		}
	}
	if Match(`a\`, "a") {
		t.Error("a pattern that is none matches")
	}
}
