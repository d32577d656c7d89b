package repo_test

import (
	"context"
	"reflect"
	"strings"
	"testing"
	"time"

	"nightjar/chunk"
	"nightjar/internal/versioned"
	"nightjar/repo"
	"nightjar/repo/repotest"
	"nightjar/repo/save"
	"nightjar/repo/sealed"
)

func testArchives() []repo.Archive {
	at := func(h int) time.Time { return repotest.Noon.Add(time.Duration(h) * time.Hour) }
	all := []repo.Archive{
		{ID: "aaaaaaaa01" + strings.Repeat("0", 54), Host: "db1", Job: "etc", Tags: []repo.Text{"x"}, Time: at(0), Stored: at(0)},
		{ID: "aaaaaaaa02" + strings.Repeat("0", 54), Host: "db2", Job: "etc", Tags: []repo.Text{"x", "y"}, Time: at(1), Stored: at(1).Add(sealed.MaxSkew)},
		{ID: "bbbbbbbb02" + strings.Repeat("0", 54), Host: "db1", Job: "var", Time: at(2), Stored: at(2).Add(sealed.MaxSkew + 1)},
		{ID: "cccccccc02" + strings.Repeat("0", 54), Host: "db1", Job: "var", Time: at(3), Stored: at(3).Add(-sealed.MaxSkew - 1)},
	}
	for i := range all {
		all[i].Views, all[i].Grace = []time.Time{all[i].Time}, time.Hour
	}
	return all
}

func TestFind(t *testing.T) {
	all := testArchives()
	for name, test := range map[string]struct {
		want int
		text string
	}{
		"latest": {1, ""}, "aaaaaaaa01": {0, ""}, "bbbbbbbb": {2, ""}, all[3].ID: {3, ""},
		"aaaaaaaa": {-1, "several"}, "aaaaaaa": {-1, "at least 8"}, "": {-1, "at least 8"}, "dddddddd": {-1, "dddddddd"}, all[3].ID + "0": {-1, ""},
		"late": {-1, "at least 8"}, "%n%n%n%n%n": {-1, "no such archive"},
	} {
		a, err := repo.Find(all, name)
		if test.want >= 0 {
			if err != nil || a.ID != all[test.want].ID {
				t.Errorf("%q: %v, %v", name, a, err)
			}
			continue
		}
		if a != nil {
			t.Errorf("%q found %s", name, a.ID)
		}
		repotest.WantError(t, err, repo.ErrNoArchive, test.text)
	}
	if a, err := repo.Find(all[2:], "latest"); err != nil || a.ID != all[3].ID { // all are late
		t.Errorf("latest of late ones: %v, %v", a, err)
	}
	_, err := repo.Find(nil, "latest")
	repotest.WantError(t, err, repo.ErrNoArchive, "latest")
}

func TestSelect(t *testing.T) {
	for _, test := range []struct {
		s    repo.Selection
		want string
	}{
		{repo.Selection{}, "0123"}, {repo.Selection{Host: "db1"}, "023"}, {repo.Selection{Host: "db9"}, ""}, {repo.Selection{Job: "etc"}, "01"},
		{repo.Selection{Host: "db2", Job: "etc"}, "1"}, {repo.Selection{Tags: []string{"x"}}, "01"}, {repo.Selection{Tags: []string{"y", "x"}}, "1"}, {repo.Selection{Tags: []string{"x", "z"}}, ""},
		{repo.Selection{At: repotest.Noon}, "0"}, {repo.Selection{At: repotest.Noon.Add(-1)}, ""}, {repo.Selection{At: repotest.Noon.Add(150 * time.Minute)}, "012"},
	} {
		got := ""
		for _, a := range test.s.Select(testArchives()) {
			for i, b := range testArchives() {
				if a.ID == b.ID {
					got += string(rune('0' + i))
				}
			}
		}
		if got != test.want {
			t.Errorf("%+v: %q, not %q", test.s, got, test.want)
		}
	}
}

func full() repo.Archive {
	const odd = "a\\b\xff\x00\n\"é\u2028\\x41"
	return repo.Archive{
		Host: "db1", Job: odd, Paths: []repo.Text{odd, "/"}, Stream: odd, Excludes: []repo.Text{odd}, Tags: []repo.Text{odd, ""}, Labels: repo.Labels{odd: odd, "\\": "", "\xfe": "1", "\xff": "2"},
		Root: repo.Root{chunk.ID{1, 2}, 1 << 40}, Start: repotest.Noon, End: repotest.Noon.Add(1), Time: repotest.Noon, Views: []time.Time{repotest.Noon}, Predecessor: "x",
		Statistics: map[string]uint64{"files": 1<<64 - 1}, Complete: true, Program: "test",
	}
}

func TestArchiveKeepsAnyBytes(t *testing.T) {
	p := repotest.NewPlace(t)
	r := p.Open(repotest.HostKey())
	made, err := save.Write(t.Context(), r, new(save.Sent), func(_ context.Context, w *save.Writer) (*repo.Archive, error) { a := full(); return &a, nil })
	if err != nil {
		t.Fatal(err)
	}
	all := repotest.Archives(t, r)
	if len(all) != 1 || !reflect.DeepEqual(all[0], *made) {
		t.Errorf("got  %+v\nwant %+v", all, *made)
	}
}

// What is read is written the same again, and read as the same.
func FuzzArchive(f *testing.F) {
	a := full()
	text, err := versioned.Encode(&a, repo.ArchiveBounds)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	for _, s := range []string{`{"version":0}`, `{}`, `{"version":1}`, `{"version":0,"labels":{"\\x":""}}`, `{"version":0,"root":{"id":"00","length":-1}}`, `{"version":0,"time":"0000"}`, `[`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var a, b repo.Archive
		if versioned.Parse(text, &a, repo.ArchiveBounds) != nil {
			return
		}
		if a.Version != repo.FormatVersion {
			t.Errorf("version %d is read", a.Version)
		}
		again, err := versioned.Encode(&a, repo.ArchiveBounds)
		if err != nil {
			t.Skip() // a year that RFC 3339 has no room for
		}
		if err := versioned.Parse(again, &b, repo.ArchiveBounds); err != nil {
			t.Fatalf("%q is read, %q is not: %v", text, again, err)
		}
		third, err := versioned.Encode(&b, repo.ArchiveBounds)
		if err != nil || string(third) != string(again) {
			t.Errorf("%q became %q, %v", again, third, err)
		}
	})
}
