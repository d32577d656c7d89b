package tree

import (
	"maps"
	"strings"
	"testing"
)

func TestNote(t *testing.T) {
	for name, want := range map[string]string{"rows": "nightjar.rows", "a.b_c-9": "nightjar.a.b_c-9", strings.Repeat("x", 64): "nightjar." + strings.Repeat("x", 64)} {
		if got, err := Note(name); got != want || err != nil {
			t.Errorf("%q: %q, %v", name, got, err)
		}
	}
	for _, name := range []string{"", "acl", "Rows", "a b", "a/b", "ä", "a\x00b", strings.Repeat("x", 65)} {
		if got, err := Note(name); err == nil {
			t.Errorf("%q is %q", name, got)
		}
	}
}

func TestNotes(t *testing.T) {
	n := Node{Xattrs: []Xattr{{"nightjar.acl", []byte("x")}, {"nightjar.rows", []byte("7")}, {"nightjarx", nil}, {"user.rows", []byte("8")}}}
	if got := n.Notes(); !maps.Equal(got, map[string]string{"rows": "7"}) {
		t.Errorf("notes are %q", got)
	}
	if got := (&Node{}).Notes(); got != nil {
		t.Errorf("no notes are %q", got)
	}
}
