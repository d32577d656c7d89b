package until

import (
	"testing"
	"time"
)

func TestParse(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 11, 28, 3, 30, 0, 0, berlin)
	for text, want := range map[string]Target{
		"2026-11-28 03:30:00":                           {Time: at},
		"2026-11-28 03:30":                              {Time: at},
		"2026-11-28 03:30:00.25":                        {Time: at.Add(250 * time.Millisecond)},
		"2026-11-28 02:30:00 UTC":                       {Time: at},
		"2026-11-28 02:30:00 +0000":                     {Time: at},
		"2026-11-28T02:30:00Z":                          {Time: at},
		"m1-bin.000003:4711":                            {File: "m1-bin.000003", Offset: 4711},
		"0-1-79569":                                     {GTID: "0-1-79569"},
		"c83eac31-0000-11ef-8000-0242ac110002:5":        {GTID: "c83eac31-0000-11ef-8000-0242ac110002:5"},
		"C83EAC31-0000-11ef-8000-0242ac110002:backup:1": {GTID: "c83eac31-0000-11ef-8000-0242ac110002:backup:1"},
	} {
		got, err := Parse(text, berlin)
		if err != nil || !got.Time.Equal(want.Time) || got.File != want.File || got.Offset != want.Offset || got.GTID != want.GTID {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "yesterday", "m1-bin.000003:x", "m1-bin.000003", "0-1-1,1-1-1", "c83eac31-0000-11ef-8000-0242ac110002:1-5", "c83eac31-0000-11ef-8000-0242ac110002",
		"2026-10-25 02:30:00", "2026-03-29 02:30:00", "2026-11-28 03:30:00 CET", "2026-13-01 00:00:00"} {
		if got, err := Parse(text, berlin); err == nil {
			t.Errorf("%s: %+v", text, got)
		}
	}
}
