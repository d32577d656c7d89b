package history_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"nightjar/job/history"
	"nightjar/job/record"
)

var monday = time.Date(2026, 11, 23, 2, 0, 0, 0, time.UTC) // 03:00 in Berlin

// day returns a moment of a night after monday's.
func day(n int, after time.Duration) time.Time { return monday.AddDate(0, 0, n).Add(after) }

// A world is what a repository lists.
type world struct {
	archives []history.Archive
	wrong    time.Duration // how far the clocks of hosts are ahead of the store's
}

func (w *world) add(a history.Archive) *history.Archive {
	if a.ID == "" {
		a.ID = fmt.Sprintf("%064x", len(w.archives)+1)
	}
	a.Start, a.End = a.Stored.Add(w.wrong-time.Second), a.Stored.Add(w.wrong)
	a.Counts, a.Complete = !slices.Contains([]string{"late"}, a.Source), a.Source != "incomplete"
	w.archives = append(w.archives, a)
	return &w.archives[len(w.archives)-1]
}

// made adds an archive of job etc and returns its id.
func (w *world) made(at time.Time) string {
	return w.add(history.Archive{Host: "web1", Job: "etc", Kind: "files", Stored: at}).ID
}

// ran adds the record of a run of job etc that ended at a time of the store's, and was recorded some time later.
func (w *world) ran(ended time.Time, waited time.Duration, change func(*record.Record)) {
	r := record.Record{
		Job: "etc", Kind: "files", Outcome: record.Done, Start: ended.Add(w.wrong - time.Minute), End: ended.Add(w.wrong), Due: ended.Add(w.wrong).Truncate(time.Hour),
		Schedule: "0 3 * * *", Zone: "Europe/Berlin",
	}
	change(&r)
	w.put(record.Run, "web1", ended.Add(waited), r)
}

func (w *world) put(kind, host string, at time.Time, r record.Record) {
	w.add(history.Archive{Host: host, Job: kind + " " + r.Job, Kind: kind, Stored: at, Labels: r.Labels()})
}

func (w *world) read(t *testing.T, now time.Time) map[string]history.Job {
	t.Helper()
	all := map[string]history.Job{}
	for _, j := range history.Read(w.archives, now) {
		all[j.Host+" "+j.Name] = j
	}
	return all
}

func with(id string) func(*record.Record) { return func(r *record.Record) { r.Archive = id } }

func failed(r *record.Record) { r.Outcome, r.Exit, r.Error = record.Failed, 1, "disk full" }

func TestOverdue(t *testing.T) {
	const night = 30 * time.Minute
	unread := func(r *record.Record) { r.Zone, r.Overdue = "Mars/Olympus", r.End.Add(25*time.Hour) }
	for _, wrong := range []time.Duration{0, -7 * time.Hour, 40 * time.Hour, -56 * 365 * 24 * time.Hour} {
		for _, c := range []struct {
			what    string
			nights  func(w *world)
			overdue time.Time
			success time.Time
		}{
			{"one night", func(w *world) { w.ran(day(0, night), 0, with(w.made(day(0, night)))) }, day(1, 6*time.Hour), day(0, night)},
			{"grace that the host gives", func(w *world) {
				w.ran(day(0, night), 0, func(r *record.Record) { r.Overdue = day(1, 5*time.Hour).Add(w.wrong) })
			}, day(1, 5*time.Hour), day(0, night)},
			{"failed since", func(w *world) { w.ran(day(0, night), 0, with(w.made(day(0, night)))); w.ran(day(1, night), 0, failed) }, day(1, 6*time.Hour), day(0, night)},
			{"never", func(w *world) { w.ran(day(0, night), 0, failed); w.ran(day(1, night), 0, failed) }, day(0, 6*time.Hour), time.Time{}},
			{"an archive since, of which the record is lost", func(w *world) { w.ran(day(0, night), 0, failed); w.made(day(1, night)) }, day(2, 6*time.Hour), day(1, night)},
			{"archive that is gone", func(w *world) { w.ran(day(0, night), 0, with(strings.Repeat("ab", 32))) }, day(0, 6*time.Hour), time.Time{}},
			{"no schedule", func(w *world) { w.made(day(0, night)) }, time.Time{}, day(0, night)},
			{"no zone that is known here", func(w *world) { w.ran(day(0, night), 0, unread); w.made(day(1, night)) }, day(2, night+time.Hour), day(1, night)},
			{"a failure that waited", func(w *world) { w.made(day(2, night)); w.ran(day(1, night), 36*time.Hour, failed) }, day(3, 6*time.Hour), day(2, night)},
		} {
			w := &world{wrong: wrong}
			c.nights(w)
			j := w.read(t, day(9, 0))["web1 etc"]
			if !j.Overdue.Equal(c.overdue) && (wrong == 0 || j.Overdue.Sub(c.overdue).Abs() > 24*time.Hour) || !j.Success.Equal(c.success) {
				t.Errorf("%s, clock %s ahead: overdue %s, want %s; success %s, want %s", c.what, wrong, j.Overdue, c.overdue, j.Success, c.success)
			}
			if last := j.Last(); c.what == "a failure that waited" && last.Outcome == record.Failed {
				t.Errorf("%s, clock %s ahead: it is taken for the last night", c.what, wrong)
			}
		}
	}
}

// A host speaks of its own archives, and once of each.
func TestLies(t *testing.T) {
	w := new(world)
	theirs := w.add(history.Archive{Host: "db1", Job: "shop", Kind: "mysql-dump", Stored: day(0, 0), Labels: map[string]string{"position": "bin.000001:4"}}).ID
	w.ran(day(1, 0), 0, with(theirs))
	ours := w.made(day(2, 0))
	w.ran(day(2, 0), 0, with(ours))
	w.ran(day(2, 0), time.Hour, with(ours)) // once more, since an answer was lost
	w.ran(day(3, 0), 0, with(ours))         // another claims it
	w.put(record.Run, "web1", day(3, 0), record.Record{Job: "db", Outcome: "fine"})
	w.add(history.Archive{Host: "web1", Job: "run etc", Kind: record.Run, Stored: day(4, 0), Labels: w.archives[len(w.archives)-2].Labels, Source: "late"})
	all := w.read(t, day(9, 0))
	etc := all["web1 etc"]
	if len(all) != 3 || len(etc.Nights) != 2 || etc.Nights[0].Succeeded() || !etc.Nights[1].Succeeded() || etc.PassedOver != 2 {
		t.Errorf("%d jobs; etc is %+v", len(all), etc)
	}
	if shop := all["db1 shop"]; len(shop.Nights) != 1 || shop.Nights[0].Recorded || !shop.Success.Equal(day(0, 0)) {
		t.Errorf("the other host's is %+v", shop)
	}
	if db := all["web1 db"]; db.PassedOver != 1 || !db.Failed() {
		t.Errorf("a job of which no record can be read is %+v", db)
	}
}

func TestDrills(t *testing.T) {
	w := new(world)
	id := w.add(history.Archive{Host: "db1", Job: "shop", Kind: "mysql-dump", Stored: day(0, 0), Labels: map[string]string{"position": "bin.000001:4"}}).ID
	drill := func(n int, change func(*record.Record)) {
		r := record.Record{Job: "shop", Kind: "drill", Outcome: record.Done, Archive: id, Start: day(n, 0), End: day(n, 0)}
		change(&r)
		w.put(record.Drill, "desk", day(n, 0), r)
	}
	drill(1, func(*record.Record) {})
	drill(2, failed)
	drill(3, func(r *record.Record) {
		r.Archive, r.Notes, r.Outcome = "", map[string]string{history.DrilledHost: "db1"}, record.Failed
	})
	drill(4, func(r *record.Record) { r.Job, r.Archive = "unknown", "" })
	all := w.read(t, day(9, 0))
	j := all["db1 shop"]
	if len(all) != 1 || j.Proven == nil || !j.Proven.At.Equal(day(1, 0)) || j.Proven.Host != "desk" || !j.Drilled.At.Equal(day(3, 0)) || j.Position() != "bin.000001:4" {
		t.Errorf("it is %+v", j)
	}
	w.archives = w.archives[1:2] // the archive was pruned
	if got := history.Read(w.archives, day(9, 0)); len(got) != 0 {
		t.Errorf("a drill makes a job: %+v", got)
	}
}

func TestEnded(t *testing.T) {
	w := new(world)
	w.ran(day(0, 0), 0, failed)
	w.ran(day(1, 0), 0, func(r *record.Record) {
		r.Schedule, r.Zone, r.Notes = "", "", map[string]string{history.Ended: "2026-11-24"}
	})
	if j := w.read(t, day(9, 0))["web1 etc"]; !j.Ended || !j.Overdue.IsZero() || j.Failed() || !j.Success.IsZero() {
		t.Errorf("a job that was taken out: %+v", j)
	}
	w.ran(day(2, 0), 0, failed)
	if j := w.read(t, day(9, 0))["web1 etc"]; j.Ended || !j.Late(day(9, 0)) || !j.Failed() {
		t.Errorf("and put in again: %+v", j)
	}
}

// noise adds what hosts may write, true or not.
func (w *world) noise(r *rand.Rand, host string, n int) {
	pick := func(of ...string) string { return of[r.IntN(len(of))] }
	for range n {
		at := day(r.IntN(20), time.Duration(r.IntN(3600))*time.Second)
		a := history.Archive{Host: host, Job: pick("etc", "db", ""), Kind: pick("files", "mysql-hot"), Stored: at, Source: pick("", "", "late", "incomplete")}
		if r.IntN(2) == 0 {
			rec := record.Record{Job: pick("etc", "db"), Outcome: record.Outcome(pick("done", "failed", "problems", "x")), Schedule: pick("", "0 3 * * *", "*/5 * * * *", "x"), Zone: pick("", "UTC", "Asia/Tokyo", "../x")}
			rec.End, rec.Start = at.Add(-time.Duration(r.IntN(1000)-100)*time.Hour), at.AddDate(r.IntN(2)*-3000, 0, 0)
			rec.Overdue, rec.Due = at.AddDate(r.IntN(3)*3000, 0, 0), rec.Start
			if len(w.archives) > 0 {
				rec.Archive = pick("", w.archives[r.IntN(len(w.archives))].ID)
			}
			a.Kind = pick(record.Run, record.Drill)
			a.Job, a.Labels = a.Kind+" "+rec.Job, rec.Labels()
			if r.IntN(4) == 0 {
				a.Labels[record.Prefix+pick("start", "end", "figures", "job")] = pick("x", "", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z")
			}
		}
		w.add(a)
	}
}

// Whatever is listed, in whatever order: each archive is in one night, each night where it belongs, and no host moves another's.
func TestProperties(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 1))
		w, now := new(world), day(10, 0)
		w.noise(r, "a", r.IntN(30))
		alone := history.Read(w.archives, now)
		w.noise(r, "b", r.IntN(30))
		all := history.Read(w.archives, now)
		shuffled := slices.Clone(w.archives)
		r.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		if again := history.Read(shuffled, now); !reflect.DeepEqual(outline(all), outline(again)) {
			t.Fatalf("seed %d: in another order it is another history:\n%v\n%v", seed, outline(all), outline(again))
		}
		ofA := slices.DeleteFunc(slices.Clone(all), func(j history.Job) bool { return j.Host != "a" })
		if got, want := undrilled(ofA), undrilled(alone); !reflect.DeepEqual(got, want) {
			t.Fatalf("seed %d: another host changes\n%v\nto\n%v", seed, want, got)
		}
		check(t, w.archives, all, now)
	}
}

// outline has all of a history that can be compared.
func outline(all []history.Job) (lines []string) {
	for _, j := range all {
		lines = append(lines, fmt.Sprintf("%s/%s %s %v %v %v %v %d", j.Host, j.Name, j.Kind, j.Success, j.Due, j.Overdue, j.Ended, j.PassedOver))
		for _, n := range j.Nights {
			lines = append(lines, fmt.Sprintf("  %v %s %v %v", n.At, n.Outcome, n.Record.Archive, n.Succeeded()))
		}
		if j.Proven != nil {
			lines = append(lines, fmt.Sprintf("  proven %v", j.Proven.At))
		}
	}
	return lines
}

func undrilled(all []history.Job) []string {
	return slices.DeleteFunc(outline(all), func(s string) bool { return strings.HasPrefix(s, "  proven") })
}

func check(t *testing.T, archives []history.Archive, all []history.Job, now time.Time) {
	t.Helper()
	want := map[string]bool{}
	for i := range archives {
		if a := &archives[i]; a.Kind != record.Run && a.Kind != record.Drill {
			want[a.ID] = true
		}
	}
	got := map[string]bool{}
	for _, j := range all {
		if len(j.Nights) == 0 {
			t.Errorf("%s/%s has no night", j.Host, j.Name)
		}
		var success time.Time
		for i, n := range j.Nights {
			if i > 0 && n.At.Before(j.Nights[i-1].At) {
				t.Errorf("%s/%s: nights are not in order", j.Host, j.Name)
			}
			if n.Archive != nil && (got[n.Archive.ID] || n.Archive.Host != j.Host) {
				t.Errorf("%s/%s: archive %s is in two nights, or of another host", j.Host, j.Name, n.Archive.ID)
			}
			if n.Archive != nil {
				got[n.Archive.ID] = true
			}
			if n.Succeeded() && !n.At.After(now.Add(time.Hour)) {
				success = n.At
			}
		}
		if !j.Success.Equal(success) {
			t.Errorf("%s/%s: success %s, want %s", j.Host, j.Name, j.Success, success)
		}
		for _, at := range []time.Time{j.Success, j.Due, j.Overdue, j.Last().At} {
			if _, err := at.MarshalJSON(); err != nil {
				t.Errorf("%s/%s: %v", j.Host, j.Name, err)
			}
		}
	}
	if !maps.Equal(got, want) {
		t.Errorf("%d of %d archives are in nights", len(got), len(want))
	}
}

// FuzzRead has one record with labels that anybody may have written beside a true one.
func FuzzRead(f *testing.F) {
	for _, s := range [][5]string{{"done", "2026-11-23T02:00:00Z", "0 3 * * *", "Europe/Berlin", "2026-11-24T05:00:00Z"}, {"failed", "9999-12-31T23:59:59-23:00", "@daily", "Local", ""}, {"problems", "0001-01-01T00:00:00Z", "x", "..", "9999-01-01T00:00:00Z"}} {
		f.Add(s[0], s[1], s[2], s[3], s[4], int64(0))
	}
	f.Fuzz(func(t *testing.T, outcome, end, schedule, zone, overdue string, wrong int64) {
		w := &world{wrong: time.Duration(wrong)}
		id := w.made(day(0, 0))
		labels := map[string]string{"run.job": "etc", "run.outcome": outcome, "run.exit": "0", "run.end": end, "run.due": end, "run.schedule": schedule, "run.zone": zone, "run.overdue": overdue, "run.archive": id}
		w.add(history.Archive{Host: "web1", Job: "run etc", Kind: record.Run, Stored: day(1, 0), Labels: labels})
		check(t, w.archives, history.Read(w.archives, day(2, 0)), day(2, 0))
	})
}
