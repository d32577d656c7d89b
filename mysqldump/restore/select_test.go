package restore

import (
	"errors"
	"io"
	"testing"

	"nightjar/mysqldump"
	"nightjar/mysqldump/script"
)

func TestParsePattern(t *testing.T) {
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
