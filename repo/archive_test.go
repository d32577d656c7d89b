package repo_test

import (
	"context"
	"reflect"
	"strings"
	"testing"
	"time"

	"nightjar/chunk"
	"nightjar/repo"
	"nightjar/repo/repotest"
	"nightjar/repo/save"
	"nightjar/repo/sealed"
)

func testArchives() []repo.Archive {
	at := func(h int) time.Time { return repotest.Noon.Add(time.Duration(h) * time.Hour) }
	all := []repo.Archive{
		{ID: "aaaaaaaa01" + strings.Repeat("0", 54), Record: repo.Record{Host: "db1", Job: "etc", Tags: []repo.Text{"x"}, Time: at(0)}, Stored: at(0)},
		{ID: "aaaaaaaa02" + strings.Repeat("0", 54), Record: repo.Record{Host: "db2", Job: "etc", Tags: []repo.Text{"x", "y"}, Time: at(1)}, Stored: at(1)},
		{ID: "bbbbbbbb02" + strings.Repeat("0", 54), Record: repo.Record{Host: "db1", Job: "var", Time: at(2)}, Stored: at(2)},
		{ID: "cccccccc02" + strings.Repeat("0", 54), Record: repo.Record{Host: "db1", Job: "var", Time: at(3)}, Stored: at(3)},
	}
	for i := range all[2:] {
		all[2+i].Standing = repo.Late
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

// How an archive stands follows from when the store got it.
func TestStandAt(t *testing.T) {
	p := repotest.NewPlace(t)
	r := p.Open(repotest.HostKey())
	grace, skew := r.Keys().Allowance(repotest.Noon), sealed.MaxSkew
	for name, c := range map[string]struct {
		stored, view        time.Duration // after the time that the archive says
		is                  repo.Standing
		want                repo.Standing
		counts, itsOwnClock bool
	}{
		"like any other":          {0, -time.Hour, 0, 0, true, false},
		"just in time":            {0, -grace, 0, 0, true, false},
		"long after its view":     {1, -grace, 0, repo.Late, false, false},
		"by its own times":        {0, -grace - 1, 0, repo.Late | repo.LateByItself, false, false},
		"dated at the edge":       {skew, 0, 0, 0, true, false},
		"dated too late":          {skew + 1, 0, 0, repo.Late, false, false},
		"of the future":           {-skew - 1, 0, 0, repo.Late, false, false},
		"late and verified":       {1, -grace, repo.Verified, repo.Late | repo.Verified, true, false},
		"moved and verified":      {skew + 1, 0, repo.Verified, repo.Late | repo.Verified | repo.Vouched, true, true},
		"verified for good":       {0, 0, repo.Verified | repo.Rooted, repo.Verified | repo.Rooted, true, false},
		"it was late, and is not": {0, 0, repo.Late | repo.Vouched | repo.LateByItself | repo.Repeated, repo.Repeated, true, false},
	} {
		a := &repo.Archive{Record: repo.Record{Time: repotest.Noon, Views: []time.Time{repotest.Noon.Add(c.view - time.Hour), repotest.Noon.Add(c.view)}}, Standing: c.is}
		r.StandAt(a, repotest.Noon.Add(c.stored))
		if a.Standing != c.want || a.Counts() != c.counts || a.Dated().Equal(a.Stored) == (c.itsOwnClock && c.stored != 0) {
			t.Errorf("%s: standing %b, want %b; it counts %v, of %s", name, a.Standing, c.want, a.Counts(), a.Dated())
		}
	}
}

func full() repo.Record {
	const odd = "a\\b\xff\x00\n\"é\u2028\\x41"
	return repo.Record{
		Host: "db1", Job: odd, Paths: []repo.Text{odd, "/"}, Stream: odd, Excludes: []repo.Text{odd}, Tags: []repo.Text{odd, ""}, Labels: repo.Labels{odd: odd, "\\": "", "\xfe": "1", "\xff": "2"},
		Root: repo.Root{ID: chunk.ID{1, 2}, Length: 1 << 40}, Start: repotest.Noon, End: repotest.Noon.Add(1), Time: repotest.Noon, Views: []time.Time{repotest.Noon}, Predecessor: "x",
		Statistics: map[string]uint64{"files": 1<<64 - 1}, Complete: true, Program: "test",
	}
}

func TestArchiveKeepsAnyBytes(t *testing.T) {
	p := repotest.NewPlace(t)
	r := p.Open(repotest.HostKey())
	made, err := save.Write(t.Context(), r, new(save.Sent), func(_ context.Context, w *save.Writer) (*repo.Record, error) { a := full(); return &a, nil })
	if err != nil {
		t.Fatal(err)
	}
	all := repotest.Archives(t, r)
	if len(all) != 1 || !reflect.DeepEqual(all[0], *made) {
		t.Errorf("got  %+v\nwant %+v", all, *made)
	}
}
