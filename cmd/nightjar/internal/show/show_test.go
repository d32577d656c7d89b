package show

import (
	"strings"
	"testing"
	"time"

	"nightjar/repo/tree"
)

func TestParseSize(t *testing.T) {
	for text, want := range map[string]int64{
		"1": 1, "500": 500, "500k": 500 << 10, "1.5G": 3 << 29, "10MiB": 10 << 20, "10mb": 10 << 20, "2T": 2 << 40, " 7 ": 7,
	} {
		if got, err := ParseSize(text); got != want || err != nil {
			t.Errorf("ParseSize(%q) = %d, %v, want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "k", "0", "-1", "5X", "1e99", "NaN", "inf", "9999999E", "0.1"} {
		if got, err := ParseSize(text); err == nil {
			t.Errorf("ParseSize(%q) = %d, want an error", text, got)
		}
	}
}

func TestParseTime(t *testing.T) {
	zone := time.FixedZone("here", 2*3600)
	now := time.Date(2026, 3, 4, 5, 6, 7, 0, zone)
	for text, want := range map[string]time.Time{
		"2026-01-02":           time.Date(2026, 1, 2, 0, 0, 0, 0, zone),
		"2026-01-02 03:04":     time.Date(2026, 1, 2, 3, 4, 0, 0, zone),
		"2026-01-02 03:04:05":  time.Date(2026, 1, 2, 3, 4, 5, 0, zone),
		"2026-01-02T03:04:05Z": time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		"3D":                   now.Add(-72 * time.Hour),
		"1h30m":                now.Add(-90 * time.Minute),
		"1W":                   now.Add(-7 * 24 * time.Hour),
		"2M":                   now.Add(-60 * 24 * time.Hour),
		"1Y1s":                 now.Add(-365*24*time.Hour - time.Second),
	} {
		if got, err := ParseTime(text, now); !got.Equal(want) || err != nil {
			t.Errorf("ParseTime(%q) = %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "yesterday", "3", "D", "3d", "-1D", "99999999999Y", "300Y", "2026-13-01", "1D2"} {
		if got, err := ParseTime(text, now); err == nil {
			t.Errorf("ParseTime(%q) = %v, want an error", text, got)
		}
	}
}

func TestSize(t *testing.T) {
	for n, want := range map[uint64]string{0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 5 << 29: "2.5 GiB", 1<<64 - 1: "16.0 EiB"} {
		if got := Size(n); got != want {
			t.Errorf("Size(%d) = %q, want %q", n, got, want)
		}
	}
}

func TestMode(t *testing.T) {
	for mode, want := range map[uint32]string{
		tree.Regular | 0o644: "-rw-r--r--", tree.Directory | 0o1777: "drwxrwxrwt", tree.Regular | 0o4755: "-rwsr-xr-x", tree.Regular | 0o6644: "-rwSr-Sr--",
		tree.Directory | 0o1000: "d--------T", tree.Symlink | 0o777: "lrwxrwxrwx", tree.FIFO | 0o600: "prw-------", tree.Socket: "s---------",
		tree.CharDevice: "c---------", tree.BlockDevice: "b---------", 0: "?---------",
	} {
		if got := Mode(mode); got != want {
			t.Errorf("Mode(%o) = %q, want %q", mode, got, want)
		}
	}
}

func TestEntryTimes(t *testing.T) {
	for _, sec := range []int64{-1 << 62, 1 << 40, 1 << 62, 0} {
		var b strings.Builder
		j := JSONArray{W: &b}
		if err := j.Add(Entry("/x", &tree.Node{Mtime: tree.Time{Sec: sec}})); err != nil {
			t.Errorf("time %d: %v", sec, err)
		}
	}
}
