package calendar_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"nightjar/internal/calendar"
)

// TestZoneName asks a process for each value of TZ, since Go reads it once.
func TestZoneName(t *testing.T) {
	if os.Getenv("ZONE_ASKED") != "" {
		name, known := calendar.ZoneName(os.Getenv("TZ"), time.Local)
		_, offset := time.Date(2026, 7, 1, 0, 0, 0, 0, time.Local).Zone()
		fmt.Printf("%s %v %d\n", name, known, offset)
		return
	}
	const berlin = "/usr/share/zoneinfo/Europe/Berlin"
	if _, err := os.Stat(berlin); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip("SKIPPED, NOTHING TESTED: ", err)
	}
	dir := t.TempDir()
	link := filepath.Join(dir, "localtime")
	if err := os.Symlink(berlin, link); err != nil {
		t.Fatal(err)
	}
	for tz, want := range map[string]string{
		"Europe/Berlin": "Europe/Berlin true 7200", ":Europe/Berlin": "Europe/Berlin true 7200",
		berlin: "Europe/Berlin true 7200", ":" + berlin: "Europe/Berlin true 7200", link: "Europe/Berlin true 7200",
		"": "UTC true 0", ":": "UTC true 0", "UTC": "UTC true 0", "UTC0": "UTC true 0", "<+00>-00:00": "UTC true 0", "Etc/UTC": "Etc/UTC true 0",
		"Nonsense": "UTC false 0", ":Nonsense": "UTC false 0", "Europe/Berlin ": "UTC false 0", "../Europe/Berlin": "UTC false 0", "/nowhere": "UTC false 0", dir: "UTC false 0",
		"CET-1CEST,M3.5.0,M10.5.0/3": "UTC false 0", "EST5": "UTC false 0", "<-03>3": "UTC false 0",
	} {
		c := exec.Command(os.Args[0], "-test.run=^TestZoneName$")
		c.Env = append(os.Environ(), "ZONE_ASKED=1", "TZ="+tz, "GORACE=atexit_sleep_ms=0")
		out, err := c.Output()
		if got, _, _ := strings.Cut(string(out), "\n"); err != nil || got != want {
			t.Errorf("TZ=%q: %q, %v; want %q", tz, got, err, want)
		}
	}
}
