package calendar_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"nightjar/internal/calendar"
)

func zone(t testing.TB, name string) *time.Location {
	t.Helper()
	z, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

func parse(t testing.TB, text string) calendar.Cron {
	t.Helper()
	c, err := calendar.ParseCron(text)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestNext(t *testing.T) {
	const layout = "2006-01-02 15:04 -07"
	for _, c := range []struct {
		cron, zone, after string
		want              []string
	}{
		{"30 2 * * *", "UTC", "2026-11-29 02:29 +00", []string{"2026-11-29 02:30 +00", "2026-11-30 02:30 +00"}},
		{"30 2 * * *", "UTC", "2026-11-29 02:30 +00", []string{"2026-11-30 02:30 +00"}},
		{"0 3 1 * *", "UTC", "2026-12-30 00:00 +00", []string{"2027-01-01 03:00 +00", "2027-02-01 03:00 +00"}},
		{"0 3 * * sun", "UTC", "2026-11-29 00:00 +00", []string{"2026-11-29 03:00 +00", "2026-12-06 03:00 +00"}},
		{"0 3 13 * 5", "UTC", "2026-11-10 00:00 +00", []string{"2026-11-13 03:00 +00", "2026-11-20 03:00 +00"}}, // either day
		{"0 0 29 2 *", "UTC", "2026-01-01 00:00 +00", []string{"2028-02-29 00:00 +00", "2032-02-29 00:00 +00"}},
		{"@weekly", "UTC", "2026-11-29 00:00 +00", []string{"2026-12-06 00:00 +00"}},

		// 02:30 does not exist.
		{"30 2 * * *", "Europe/Berlin", "2026-03-28 12:00 +01", []string{"2026-03-29 03:00 +02", "2026-03-30 02:30 +02"}},
		{"30 2 * * *", "Europe/Berlin", "2026-03-29 03:00 +02", []string{"2026-03-30 02:30 +02"}},
		{"0 2,3 * * *", "Europe/Berlin", "2026-03-29 01:30 +01", []string{"2026-03-29 03:00 +02", "2026-03-30 02:00 +02"}}, // both at once, once
		{"0 2,4 * * *", "Europe/Berlin", "2026-03-29 01:30 +01", []string{"2026-03-29 03:00 +02", "2026-03-29 04:00 +02"}},
		{"0 3 * * *", "Europe/Berlin", "2026-03-29 01:30 +01", []string{"2026-03-29 03:00 +02", "2026-03-30 03:00 +02"}},
		{"30 2 30 3 *", "Europe/Berlin", "2026-03-28 12:00 +01", []string{"2026-03-30 02:30 +02"}}, // not on that day
		{"30 0 * * *", "America/Sao_Paulo", "2018-11-03 12:00 -03", []string{"2018-11-04 01:00 -02", "2018-11-05 00:30 -02"}},
		{"@daily", "America/Sao_Paulo", "2018-11-03 12:00 -03", []string{"2018-11-04 01:00 -02", "2018-11-05 00:00 -02"}},
		{"15 2 * * *", "Australia/Lord_Howe", "2026-10-03 12:00 +1030", []string{"2026-10-04 02:30 +11", "2026-10-05 02:15 +11"}},                // by half an hour
		{"0 12 * * *", "Pacific/Apia", "2011-12-29 10:00 -10", []string{"2011-12-29 12:00 -10", "2011-12-31 00:00 +14", "2011-12-31 12:00 +14"}}, // a day that there was not

		// 02:30 is there twice.
		{"30 2 * * *", "Europe/Berlin", "2026-10-24 12:00 +02", []string{"2026-10-25 02:30 +02", "2026-10-26 02:30 +01"}},
		{"30 2 * * *", "Europe/Berlin", "2026-10-25 02:10 +01", []string{"2026-10-26 02:30 +01"}},
		{"0 2,3 * * *", "Europe/Berlin", "2026-10-25 01:30 +02", []string{"2026-10-25 02:00 +02", "2026-10-25 03:00 +01"}},
		{"45 1 * * *", "Australia/Lord_Howe", "2026-04-04 12:00 +11", []string{"2026-04-05 01:45 +11", "2026-04-06 01:45 +1030"}},

		// Stars go by time that passes.
		{"0 * * * *", "Europe/Berlin", "2026-03-29 00:30 +01", []string{"2026-03-29 01:00 +01", "2026-03-29 03:00 +02", "2026-03-29 04:00 +02"}},
		{"0 * * * *", "Europe/Berlin", "2026-10-25 01:30 +02", []string{"2026-10-25 02:00 +02", "2026-10-25 02:00 +01", "2026-10-25 03:00 +01"}},
		{"@hourly", "Europe/Berlin", "2026-10-25 01:30 +02", []string{"2026-10-25 02:00 +02", "2026-10-25 02:00 +01", "2026-10-25 03:00 +01"}},
		{"*/30 2 * * *", "Europe/Berlin", "2026-10-25 02:10 +02", []string{"2026-10-25 02:30 +02", "2026-10-25 02:00 +01", "2026-10-25 02:30 +01", "2026-10-26 02:00 +01"}},
		{"0 */6 * * *", "Europe/Berlin", "2026-03-28 23:00 +01", []string{"2026-03-29 00:00 +01", "2026-03-29 06:00 +02"}},
	} {
		parsed := parse(t, c.cron)
		z := zone(t, c.zone)
		at, err := time.Parse("2006-01-02 15:04 Z07", c.after)
		if err != nil {
			at, err = time.Parse("2006-01-02 15:04 Z0700", c.after)
		}
		if err != nil {
			t.Fatal(err)
		}
		at = at.In(z)
		var got []string
		for range c.want {
			at = parsed.Next(at)
			zoned := at.Format(layout)
			if _, offset := at.Zone(); offset%3600 != 0 {
				zoned = at.Format("2006-01-02 15:04 -0700")
			}
			got = append(got, zoned)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s in %s after %s: %q, want %q", c.cron, c.zone, c.after, got, c.want)
		}
	}
}

// TestLast holds Last to Next around changes of the clock.
func TestLast(t *testing.T) {
	for _, text := range []string{"30 2 * * *", "0 * * * *", "*/15 * * * *", "0 2-3 * * *", "15 3 29 3 *", "30 2 * * 0", "0 0 1 * *"} {
		c := parse(t, text)
		for _, name := range []string{"UTC", "Europe/Berlin", "Australia/Lord_Howe"} {
			z := zone(t, name)
			for _, around := range []time.Time{time.Date(2026, 3, 28, 22, 0, 0, 0, z), time.Date(2026, 10, 24, 22, 0, 0, 0, z), time.Date(2026, 10, 3, 22, 0, 0, 0, z)} {
				want := c.Last(around.Add(-1))
				for at := around; at.Before(around.Add(6 * time.Hour)); at = at.Add(5 * time.Minute) {
					if next := c.Next(at.Add(-1)); next.Equal(at) {
						want = at
					}
					if got := c.Last(at); !got.Equal(want) {
						t.Fatalf("%s in %s: last at %s is %s, want %s", text, name, at, got, want)
					}
				}
			}
		}
	}
}

// TestEachDayOnce has a fixed time of each day due once a day, whatever clocks do.
func TestEachDayOnce(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 20 {
		h, m := random.IntN(24), random.IntN(60)
		c := parse(t, time.Date(0, 1, 1, h, m, 0, 0, time.UTC).Format("4 15 * * *"))
		for _, name := range []string{"Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Cairo"} {
			at := time.Date(2026, 1, 1, 0, 0, 0, 0, zone(t, name)).Add(-1)
			for day := 1; day <= 366; day++ {
				next := c.Next(at)
				if want := time.Date(2026, 1, day, 0, 0, 0, 0, time.UTC).Format(time.DateOnly); !next.After(at) || next.Format(time.DateOnly) != want {
					t.Fatalf("%s in %s after %s: %s, want one on %s", c, name, at, next, want)
				}
				at = next
			}
		}
	}
}

func TestLastOfYears(t *testing.T) {
	at := time.Date(2027, 3, 1, 0, 0, 0, 0, zone(t, "Europe/Berlin"))
	for text, want := range map[string]string{"0 0 29 2 *": "2024-02-29", "0 0 1 1 *": "2027-01-01"} {
		if got := parse(t, text).Last(at).Format(time.DateOnly); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}

func TestParseCron(t *testing.T) {
	for _, bad := range []string{"", "* * * *", "* * * * * *", "60 * * * *", "* 24 * * *", "0 0 31 2 *", "@every 1s", "@reboot", "TZ=0", "TZ=UTC 0 0 * * *", "*/0 * * * *", "1-99999999999 * * * *", "0 0 * * 8", string(make([]byte, 1000))} {
		if c, err := calendar.ParseCron(bad); err == nil {
			t.Errorf("%q is read as %s", bad, c)
		}
	}
}

func FuzzParseCron(f *testing.F) {
	for _, s := range []string{"30 2 * * *", "@daily", "*/15 1-5,7 1 jan mon", "TZ=0", "0 0 29 2 *", "@every 1h", "1/2 ? * * ?"} {
		f.Add(s)
	}
	at := time.Date(2026, 3, 28, 12, 0, 0, 0, zone(f, "Europe/Berlin"))
	f.Fuzz(func(t *testing.T, s string) {
		c, err := calendar.ParseCron(s)
		if err != nil {
			return
		}
		if next := c.Next(at); !next.IsZero() && !next.After(at) {
			t.Errorf("%q after %s: %s", s, at, next)
		}
		if last := c.Last(at); last.After(at) {
			t.Errorf("%q at %s: last %s", s, at, last)
		}
		if _, err := calendar.ParseCron(c.String()); err != nil {
			t.Errorf("%q is written as %q, which cannot be read: %v", s, c, err)
		}
	})
}
