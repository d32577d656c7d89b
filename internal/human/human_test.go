package human

import (
	"math"
	"testing"
	"time"
)

func TestSize(t *testing.T) {
	for n, want := range map[uint64]string{0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 5 << 29: "2.5 GiB", 1<<64 - 1: "16.0 EiB"} {
		if got := Size(n); got != want {
			t.Errorf("Size(%d) = %q, want %q", n, got, want)
		}
	}
	if got := ExactSize(5 << 29); got != "2684354560 (2.5 GiB)" {
		t.Errorf("ExactSize is %q", got)
	}
	if got := ExactSize(1023); got != "1023 B" {
		t.Errorf("ExactSize is %q", got)
	}
	for n, want := range map[int]string{0: "0 packs", 1: "1 pack", 2: "2 packs"} {
		if got := Count(n, "pack"); got != want {
			t.Errorf("Count is %q, want %q", got, want)
		}
	}
}

func TestParseSize(t *testing.T) {
	for text, want := range map[string]int64{
		"1": 1, "500": 500, "500k": 500 << 10, "1.5G": 3 << 29, "10MiB": 10 << 20, "10mb": 10 << 20, "2T": 2 << 40, " 7 ": 7, "2.5 GiB": 5 << 29, "12 B": 12, "007": 7,
		"9007199254740993": 1<<53 + 1, "4611686018427387903": 1<<62 - 1, "3E": 3 << 60, "0.001k": 1, "1.999999999999999999": 1,
	} {
		if got, err := ParseSize(text); got != want || err != nil {
			t.Errorf("ParseSize(%q) = %d, %v, want %d", text, got, err, want)
		}
	}
	for _, text := range []string{
		"", "k", "0", "-1", "+1", "5X", "1e3", "0x10", "1_000", "NaN", "inf", "0.1", ".5k", "5.", "5iB", "1 2", "5  k",
		"4E", "9999999E", "4611686018427387904", "18446744073709551616", "99999999999999999999", "٣", "５", "5\u212a", "5kı", "5\u017f", "5k\x00", "5k\n5",
	} {
		if got, err := ParseSize(text); err == nil {
			t.Errorf("ParseSize(%q) = %d, want an error", text, got)
		}
	}
}

func TestParseShare(t *testing.T) {
	for text, want := range map[string]float64{"5%": 0.05, "0.05": 0.05, "100%": 1, "1": 1, " .5 ": 0.5, "0.1%": 0.001} {
		if got, err := ParseShare(text); math.Abs(got-want) > 1e-15 || err != nil {
			t.Errorf("ParseShare(%q) = %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "%", ".", "0", "0%", "101%", "1.01", "-5%", "+5%", "NaN", "inf", "1e-3", "0x1p-2", "5%%", "٥%"} {
		if got, err := ParseShare(text); err == nil {
			t.Errorf("ParseShare(%q) = %v, want an error", text, got)
		}
	}
}

func TestParseTime(t *testing.T) {
	zone := time.FixedZone("here", 2*3600)
	now := time.Date(2026, 3, 4, 5, 6, 7, 0, zone)
	for text, want := range map[string]time.Time{
		"2026-01-02":                time.Date(2026, 1, 2, 0, 0, 0, 0, zone),
		"2026-01-02 03:04":          time.Date(2026, 1, 2, 3, 4, 0, 0, zone),
		"2026-01-02 03:04:05":       time.Date(2026, 1, 2, 3, 4, 5, 0, zone),
		"2026-01-02T03:04":          time.Date(2026, 1, 2, 3, 4, 0, 0, zone),
		"2026-01-02T03:04:05Z":      time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		"2026-01-02T03:04:05-08:00": time.Date(2026, 1, 2, 11, 4, 5, 0, time.UTC),
		"3D":                        now.Add(-72 * time.Hour),
		"30d":                       now.Add(-30 * 24 * time.Hour),
		"2w":                        now.Add(-14 * 24 * time.Hour),
		"1h30m":                     now.Add(-90 * time.Minute),
		"1W":                        now.Add(-7 * 24 * time.Hour),
		"2M":                        now.Add(-60 * 24 * time.Hour),
		"1Y1s":                      now.Add(-365*24*time.Hour - time.Second),
		"0s":                        now,
	} {
		if got, err := ParseTime(text, now); !got.Equal(want) || err != nil {
			t.Errorf("ParseTime(%q) = %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{
		"", "yesterday", "3", "D", "-1D", "+1D", " 1D", "1 D", "1.5D", "99999999999Y", "300Y", "292Y300D", "9223372036854775808s", "2026-13-01", "2026-02-30", "1D2", "٣D", "3Д", "1\u017f",
	} {
		if got, err := ParseTime(text, now); err == nil {
			t.Errorf("ParseTime(%q) = %v, want an error", text, got)
		}
		if got, err := ParseAge(text); err == nil {
			t.Errorf("ParseAge(%q) = %v, want an error", text, got)
		}
	}
}

func TestAge(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s", -time.Hour: "0s", time.Second - 1: "0s", 90 * time.Minute: "1h30m", 30 * day: "30D", math.MaxInt64: "106751D23h47m16s",
	} {
		if got := Age(d); got != want {
			t.Errorf("Age(%v) = %q, want %q", d, got, want)
		}
	}
}

func FuzzParseSize(f *testing.F) {
	for _, s := range []string{"1", "1.5G", "10 MiB", "4611686018427387903", "0.000000000000000001E"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := ParseSize(s)
		if err != nil {
			return
		}
		if n < 1 || n >= 1<<62 {
			t.Errorf("ParseSize(%q) = %d", s, n)
		}
		if text := Size(uint64(n)); n < 1024 {
			if again, err := ParseSize(text); again != n || err != nil {
				t.Errorf("ParseSize(%q) = %d, %v, want %d", text, again, err, n)
			}
		} else if again, err := ParseSize(text); n < 1<<62-1<<57 && (err != nil || math.Abs(float64(again-n)) > float64(n)/20) {
			t.Errorf("ParseSize(%q) = %d, %v, want about %d", text, again, err, n)
		}
	})
}

func FuzzParseAge(f *testing.F) {
	for _, s := range []string{"0s", "3D", "1h30m", "1Y6M2w", "106751D23h47m16s"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, err := ParseAge(s)
		if err != nil {
			return
		}
		if again, err := ParseAge(Age(d)); d < 0 || d%time.Second != 0 || again != d || err != nil {
			t.Errorf("ParseAge(%q) = %v, which is written %q and read %v, %v", s, d, Age(d), again, err)
		}
	})
}

func FuzzParseTime(f *testing.F) {
	for _, s := range []string{"2026-01-02", "2026-01-02 03:04:05", "2026-01-02T03:04:05.5+14:00", "3D"} {
		f.Add(s)
	}
	now := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	f.Fuzz(func(t *testing.T, s string) {
		at, err := ParseTime(s, now)
		if err != nil || at.Year() < 0 || at.Year() > 9999 {
			return
		}
		text := at.Format(time.RFC3339Nano)
		if again, err := ParseTime(text, now); !again.Equal(at) || err != nil {
			t.Errorf("ParseTime(%q) = %v, and of %q %v, %v", s, at, text, again, err)
		}
	})
}
