package record

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"nightjar/chunk"
	"nightjar/internal/versioned"
)

func full() Archive {
	const odd = "a\\b\xff\x00\n\"é\u2028\\x41"
	return Archive{
		Host: "db1", Job: odd, Kind: odd, Paths: []Text{odd, "/"}, Stream: odd, Excludes: []Text{odd}, Tags: []Text{odd, ""}, Labels: Labels{odd: odd, "\\": "", "\xfe": "1", "\xff": "2"},
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
		"labels that differ in case": {Labels: Labels{"a": "", "A": ""}}, "needs no archive": {Labels: Labels{Needs: Text(strings.Repeat("0", 64) + " none")}},
	} {
		if a.Fits() == nil {
			t.Errorf("%s fit", name)
		}
	}
	a := &Archive{Labels: Labels{"a": "A", "b": "\xff", Needs: Text(strings.Repeat("0", 64))}}
	for i := range 100_000 {
		a.Paths = append(a.Paths, Text(fmt.Sprint("/srv/", i)))
	}
	if err := a.Fits(); err != nil {
		t.Error(err)
	}
}

// What another program has written is no reason not to read it.
func TestNeeds(t *testing.T) {
	one, two := strings.Repeat("1", 64), strings.Repeat("a", 64)
	for text, want := range map[string][]string{
		"": nil, one: {one}, one + " " + two: {one, two}, "\t" + one + "\n " + one: {one, one}, one + "," + two: nil, "x " + one + " \xff": {one}, strings.ToUpper(two): nil,
	} {
		if got := (Labels{Needs: Text(text)}).Needs(); !slices.Equal(got, want) {
			t.Errorf("%q needs %q, want %q", text, got, want)
		}
	}
	if got := Labels(nil).Needs(); len(got) > 0 {
		t.Errorf("no label needs %q", got)
	}
}

func TestKind(t *testing.T) {
	for text, want := range map[string]Text{`{"version":0}`: Files, `{"version":0,"kind":"stream"}`: Stream, `{"version":0,"kind":"mysql-dump"}`: "mysql-dump"} {
		var a Archive
		if err := a.Decode([]byte(text)); err != nil || a.Kind != want {
			t.Errorf("%s is of kind %q, %v", text, a.Kind, err)
		}
	}
}
