package plan_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"nightjar/internal/calendar"
	"nightjar/snapshot"
	"nightjar/snapshot/plan"
)

var noon = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

const (
	day  = 24 * time.Hour
	home = "us-east-1"
	away = "eu-west-1"
)

func everySet(*snapshot.Set) bool { return true }

// made returns a whole set of two volumes that was taken so long before noon.
func made(id string, ago time.Duration) snapshot.Set {
	s := snapshot.Set{Label: snapshot.Label{ID: id, Job: "db", Host: "db1", Class: "nightly", Time: noon.Add(-ago)}, Region: home}
	for i := range 2 {
		volume := fmt.Sprintf("vol-%d", i)
		s.Volumes = append(s.Volumes, snapshot.Volume{ID: volume})
		s.Snapshots = append(s.Snapshots, snapshot.Snapshot{ID: fmt.Sprintf("snap-%s-%d", id, i), Region: home, Volume: volume, State: snapshot.Completed, Started: s.Time})
	}
	return s
}

// copied returns the copy of a set that began so long before noon.
func copied(s snapshot.Set, ago time.Duration, key string) snapshot.Set {
	s.Region, s.Snapshots = away, slices.Clone(s.Snapshots)
	for i := range s.Snapshots {
		x := &s.Snapshots[i]
		x.CopyOf, x.CopyFrom, x.ID, x.Region, x.KMSKey, x.Started = x.ID, home, "copy-"+x.ID, away, key, noon.Add(-ago)
	}
	return s
}

func with(s snapshot.Set, change func(*snapshot.Set)) snapshot.Set {
	s.Snapshots = slices.Clone(s.Snapshots)
	change(&s)
	return s
}

func half(s *snapshot.Set) { s.Snapshots = s.Snapshots[:1] }

// one makes a set one of a single volume, which is whole.
func one(s *snapshot.Set) { s.Volumes, s.Snapshots = s.Volumes[:1], s.Snapshots[:1] }

// began has EC2 have begun a set's snapshots so long before noon.
func began(ago time.Duration) func(*snapshot.Set) {
	return func(s *snapshot.Set) {
		for i := range s.Snapshots {
			s.Snapshots[i].Started = noon.Add(-ago)
		}
	}
}

func nights(n int) (all []snapshot.Set) {
	for i := range n {
		all = append(all, made(fmt.Sprint("n", i), time.Duration(i)*day))
	}
	return all
}

func kept(decisions []plan.Decision) string {
	var ids []string
	for _, d := range decisions {
		if len(d.Reasons) == 0 {
			panic("no reason for " + d.ID)
		}
		if d.Keep {
			ids = append(ids, d.ID)
		}
	}
	slices.Sort(ids)
	return strings.Join(ids, " ")
}

func TestRetain(t *testing.T) {
	class := func(s snapshot.Set, class string) snapshot.Set { s.Class = class; return s }
	host := func(s snapshot.Set, host string) snapshot.Set { s.Host = host; return s }
	pending := func(s *snapshot.Set) { s.Snapshots[1].State = snapshot.Pending }
	failed := func(s *snapshot.Set) { s.Snapshots[1].State = snapshot.Failed }
	for name, c := range map[string]struct {
		policy plan.Policy
		sets   []snapshot.Set
		holds  plan.Holds
		want   string
	}{
		"last":               {plan.Policy{Last: 2}, nights(5), nil, "n0 n1"},
		"daily":              {plan.Policy{Each: map[string]int{"daily": 2}}, append(nights(4), made("early", 4*time.Hour)), nil, "n0 n1"},
		"hourly":             {plan.Policy{Each: map[string]int{"hourly": 2}}, append(nights(2), made("same", 5*time.Minute)), nil, "n0 same"},
		"weekly and last":    {plan.Policy{Last: 1, Each: map[string]int{"weekly": 2}}, nights(9), nil, "n0 n3"},
		"within":             {plan.Policy{Within: 2 * day}, nights(5), nil, "n0 n1 n2"},
		"by host and class":  {plan.Policy{Last: 1}, append(nights(2), class(made("hour", day), "hourly"), host(made("other", 9*day), "db2")), nil, "hour n0 other"},
		"nothing by rule":    {plan.Policy{Within: time.Hour}, []snapshot.Set{made("a", 40*day), made("b", 41*day)}, nil, "a"},
		"pending no place":   {plan.Policy{Last: 1}, []snapshot.Set{with(made("p", 0), pending), made("a", day), made("b", 2*day)}, nil, "a p"},
		"newer and broken":   {plan.Policy{Last: 1}, []snapshot.Set{with(made("f", day), failed), made("a", 2*day), made("b", 3*day)}, nil, "a f"},
		"older and broken":   {plan.Policy{Last: 2}, []snapshot.Set{made("a", day), with(made("f", 2*day), failed), with(made("h", 3*day), half), made("b", 4*day)}, nil, "a b"},
		"only broken":        {plan.Policy{Last: 1}, []snapshot.Set{with(made("f", day), failed), with(made("h", 2*day), half)}, nil, "f h"},
		"lately broken":      {plan.Policy{Last: 1}, []snapshot.Set{made("a", 0), with(made("h", 30*time.Minute), half)}, nil, "a h"},
		"from the future":    {plan.Policy{Last: 1}, []snapshot.Set{made("x", -day), made("a", day), made("b", 2*day)}, nil, "a x"},
		"held":               {plan.Policy{Last: 1}, nights(4), plan.Holds{"snap-n2-1": "locked"}, "n0 n2"},
		"no volumes":         {plan.Policy{Last: 1}, []snapshot.Set{made("a", 0), with(made("v", day), func(s *snapshot.Set) { s.Volumes = nil })}, nil, "a"},
		"newest of each key": {plan.Policy{Last: 1}, []snapshot.Set{copied(made("a", 0), 0, "k2"), copied(made("b", day), day, "k2"), copied(made("c", 2*day), 2*day, "k1"), copied(made("d", 3*day), 3*day, "k1")}, nil, "a c"},
		"copied last":        {plan.Policy{Last: 1}, []snapshot.Set{copied(made("a", 2*day), day, "k"), copied(made("b", 3*day), time.Hour, "k")}, nil, "a b"},
		"misdated":           {plan.Policy{Last: 1}, []snapshot.Set{with(made("x", 0), began(2*day)), made("a", day), made("b", 2*day), with(made("y", 9*day), began(0))}, nil, "a x y"},
		"misdated by little": {plan.Policy{Last: 1}, []snapshot.Set{with(made("x", day), began(day-50*time.Minute)), made("b", 2*day)}, nil, "x"},
		"only misdated":      {plan.Policy{Last: 1}, []snapshot.Set{with(made("x", 0), began(2*day)), with(made("y", day), began(0))}, nil, "x y"},
		"misdated copy":      {plan.Policy{Last: 1}, []snapshot.Set{copied(made("x", 0), 2*day, "k"), copied(made("a", day), 0, "k"), copied(made("b", 2*day), day, "k")}, nil, "a x"},
		"of fewer volumes":   {plan.Policy{Last: 2}, []snapshot.Set{with(made("x", 0), one), with(made("y", day), one), made("a", 2*day), made("b", 3*day)}, nil, "a x y"},
		"of more volumes":    {plan.Policy{Last: 1}, []snapshot.Set{made("a", 0), with(made("x", day), one)}, nil, "a"},
		"a copy under way":   {plan.Policy{Last: 1}, []snapshot.Set{copied(made("a", 0), 0, "k"), with(copied(made("h", 9*day), 2*time.Hour, "k"), half), with(copied(made("i", 9*day), 2*day, "k"), half)}, nil, "a h"},
	} {
		before := fmt.Sprint(c.sets)
		decisions := c.policy.Retain(noon, time.UTC, c.sets, everySet, c.holds)
		if got := kept(decisions); got != c.want {
			t.Errorf("%s: kept %q, want %q", name, got, c.want)
		}
		if fmt.Sprint(c.sets) != before {
			t.Errorf("%s: the sets were changed", name)
		}
	}
}

func TestRetainSaysWhy(t *testing.T) {
	p := plan.Policy{Last: 1, Each: map[string]int{"daily": 2}}
	sets := append(nights(4), with(made("h", 10*day), half))
	var got []string
	for _, d := range p.Retain(noon, time.UTC, sets, everySet, plan.Holds{"snap-n3-0": "locked until 2027-01-01"}) {
		got = append(got, fmt.Sprintf("%s %t %t: %s", d.ID, d.Keep, d.Held, strings.Join(d.Reasons, "; ")))
	}
	want := []string{
		"n0 true false: last 1; daily 2026-11-25",
		"n1 true false: daily 2026-11-24",
		"n2 false false: no rule keeps it",
		"n3 true true: snap-n3-0: locked until 2027-01-01",
		"h false false: incomplete: of 2 volumes it has 1",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s", strings.Join(got, "\n"))
	}
}

func TestValidate(t *testing.T) {
	for _, bad := range []plan.Policy{{}, {Last: -1}, {Each: map[string]int{"minutely": 1}}, {Last: 1, Each: map[string]int{"daily": -1}}, {Each: map[string]int{"daily": 0}}} {
		if bad.Validate() == nil {
			t.Errorf("%v is valid", bad)
		}
	}
}

// random returns sets of a few groups, some of them half there, pending or failed.
func random(r *rand.Rand) (sets []snapshot.Set, holds plan.Holds) {
	holds = plan.Holds{}
	for i := range r.IntN(60) {
		s := made(fmt.Sprint("s", i), time.Duration(r.Int64N(int64(100*day)))-day/4)
		s.Class = []string{"nightly", "hourly"}[r.IntN(2)]
		if r.IntN(3) == 0 {
			s = copied(s, noon.Sub(s.Time), []string{"", "k1", "k2"}[r.IntN(3)])
		}
		switch r.IntN(8) {
		case 0:
			s = with(s, half)
		case 1:
			s.Snapshots[r.IntN(2)].State = []snapshot.State{snapshot.Pending, snapshot.Failed, snapshot.Recoverable}[r.IntN(3)]
		case 2:
			holds[s.Snapshots[r.IntN(2)].ID] = "held"
		}
		sets = append(sets, s)
	}
	return sets, holds
}

func randomPolicy(r *rand.Rand) plan.Policy {
	p := plan.Policy{Last: r.IntN(3), Each: map[string]int{}}
	for _, period := range calendar.Periods {
		p.Each[period.Rule] = r.IntN(4)
	}
	return p
}

// TestRetainProperties deletes what is to go, snapshot by snapshot, is killed anywhere, and begins anew.
func TestRetainProperties(t *testing.T) {
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 1))
		sets, holds := random(r)
		p := randomPolicy(r)
		first := p.Retain(noon, time.UTC, sets, everySet, holds)
		keep := kept(first)
		newest := map[string]string{} // whole set of each group
		for _, d := range first {
			group := d.Class
			if d.Condition == plan.Whole && !d.Time.After(noon.Add(10*time.Minute)) && newest[group] == "" {
				newest[group] = d.ID
				if !d.Keep {
					t.Fatalf("seed %d: the last whole set goes", seed)
				}
			}
			for _, x := range d.Snapshots {
				if holds[x.ID] != "" && !d.Keep {
					t.Fatalf("seed %d: %s goes, which is held", seed, d.ID)
				}
			}
		}
		goes := map[string]bool{}
		for _, d := range first {
			goes[d.ID] = !d.Keep
		}
		for round := 0; slices.ContainsFunc(sets, func(s snapshot.Set) bool { return goes[s.ID] }); round++ {
			if round > 1000 {
				t.Fatalf("seed %d: it does not end", seed)
			}
			dies := r.IntN(7) // after so many deletions
			for _, d := range p.Retain(noon, time.UTC, sets, everySet, holds) {
				if d.Keep != !goes[d.ID] {
					t.Fatalf("seed %d: of %s it thinks otherwise after a kill: %v", seed, d.ID, d.Reasons)
				}
				for !d.Keep && len(d.Snapshots) > 0 && dies > 0 {
					dies--
					d.Snapshots = d.Snapshots[1:]
					if plan.Of(d.Set) == plan.Whole {
						t.Fatalf("seed %d: half of %s looks whole", seed, d.ID)
					}
				}
			}
			sets = slices.DeleteFunc(sets, func(s snapshot.Set) bool { return len(s.Snapshots) == 0 })
		}
		if again := kept(p.Retain(noon, time.UTC, sets, everySet, holds)); again != keep {
			t.Fatalf("seed %d: kept %s, and then %s", seed, keep, again)
		}
	}
}

// TestRetainForged adds sets by whoever may only label a snapshot: misdated ones change nothing, and any ones leave the last of all volumes.
func TestRetainForged(t *testing.T) {
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 3))
		sets, holds := random(r)
		p := randomPolicy(r)
		keeps := map[string]bool{}
		last := map[string]string{} // of all volumes, of each group
		for _, d := range p.Retain(noon, time.UTC, sets, everySet, holds) {
			keeps[d.ID] = d.Keep
			if group := d.Class + d.Snapshots[0].CopyFrom; d.Condition == plan.Whole && !d.Time.After(noon.Add(10*time.Minute)) && last[group] == "" {
				last[group] = d.ID
			}
		}
		with1, with2 := slices.Clone(sets), slices.Clone(sets)
		for i := range 1 + r.IntN(40) {
			ago := time.Duration(r.Int64N(int64(100 * day)))
			s := with(made(fmt.Sprint("forged", i), ago), one)
			s.Class = []string{"nightly", "hourly"}[r.IntN(2)]
			with2 = append(with2, with(s, began(ago-time.Duration(r.Int64N(int64(time.Hour)))))) // as whoever forges it can
			with1 = append(with1, with(s, began(ago+time.Hour+time.Second+time.Duration(r.Int64N(int64(100*day))))))
		}
		for _, d := range p.Retain(noon, time.UTC, with1, everySet, holds) {
			if want, real := keeps[d.ID]; d.Misdated == real || d.Keep != (want || !real) {
				t.Fatalf("seed %d: of %s it thinks %t: %v", seed, d.ID, d.Keep, d.Reasons)
			}
		}
		left := map[string]bool{}
		for _, d := range p.Retain(noon, time.UTC, with2, everySet, holds) {
			left[d.ID] = d.Keep
		}
		for _, id := range last {
			if !left[id] {
				t.Fatalf("seed %d: %s goes, the last of all volumes", seed, id)
			}
		}
	}
}

func TestDue(t *testing.T) {
	at := func(text string) []calendar.Cron {
		c, err := calendar.ParseCron(text)
		if err != nil {
			t.Fatal(err)
		}
		return []calendar.Cron{c}
	}
	failed := func(id string, ago time.Duration) snapshot.Set { return with(made(id, ago), half) }
	for name, c := range map[string]struct {
		cron string
		sets []snapshot.Set
		want bool
	}{
		"first":       {"30 2 * * *", nil, true},
		"taken":       {"30 2 * * *", []snapshot.Set{made("a", 9*time.Hour)}, false},
		"taken late":  {"30 2 * * *", []snapshot.Set{made("a", time.Minute)}, false},
		"missed":      {"30 2 * * *", []snapshot.Set{made("a", 10*time.Hour)}, true},
		"pending":     {"30 2 * * *", []snapshot.Set{with(made("a", 0), func(s *snapshot.Set) { s.Snapshots[0].State = snapshot.Pending })}, false},
		"failed":      {"30 2 * * *", []snapshot.Set{failed("a", time.Hour)}, true},
		"gives up":    {"30 2 * * *", []snapshot.Set{failed("a", 3*time.Hour), failed("b", 2*time.Hour), failed("c", time.Hour)}, false},
		"old failure": {"30 2 * * *", []snapshot.Set{failed("a", 30*time.Hour), failed("b", 29*time.Hour), failed("c", 28*time.Hour)}, true},
		"forged":      {"30 2 * * *", []snapshot.Set{with(made("a", time.Hour), began(30*day))}, true},
		"future":      {"30 2 * * *", []snapshot.Set{made("a", -30*day)}, true},
		"some skew":   {"0 12 * * *", []snapshot.Set{made("a", -time.Minute)}, false},
	} {
		if got := plan.Due(noon, time.UTC, at(c.cron), c.sets); got.Due != c.want || got.Reason == "" || !got.Next.After(noon) {
			t.Errorf("%s: %+v, want %t", name, got, c.want)
		}
	}
}

// TestDueProperties has a machine run, be down, be asked twice, and fail: each time at which one was due has one set if the machine ran before the next.
func TestDueProperties(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	for seed := range uint64(8) {
		r := rand.New(rand.NewPCG(seed, 2))
		text := []string{"30 2 * * *", "0 */4 * * *", "0 3 * * 1", "15 1,13 * * *"}[r.IntN(4)]
		c, err := calendar.ParseCron(text)
		if err != nil {
			t.Fatal(err)
		}
		begin := time.Date(2026, 10, 20, 0, 0, 0, 0, berlin)
		now, sets, asked := begin, []snapshot.Set(nil), []time.Time{}
		for now.Before(begin.Add(9 * day)) {
			now = now.Add(20*time.Minute + time.Duration(r.IntN(20))*time.Second)
			if r.IntN(50) == 0 { // it is down
				now = now.Add(time.Duration(r.Int64N(int64(2 * day))))
			}
			asked = append(asked, now)
			for range 1 + r.IntN(2) {
				if plan.Due(now, berlin, []calendar.Cron{c}, sets).Due {
					s := made(fmt.Sprint("s", len(sets)), noon.Sub(now))
					sets = append(sets, s)
				}
			}
		}
		of := map[time.Time]int{}
		for _, s := range sets {
			of[c.Last(s.Time.In(berlin)).UTC()]++
		}
		want := map[time.Time]int{}
		for _, at := range asked {
			want[c.Last(at).UTC()] = 1
		}
		if !maps.Equal(of, want) {
			t.Fatalf("seed %d, %s: %v, want %v", seed, text, of, want)
		}
	}
}
