package record

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"nightjar/chunk"
	"nightjar/internal/versioned"
)

func full() Archive {
	const odd = "a\\b\xff\x00\n\"é\u2028\\x41"
	return Archive{
		Host: "db1", Job: odd, Paths: []Text{odd, "/"}, Stream: odd, Excludes: []Text{odd}, Tags: []Text{odd, ""}, Labels: Labels{odd: odd, "\\": "", "\xfe": "1", "\xff": "2"},
		Root: Root{ID: chunk.ID{1, 2}, Length: 1 << 40}, Start: at, End: at.Add(1), Time: at, Views: []time.Time{at}, Predecessor: "x",
		Statistics: map[string]uint64{"files": 1<<64 - 1}, Complete: true, Program: "test",
	}
}

// What is read is written the same again, and read as the same.
func FuzzArchive(f *testing.F) {
	a := full()
	text, err := a.Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	for _, s := range []string{`{"version":0}`, `{}`, `{"version":1}`, `{"version":0,"labels":{"\\x":""}}`, `{"version":0,"root":{"id":"00","length":-1}}`, `{"version":0,"time":"0000"}`, `[`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var a, b Archive
		if a.Decode(text) != nil {
			return
		}
		if a.Version != versioned.Version {
			t.Errorf("version %d is read", a.Version)
		}
		again, err := a.Encode()
		if err != nil {
			t.Skip() // a year that RFC 3339 has no room for
		}
		if err := b.Decode(again); err != nil {
			t.Fatalf("%q is read, %q is not: %v", text, again, err)
		}
		third, err := b.Encode()
		if err != nil || string(third) != string(again) {
			t.Errorf("%q became %q, %v", again, third, err)
		}
	})
}

// What people say of an archive is tried before a run begins.
func TestArchiveFits(t *testing.T) {
	for name, a := range map[string]*Archive{
		"many paths": {Paths: make([]Text, archiveBounds.Values)}, "long paths": {Paths: []Text{Text(strings.Repeat("x", archiveBounds.Bytes))}},
		"labels that differ in case": {Labels: Labels{"a": "", "A": ""}},
	} {
		if a.Fits() == nil {
			t.Errorf("%s fit", name)
		}
	}
	a := &Archive{Labels: Labels{"a": "A", "b": "\xff"}}
	for i := range 100_000 {
		a.Paths = append(a.Paths, Text(fmt.Sprint("/srv/", i)))
	}
	if err := a.Fits(); err != nil {
		t.Error(err)
	}
}
