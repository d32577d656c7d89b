package retain

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"nightjar/repo"
	"nightjar/repo/sealed"
)

var noon = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

const day = 24 * time.Hour

// made returns an archive that the store dated so long before noon, and that says so.
func made(id string, ago time.Duration) repo.Archive {
	t := noon.Add(-ago)
	return repo.Archive{Record: repo.Record{Host: "web1", Job: "web1:/srv", Time: t, Complete: true}, ID: id, Stored: t}
}

// nights returns n archives, one a night, the oldest first.
func nights(n int) (all []repo.Archive) {
	for i := n - 1; i >= 0; i-- {
		all = append(all, made(fmt.Sprint("n", i), time.Duration(i)*day))
	}
	return all
}

func everyone(*repo.Archive) bool { return true }

func kept(p Policy, archives ...repo.Archive) string {
	slices.SortStableFunc(archives, func(a, b repo.Archive) int { return a.Time.Compare(b.Time) })
	var ids []string
	for _, d := range p.Decide(archives, everyone, noon, time.UTC) {
		if d.Keep {
			ids = append(ids, d.ID)
		}
		if len(d.Reasons) == 0 {
			panic("no reason for " + d.ID)
		}
	}
	slices.Sort(ids)
	return strings.Join(ids, " ")
}

func TestDecide(t *testing.T) {
	tagged, partial := made("tagged", 50*day), made("partial", time.Hour)
	tagged.Tags = []repo.Text{"release"}
	partial.Complete = false
	other := made("other", 300*day)
	other.Job = "web1:/etc"
	elsewhere := made("elsewhere", 300*day)
	elsewhere.Host = "web2"
	late := made("late", 3*day)
	late.Stored, late.Standing = noon, repo.Late
	latePartial := made("latePartial", 2*day)
	latePartial.Stored, latePartial.Standing, latePartial.Complete = noon.Add(time.Minute), repo.Late, false
	vouched := nights(40) // after they were moved, and a night that was not
	for i := range vouched[:39] {
		vouched[i].Stored, vouched[i].Standing = noon.Add(-day/2), repo.Late|repo.Verified|repo.Vouched
	}
	again := nights(4)[:3] // the last of which no other names
	for i := range again {
		if again[i].Stored, again[i].Standing = noon, repo.Late; i < 2 {
			again[i].Standing |= repo.Redated
		}
	}
	for name, c := range map[string]struct {
		policy   Policy
		archives []repo.Archive
		want     string
	}{
		"last":                    {Policy{Last: 2}, nights(5), "n0 n1"},
		"daily":                   {Policy{Each: map[string]int{"daily": 2}}, append(nights(4), made("early", 4*time.Hour)), "n0 n1"},
		"hourly":                  {Policy{Each: map[string]int{"hourly": 2}}, append(nights(2), made("same", 5*time.Minute), made("x", 3*time.Hour)), "n0 same"}, // 12:00 and 11:55
		"weekly":                  {Policy{Each: map[string]int{"weekly": 2}}, nights(15), "n0 n3"},                                                               // Wednesday, and the Sunday before
		"monthly":                 {Policy{Each: map[string]int{"monthly": 3}}, nights(70), "n0 n25 n56"},
		"yearly":                  {Policy{Each: map[string]int{"yearly": 2}}, nights(400), "n0 n329"},
		"within":                  {Policy{Within: 2 * day}, nights(5), "n0 n1 n2"},
		"tag":                     {Policy{Last: 1, Tags: []string{"release"}}, append(nights(3), tagged), "n0 tagged"},
		"one slot for each rule":  {Policy{Last: 1, Each: map[string]int{"daily": 1, "weekly": 1}}, nights(9), "n0"},
		"the last complete stays": {Policy{Within: time.Hour}, append(nights(9)[:5], partial), "n4 partial"},
		"partial is no daily":     {Policy{Each: map[string]int{"daily": 2}}, append(nights(9)[:8], partial), "n1 partial"},
		"partial gives way":       {Policy{Each: map[string]int{"daily": 1}}, append(nights(1), partial), "n0"},
		"only partial":            {Policy{Tags: []string{"x"}}, []repo.Archive{partial}, "partial"},
		"every job":               {Policy{Last: 1}, append(nights(3), other, elsewhere), "elsewhere n0 other"},
		"stored again":            {Policy{Last: 1}, again, "n1 n2 n3"},
		"late":                    {Policy{Last: 1}, append(nights(2), late), "n0"},
		"only late":               {Policy{Last: 1}, []repo.Archive{late, latePartial}, "late"},
		"vouched":                 {Policy{Each: map[string]int{"daily": 3, "monthly": 2}}, vouched, "n0 n1 n2 n25"},
		"only vouched":            {Policy{Each: map[string]int{"daily": 3}}, vouched[:39], "n1 n2 n3"},
		"more than there are":     {Policy{Last: 9, Each: map[string]int{"yearly": 9}}, nights(2), "n0 n1"},
	} {
		if got := kept(c.policy, c.archives...); got != c.want {
			t.Errorf("%s: kept %q, want %q", name, got, c.want)
		}
	}
}

// Whoever sees an archive go should see why.
// A store that counts whole seconds may date several archives alike: the newest of them stays, complete or not.
func TestSameSecond(t *testing.T) {
	for _, complete := range []bool{true, false} {
		var all []repo.Archive
		for i, id := range []string{"c", "b", "d", "a"} {
			a := made(id, 0)
			a.End, a.Complete = noon.Add(time.Duration(i)*time.Millisecond), complete
			all = append(all, a)
		}
		for p, want := range map[*Policy]string{{Last: 1}: "a", {Last: 2}: "a d", {Each: map[string]int{"daily": 3}}: "a"} {
			if got := kept(*p, slices.Clone(all)...); got != want {
				t.Errorf("%+v keeps %s, not %s (complete: %v)", *p, got, want, complete)
			}
		}
	}
}

func TestReasons(t *testing.T) {
	late, repeated, older := made("late", 3*day), made("repeated", 2*day), made("older", day)
	late.Standing, repeated.Standing, older.Predecessor = repo.Late, repo.Repeated|repo.Backdated, "n0"
	want := map[string]string{"late": "late, so it takes no place", "repeated": "backdated, repeated, so it takes no place", "older": "dated before its predecessor, so it takes no place", "n0": "daily 2026-11-25"}
	archives := append([]repo.Archive{late, repeated, older}, nights(1)...)
	for _, d := range (&Policy{Each: map[string]int{"daily": 9}}).Decide(archives, everyone, noon, time.UTC) {
		if got := strings.Join(d.Reasons, "; "); got != want[d.ID] {
			t.Errorf("%s: %q, want %q", d.ID, got, want[d.ID])
		}
	}
}

// Of two hours of one name, when clocks go back, each has its place.
func TestHours(t *testing.T) {
	for zone, back := range map[string]time.Time{
		"Europe/Berlin":       time.Date(2026, 10, 25, 1, 0, 0, 0, time.UTC),
		"America/New_York":    time.Date(2026, 11, 1, 6, 0, 0, 0, time.UTC),
		"Australia/Lord_Howe": time.Date(2026, 4, 4, 15, 0, 0, 0, time.UTC), // by half an hour
	} {
		in, err := time.LoadLocation(zone)
		if err != nil {
			t.Fatal(err)
		}
		var all []repo.Archive
		for i, at := range []time.Duration{-90, -30, 20, 80} {
			a := made(string(rune('a'+i)), 0)
			a.Stored = back.Add(at * time.Minute)
			a.Time, a.End = a.Stored, a.Stored
			all = append(all, a)
		}
		for _, d := range (&Policy{Each: map[string]int{"hourly": 4}}).Decide(all, everyone, back.Add(day), in) {
			if !d.Keep {
				t.Errorf("%s: %s goes", zone, d.Stored.In(in))
			}
		}
	}
}

// A rule that fits none of a job leaves the last one, which is more likely a slip.
func TestEmptied(t *testing.T) {
	other := nights(2)
	for i := range other {
		other[i].ID, other[i].Job = "o"+other[i].ID, "other"
	}
	tagged := made("tagged", 5*day)
	tagged.Tags = []repo.Text{"release"}
	for _, c := range []struct {
		policy   Policy
		archives []repo.Archive
		want     int
	}{
		{Policy{Tags: []string{"release"}}, nights(3), 1},
		{Policy{Tags: []string{"release"}}, append(nights(3), tagged), 0},
		{Policy{Tags: []string{"release"}}, append(append(nights(3), tagged), other...), 1},
		{Policy{Tags: []string{"nosuch"}}, append(nights(3), other...), 2},
		{Policy{Tags: []string{"nosuch"}}, nights(1), 0}, // nothing goes
		{Policy{Within: time.Hour}, nights(5)[:3], 1},
		{Policy{Within: time.Hour, Last: 1}, nights(5)[:3], 0},
		{Policy{Each: map[string]int{"yearly": 1}}, nights(5), 0},
	} {
		decisions := c.policy.Decide(c.archives, everyone, noon, time.UTC)
		if got := Emptied(decisions); len(got) != c.want {
			t.Errorf("%+v of %d archives: %q", c.policy, len(c.archives), got)
		}
	}
}

// Nor does it help him to have somebody with a recovery key vouch for them.
func TestForgedAndVouched(t *testing.T) {
	good := nights(40)
	for _, p := range []Policy{{Last: 3}, {Each: map[string]int{"daily": 7, "weekly": 4, "monthly": 6}}, {Each: map[string]int{"hourly": 5, "yearly": 2}}} {
		want := strings.Fields(kept(p, good...))
		all := slices.Clone(good)
		for i := range 400 {
			forged := made(fmt.Sprint("forged", i), time.Duration(i)*3*time.Hour)
			if forged.Stored = noon; i > 0 {
				forged.Standing = repo.Late | repo.Verified | repo.Vouched
				all = append(all, forged)
			}
		}
		got := strings.Fields(kept(p, all...))
		for _, id := range want {
			if !slices.Contains(got, id) {
				t.Errorf("%+v: %s is not kept", p, id)
			}
		}
	}
}

// Whoever stole a host's key writes archives that pretend to be of other times, to have the good ones forgotten (restic's issue 22057).
func TestForgedTimes(t *testing.T) {
	good := nights(40)
	policies := []Policy{{Last: 3}, {Each: map[string]int{"daily": 7, "weekly": 4, "monthly": 6}}, {Within: 10 * day}, {Each: map[string]int{"hourly": 5, "yearly": 2}}}
	r := rand.New(rand.NewPCG(1, 2))
	for _, p := range policies {
		want := kept(p, good...)
		for range 200 {
			all := slices.Clone(good)
			for i := range 1 + r.IntN(30) {
				forged := made(fmt.Sprint("forged", i), 0)
				forged.Time = noon.Add(time.Duration(r.Int64N(int64(4000*day))) - 2000*day)
				if forged.Time.Sub(noon).Abs() <= sealed.MaxSkew {
					continue
				}
				forged.Standing = repo.Late
				all = append(all, forged)
			}
			slices.SortStableFunc(all, func(a, b repo.Archive) int { return a.Time.Compare(b.Time) })
			var ids []string
			for _, d := range p.Decide(all, everyone, noon, time.UTC) {
				if d.Keep && !strings.HasPrefix(d.ID, "forged") {
					ids = append(ids, d.ID)
				}
			}
			slices.Sort(ids)
			if got := strings.Join(ids, " "); got != want {
				t.Fatalf("%+v keeps %q of the good ones, want %q", p, got, want)
			}
		}
	}
	// A copy of yesterday's archive, put back under today's, or the other way round.
	replay := made("replay", 5*day)
	replay.Predecessor = "n1"
	if got := kept(Policy{Each: map[string]int{"daily": 9}}, append(nights(5), replay)...); strings.Contains(got, "replay") {
		t.Errorf("an archive older than its predecessor is kept: %q", got)
	}
}

// Floods of true archives cannot take more than the newest places.
func TestFlood(t *testing.T) {
	all := nights(10)
	for i := range 500 {
		all = append(all, made(fmt.Sprint("flood", i), time.Duration(i+1)*time.Second))
	}
	got := kept(Policy{Each: map[string]int{"daily": 7}}, all...)
	if got != "n0 n1 n2 n3 n4 n5 n6" {
		t.Errorf("kept %q", got)
	}
}

func TestValidate(t *testing.T) {
	if err := (&Policy{}).Validate(); !errors.Is(err, ErrEmpty) {
		t.Errorf("an empty policy: %v", err)
	}
	for _, p := range []Policy{{Last: -1}, {Each: map[string]int{"daily": 3, "weekly": -2}}, {Within: -time.Hour}, {Last: 1, Each: map[string]int{"fortnightly": 1}}} {
		if err := p.Validate(); err == nil || errors.Is(err, ErrEmpty) {
			t.Errorf("%+v: %v", p, err)
		}
	}
	for _, p := range []Policy{{Last: 1}, {Within: time.Hour}, {Tags: []string{"x"}}} {
		if err := p.Validate(); err != nil {
			t.Errorf("%+v: %v", p, err)
		}
	}
}

// Days begin where people live.
func TestZone(t *testing.T) {
	zone := time.FixedZone("", 13*3600)
	archives := []repo.Archive{made("yesterday", 2*time.Hour), made("today", 30*time.Minute)} // 23:00 and 00:30 there
	p := Policy{Each: map[string]int{"daily": 2}}
	n := 0
	for _, d := range p.Decide(archives, everyone, noon, zone) {
		if d.Keep {
			n++
		}
	}
	if n != 2 {
		t.Errorf("%d days", n)
	}
}
