package filter

import (
	"cmp"
	"os"
	"strings"
	"testing"
)

// TestDocuments has every example below that heading of doc/patterns.md be as it says.
func TestDocuments(t *testing.T) {
	text, err := os.ReadFile("../../doc/patterns.md")
	if err != nil {
		t.Fatal(err)
	}
	_, examples, _ := strings.Cut(string(text), "\n## Examples\n")
	kinds := map[string]int{}
	for line := range strings.SplitSeq(examples, "\n") {
		if !strings.HasPrefix(line, "    ") {
			continue
		}
		kind := ""
		for _, k := range []string{"leaves out", "keeps", "is refused"} {
			if strings.Contains(line, "  "+k) {
				kind = k
			}
		}
		patterns, path, _ := strings.Cut(line, "  "+kind)
		kinds[kind]++
		f, err := New(Options{Exclude: strings.Fields(patterns)})
		if (err != nil) != (kind == "is refused") {
			t.Errorf("%q: %v", line, err)
			continue
		}
		name, folder := strings.CutSuffix(strings.TrimSpace(path), "/")
		name = cmp.Or(name, "/")
		if err == nil && f.Excludes(name, folder, 0) != (kind == "leaves out") {
			t.Errorf("not so: %q", line)
		}
	}
	if kinds[""] > 0 || kinds["leaves out"] < 10 || kinds["keeps"] < 10 || kinds["is refused"] < 5 {
		t.Errorf("examples: %v", kinds)
	}
}

// What is put back by patterns is as what is left out by them; a folder on the way is looked into.
func TestIncludesByRules(t *testing.T) {
	for _, x := range []struct {
		pattern, name string
		folder        bool
		is, below     bool
	}{
		{"/src/**.log", "/src", true, false, true},
		{"/src/**.log", "/src/a/b.log", false, true, true},
		{"/src/x**y/z", "/src/x1", true, false, true},
		{"cache/", "/a/cache", false, false, true},
		{"cache/", "/a/cache", true, true, true},
		{"/a/**", "/a", true, false, true},
		{"/a/**", "/a/b", false, true, true},
		{"/a/**", "/b", true, false, false},
	} {
		f, err := New(Options{Include: []string{x.pattern}})
		if err != nil {
			t.Fatal(err)
		}
		if is, below := f.Includes(x.name, x.folder, false); is != x.is || below != x.below {
			t.Errorf("%s: %s: %v, %v", x.pattern, x.name, is, below)
		}
	}
	if _, err := New(Options{Include: []string{"a", "!b"}}); err == nil {
		t.Error("! is taken in what is asked for")
	}
	if _, err := New(Options{Exclude: []string{strings.Repeat("a**", 40)}}); err == nil {
		t.Error("a pattern of 2^40 globs is taken")
	}
}
