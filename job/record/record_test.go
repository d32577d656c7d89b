package record_test

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"nightjar/job/record"
)

var full = record.Record{
	Job: "etc", Kind: "files", Outcome: record.Problems, Exit: 3, Error: "/etc/x: permission denied", Archive: strings.Repeat("ab", 32),
	Start: time.Date(2026, 11, 29, 3, 0, 1, 0, time.UTC), End: time.Date(2026, 11, 29, 3, 4, 0, 190e6, time.UTC), Due: time.Date(2026, 11, 29, 3, 0, 0, 0, time.UTC),
	Schedule: "0 3 * * *", Zone: "Europe/Berlin", Overdue: time.Date(2026, 11, 30, 6, 0, 0, 0, time.UTC),
	Figures: map[string]uint64{"bytes": 1 << 40}, Notes: map[string]string{"position": "mysql-bin.000001:4"},
}

func TestRoundTrip(t *testing.T) {
	for _, r := range []record.Record{full, {Job: "x", Outcome: record.Failed, Exit: 1}} {
		back, err := record.Parse(r.Labels())
		if err != nil || !reflect.DeepEqual(back, r) {
			t.Errorf("%+v comes back as %+v, %v", r, back, err)
		}
	}
}

func TestHostile(t *testing.T) {
	for name, value := range map[string]string{"job": "", "outcome": "fine", "exit": "x", "start": "yesterday", "figures": "[", "zone": strings.Repeat("x", 1<<17)} {
		labels := full.Labels()
		labels[record.Prefix+name] = value
		if r, err := record.Parse(labels); err == nil {
			t.Errorf("%s=%q is read as %+v", name, value, r)
		}
	}
}
