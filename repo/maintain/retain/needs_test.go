package retain

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"nightjar/repo"
)

// id makes one of a digit.
func id(n int) string { return strings.Repeat(fmt.Sprint(n), 64) }

// log is an archive of another job than nights has.
func log(n int, ago time.Duration, needs ...int) repo.Archive {
	a := made(id(n), ago)
	a.Job = "logs"
	var ids []string
	for _, n := range needs {
		ids = append(ids, id(n))
	}
	a.Labels = repo.Labels{repo.Needs: repo.Text(strings.Join(ids, " "))}
	return a
}

func TestNeeded(t *testing.T) {
	dump := func(n int, ago time.Duration) repo.Archive { return made(id(n), ago) }
	of := func(host string, a repo.Archive) repo.Archive { a.Host = host; return a }
	gone := func(a repo.Archive) repo.Archive { a.Forgotten = noon; return a }
	for name, c := range map[string]struct {
		archives []repo.Archive
		want     string // what is said of each, by the digits
	}{
		"its dump":           {[]repo.Archive{dump(1, 3*day), dump(2, 2*day), dump(3, day), log(4, 0, 1)}, "1: needed by 44444444, 2: no rule keeps it, 3: last 1, 4: last 1"},
		"nothing":            {[]repo.Archive{dump(1, 3*day), dump(3, day), log(4, 0)}, "1: no rule keeps it, 3: last 1, 4: last 1"},
		"what is kept":       {[]repo.Archive{dump(1, 3*day), log(4, 0, 1)}, "1: last 1, 4: last 1"},
		"who goes":           {[]repo.Archive{dump(1, 3*day), log(4, 2*day, 1), dump(3, day), log(5, 0, 3)}, "1: no rule keeps it, 3: last 1, 4: no rule keeps it, 5: last 1"},
		"a chain":            {[]repo.Archive{dump(1, 3*day), log(4, 2*day, 1), dump(3, day), log(5, time.Hour, 4), log(6, 0, 5)}, "1: needed by 44444444, 3: last 1, 4: needed by 55555555, 5: needed by 66666666, 6: last 1"},
		"the newest is told": {[]repo.Archive{dump(1, 3*day), log(4, 2*day, 1), dump(3, day), log(5, time.Hour, 4, 1), log(6, 0, 5, 1)}, "1: needed by 66666666, 3: last 1, 4: needed by 55555555, 5: needed by 66666666, 6: last 1"},
		"a circle":           {[]repo.Archive{log(4, 2*day, 5), log(5, day, 4), log(6, 0, 5, 6)}, "4: needed by 55555555, 5: needed by 66666666, 6: last 1"},
		"another host's":     {[]repo.Archive{dump(1, 3*day), dump(3, day), of("thief", log(4, 0, 1))}, "1: no rule keeps it, 3: last 1, 4: last 1; needs 11111111, which this host does not have"},
		"what is not there":  {[]repo.Archive{log(4, 0, 1, 2, 3)}, "4: last 1; needs 11111111 and 2 more, which this host does not have"},
		"what was given up":  {[]repo.Archive{gone(dump(1, 3*day)), log(4, 0, 1)}, "4: last 1; needs 11111111, which was given up"},
		"by one given up":    {[]repo.Archive{dump(1, 3*day), dump(3, day), gone(log(4, 0, 1))}, "1: no rule keeps it, 3: last 1"},
		"by one not chosen":  {[]repo.Archive{dump(1, 3*day), dump(3, day), func() repo.Archive { a := log(4, 0, 1); a.Tags = []repo.Text{"left alone"}; return a }()}, "1: needed by 44444444, 3: last 1"},
	} {
		p := Policy{Last: 1}
		slices.SortFunc(c.archives, func(a, b repo.Archive) int { return a.Time.Compare(b.Time) })
		var got []string
		for _, d := range p.Decide(c.archives, func(a *repo.Archive) bool { return len(a.Tags) == 0 }, noon, time.UTC) {
			got = append(got, d.ID[:1]+": "+strings.Join(d.Reasons, "; "))
			if d.Keep == slices.Contains(d.Reasons, "no rule keeps it") {
				t.Errorf("%s: %s is kept: %v", name, d.ID[:1], d.Keep)
			}
		}
		slices.Sort(got)
		if said := strings.Join(got, ", "); said != c.want {
			t.Errorf("%s:\n%s, want\n%s", name, said, c.want)
		}
	}
}

func TestUnneeded(t *testing.T) {
	all := []repo.Archive{made(id(1), 3*day), log(4, 2*day, 1), log(5, day, 4), log(6, 0)}
	other := log(7, 0, 6)
	other.Host = "thief"
	gone := log(8, 0, 6)
	gone.Forgotten = noon
	all = append(all, other, gone)
	for named, want := range map[string]string{"1": "archive 44444444", "4": "archive 55555555", "14": "archive 55555555", "145": "", "5": "", "6": "", "67": "", "9": ""} {
		err := Unneeded(all, func(id string) bool { return strings.Contains(named, id[:1]) })
		if (err == nil) != (want == "") || err != nil && (!errors.Is(err, ErrNeeded) || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", named, err, want)
		}
	}
}

func TestNeededOf(t *testing.T) {
	all := []repo.Archive{made(id(1), 3*day), log(4, 2*day, 1), log(5, day, 4, 9), log(6, 0, 5, 5), made(id(2), 0)}
	other := log(7, 0, 6)
	other.Host = "thief"
	all = append(all, other)
	for i, want := range []string{"", "1", "41", "541", "", ""} {
		got := ""
		for _, a := range Needed(all, all[i:i+1]) {
			got += a.ID[:1]
		}
		if got != want {
			t.Errorf("%s needs %q, want %q", all[i].ID[:1], got, want)
		}
	}
	if got := Needed(all, all); len(got) > 0 {
		t.Errorf("all need %d more", len(got))
	}
}

// Whoever can write archives can have each need many thousands, and those one another.
func TestManyNeeds(t *testing.T) {
	var all []repo.Archive
	var ids []string
	for i := range 300 {
		ids = append(ids, fmt.Sprintf("%064x", i))
	}
	for i := range 60_000 {
		ids = append(ids, fmt.Sprintf("%064x", 1<<30+i)) // which there are none of
	}
	label := repo.Labels{repo.Needs: repo.Text(strings.Join(ids, " "))}
	for i := range 300 {
		a := made(ids[i], time.Duration(300-i)*time.Hour)
		if i%100 == 0 {
			a.Labels = label
		} else {
			a.Labels = repo.Labels{repo.Needs: repo.Text(strings.Join(ids[:300], " "))}
		}
		all = append(all, a)
	}
	for _, d := range (&Policy{Last: 1}).Decide(all, everyone, noon, time.UTC) {
		if !d.Keep || len(strings.Join(d.Reasons, "")) > 200 {
			t.Fatalf("%s: %v, %q", d.ID, d.Keep, d.Reasons)
		}
	}
}
