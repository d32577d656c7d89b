package job

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"nightjar/internal/calendar"
	"nightjar/job/jobfile"
	"nightjar/job/record"
)

func zoned(t *testing.T, name string) *time.Location {
	t.Helper()
	z, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

func scheduled(t *testing.T, name, cron string, delay, catchUp time.Duration) jobfile.Job {
	t.Helper()
	c, err := calendar.ParseCron(cron)
	if err != nil {
		t.Fatal(err)
	}
	f := &jobfile.Files{Archiving: jobfile.Archiving{Common: jobfile.Common{Schedule: jobfile.Schedule{Cron: c, Given: true}, RandomDelay: jobfile.Duration(delay), CatchUp: jobfile.Duration(catchUp)}}}
	return jobfile.Job{Name: name, Kind: "files", Common: &f.Common, Of: f}
}

// A machine looks every ten minutes or so, is off at times, and kills runs.
type machine struct {
	random *rand.Rand
	zone   *time.Location
	job    jobfile.Job
	state  State
	looks  []time.Time
	ended  map[time.Time]int // runs that came to an end, by what they were for
	begun  map[time.Time]int
}

func (m *machine) look(t *testing.T, now time.Time) {
	m.looks = append(m.looks, now)
	d := Plan(now, m.zone, "web1", []jobfile.Job{m.job}, map[string]State{m.job.Name: m.state})[0]
	if m.random.IntN(20) == 0 && Plan(now, m.zone, "web1", []jobfile.Job{m.job}, map[string]State{m.job.Name: m.state})[0] != d {
		t.Fatalf("at %s, two answers, the first is %+v", now, d)
	}
	if !d.Next.After(now) {
		t.Fatalf("at %s it is due next at %s", now, d.Next)
	}
	if !d.Due {
		return
	}
	delay := Delay(m.job, "web1")
	if now.Before(d.For.Add(delay)) || !m.job.Schedule.Cron.Next(d.For.Add(-1)).Equal(d.For) {
		t.Fatalf("at %s it is early for %s and %v, or that is none of its times", now, d.For, delay)
	}
	if !d.For.Equal(m.state.For) {
		m.state.Tries = 0
	}
	m.state = State{For: d.For, Start: now, Success: m.state.Success, Tries: m.state.Tries + 1}
	m.begun[d.For.UTC()]++
	if m.random.IntN(20) > 0 || m.state.Tries > 1 { // else it is killed, but not twice
		m.state.End, m.state.Success, m.state.Outcome = now.Add(time.Second), now.Add(time.Second), record.Done
		m.ended[d.For.UTC()]++
	}
}

// TestPlanOnce has a machine that is off at times run each time of a schedule once, if it was on in time for it.
func TestPlanOnce(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 7))
	for n, cron := range []string{"0 3 * * *", "30 2 * * *", "*/10 * * * *", "* * * * *", "15 2,14 * * 1-5", "7 */5 * * *", "0 2 1,15 * *", "30 2 29 3 *"} {
		zone := []string{"Europe/Berlin", "Australia/Lord_Howe", "America/New_York"}[n%3]
		for _, begin := range []time.Time{time.Date(2026, 3, 5, 0, 3, 0, 0, time.UTC), time.Date(2026, 10, 1, 0, 3, 0, 0, time.UTC)} {
			delay := []time.Duration{0, time.Minute, 50 * time.Minute, 26 * time.Hour}[random.IntN(4)]
			catchUp := []time.Duration{0, time.Minute, 2 * time.Hour, 80 * time.Hour}[random.IntN(4)]
			m := &machine{random: random, zone: zoned(t, zone), job: scheduled(t, fmt.Sprint("job", n), cron, delay, catchUp), ended: map[time.Time]int{}, begun: map[time.Time]int{}}
			if d := Delay(m.job, "web1"); d < 0 || d > 0 && d >= delay {
				t.Fatalf("delay %v of %v", d, delay)
			}
			end := begin.AddDate(0, 0, 36)
			for now := begin; now.Before(end); now = now.Add(10*time.Minute + time.Duration(random.IntN(60)-30)*time.Second) {
				m.look(t, now.In(m.zone))
				if random.IntN(150) == 0 { // it is off
					now = now.Add(time.Duration(random.IntN(90*60)) * time.Minute)
				}
			}
			m.check(t, begin, end)
		}
	}
}

// check holds what was run to what was due.
func (m *machine) check(t *testing.T, begin, end time.Time) {
	t.Helper()
	delay := Delay(m.job, "web1")
	limit := time.Duration(1 << 62)
	if m.job.CatchUp > 0 {
		limit = max(time.Duration(m.job.CatchUp), look)
	}
	i := 0
	for at := m.job.Schedule.Cron.Next(begin.In(m.zone)); at.Add(delay).Before(end); {
		next := m.job.Schedule.Cron.Next(at)
		for i < len(m.looks) && m.looks[i].Before(at.Add(delay)) {
			i++
		}
		looks := 0 // that could serve it
		for k := i; k < len(m.looks) && m.looks[k].Before(next.Add(delay)) && m.looks[k].Sub(at.Add(delay)) <= limit; k++ {
			looks++
		}
		began, ended := m.begun[at.UTC()], m.ended[at.UTC()]
		if want := min(looks, 1); began < want || began > 2 || ended > 1 || looks > 1 && ended != 1 || looks == 0 && began > 0 {
			t.Fatalf("%s in %s, delay %v, catch-up %v: for %s it was begun %d times and came to an end %d times, with %d looks", m.job.Schedule.Cron, m.zone, delay, time.Duration(m.job.CatchUp), at, began, ended, looks)
		}
		at = next
	}
}

// TestPlanClock has clocks jump: whatever a state says, a job that is looked at runs again within the time of its schedule and an hour.
func TestPlanClock(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 9))
	zone := zoned(t, "Europe/Berlin")
	for range 200 {
		cron, most := "0 3 * * *", 25*time.Hour
		if random.IntN(2) == 0 {
			cron, most = "*/10 * * * *", 10*time.Minute
		}
		j := scheduled(t, "x", cron, time.Duration(random.IntN(60))*time.Minute, 0)
		now := time.Date(2026, 1, 1, 0, 0, 0, 0, zone).Add(time.Duration(random.IntN(366*24*60)) * time.Minute)
		wrong := func() time.Time {
			return now.Add(time.Duration(random.Int64N(int64(4*366*24*time.Hour))) - 2*366*24*time.Hour)
		}
		s := State{For: wrong(), Start: wrong(), End: wrong(), Success: wrong(), Outcome: "odd", Tries: random.IntN(100)}
		ran := time.Time{}
		for at := now; ran.IsZero(); at = at.Add(10 * time.Minute) {
			if d := decide(j, at, "web1", s); d.Due {
				ran = at
			} else if at.Sub(now) > most+skew {
				t.Fatalf("%s: at %s it is not due: %+v of %+v", cron, at, d, s)
			}
		}
	}
}

// TestPlanSteps has a clock that is set back by a little repeat nothing.
func TestPlanSteps(t *testing.T) {
	zone := zoned(t, "Europe/Berlin")
	j := scheduled(t, "x", "0 3 * * *", 0, 0)
	at := time.Date(2026, 11, 29, 3, 0, 1, 0, zone)
	s := State{For: at.Truncate(time.Minute), Start: at, End: at, Tries: 1}
	for _, back := range []time.Duration{0, 2 * time.Second, 59 * time.Minute} {
		if d := decide(j, at.Add(-back), "web1", s); d.Due {
			t.Errorf("set back by %v: %+v", back, d)
		}
	}
	if d := decide(j, at.Add(-2*time.Hour), "web1", s); !d.Due {
		t.Errorf("set back by two hours: %+v", d)
	}
	s.End = time.Time{}
	for tries, due := range map[int]bool{1: true, 2: true, 3: false} {
		if s.Tries = tries; decide(j, at, "web1", s).Due != due {
			t.Errorf("begun %d times, and never ended: %+v", tries, decide(j, at, "web1", s))
		}
	}
}

func TestPlanOrder(t *testing.T) {
	now := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	jobs := []jobfile.Job{scheduled(t, "late", "0 5 * * *", 0, 0), scheduled(t, "early", "0 3 * * *", 0, 0), scheduled(t, "done", "0 2 * * *", 0, 0), scheduled(t, "b", "0 4 * * *", 0, 0)}
	var by jobfile.Binlog
	by.Follow, by.Schedule = true, jobs[0].Schedule
	jobs = append(jobs, jobfile.Job{Name: "service", Common: &by.Common, Of: &by}, jobfile.Job{Name: "asked", Common: new(jobfile.Common), Of: new(jobfile.Prune)})
	got := ""
	for _, d := range Plan(now, time.UTC, "h", jobs, map[string]State{"done": {For: now.Add(-10 * time.Hour), End: now}}) {
		got += fmt.Sprintf("%s %v %s; ", d.Job, d.Due, d.Reason)
	}
	const want = "early true due since 03:00, and was missed; b true due since 04:00, and was missed; late true due since 05:00, and was missed; " +
		"asked false it has no schedule; done false it was run for 02:00; service false it is a service, which runs all the time; "
	if got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestOverdue(t *testing.T) {
	at := time.Date(2026, 11, 29, 3, 10, 0, 0, time.UTC)
	for cron, want := range map[string]time.Duration{"0 3 * * *": 24*time.Hour - 10*time.Minute + 6*time.Hour, "*/10 * * * *": 3*time.Hour + 10*time.Minute, "0 */8 * * *": 4*time.Hour + 50*time.Minute + 3*time.Hour} {
		if got := Overdue(scheduled(t, "x", cron, 0, 0), at, time.Hour, time.UTC, "h"); !got.Equal(at.Add(want + 2*time.Hour)) {
			t.Errorf("%s: overdue at %s, want after %v", cron, got, want)
		}
	}
}

// TestPlanTend has copies gone on with after a good run, and not while the next one only waits for its random delay.
func TestPlanTend(t *testing.T) {
	j := scheduled(t, "x", "0 3 * * *", time.Hour, 0)
	delay := Delay(j, "h")
	ebs := &jobfile.EBS{Common: *j.Common, ToRegion: "eu-west-1"}
	j.Common, j.Of = &ebs.Common, ebs
	at := time.Date(2026, 11, 29, 3, 0, 0, 0, time.UTC)
	s := State{For: at, Start: at.Add(delay), End: at.Add(delay), Outcome: record.Done}
	for after, want := range map[time.Duration]bool{delay + time.Minute: true, 20 * time.Hour: true, 24*time.Hour + delay/2: false} {
		if d := decide(j, at.Add(after), "h", s); d.Due || d.Tend != want {
			t.Errorf("after %v: %+v", after, d)
		}
	}
	s.Outcome = record.Failed
	if d := decide(j, at.Add(20*time.Hour), "h", s); d.Due || d.Tend {
		t.Errorf("after a failure: %+v", d)
	}
	s.Outcome, ebs.ToRegion = record.Done, ""
	if d := decide(j, at.Add(20*time.Hour), "h", s); d.Tend {
		t.Errorf("without copies: %+v", d)
	}
}
