package record_test

import (
	"reflect"
	"strings"
	"testing"

	"nightjar/job/record"
)

func TestStored(t *testing.T) {
	bytes, price := uint64(3<<30), 0.05
	all := []record.Stored{
		{Region: "us-east-1", Tier: "standard", Snapshots: 14, AtMost: 42 << 30, Bytes: &bytes, Price: &price},
		{Region: "us-gov-west-1", Tier: "archive", Snapshots: 1, AtMost: 1 << 30, Price: &price},
		{Region: "mx-central-1", Tier: "standard", Snapshots: 1, AtMost: 1 << 30, Bytes: &bytes},
	}
	got, err := record.ParseStored(record.EncodeStored(all))
	if err != nil || !reflect.DeepEqual(got, all) {
		t.Fatalf("%+v comes back as %+v, %v", all, got, err)
	}
	costs := func(usd float64, ok bool) [2]any { return [2]any{usd, ok} }
	for i, want := range [][2][2]any{{{0.15000000000000002, true}, {2.1, true}}, {{0.0, false}, {0.05, true}}, {{0.0, false}, {0.0, false}}} {
		if got := [2][2]any{costs(all[i].Cost()), costs(all[i].AtMostCost())}; got != want {
			t.Errorf("%s costs %v, not %v", all[i].Region, got, want)
		}
	}
	if all, err := record.ParseStored(""); all != nil || err != nil {
		t.Errorf("nothing is read as %v, %v", all, err)
	}
	for _, text := range []string{
		"{}", `[{"region":"us-east-1"}]`, `[{"region":"US","tier":"standard"}]`, `[{"region":"us-east-1","tier":"standard","snapshots":-1}]`,
		`[{"region":"us-east-1","tier":"standard","usd_per_gib":-1}]`, `[{"region":"us-east-1","tier":"standard","bytes":1e30}]`,
		`[{"region":"us-east-1","tier":"standard","at_most_bytes":2305843009213693952}]`,
		`[{"region":"us-east-1","tier":"standard"},{"region":"us-east-1","tier":"standard"}]`,
		"[" + strings.Repeat(`{"region":"us-east-1","tier":"standard"},`, 1000) + "{}]",
	} {
		if all, err := record.ParseStored(text); err == nil || all != nil {
			t.Errorf("%.80s is read as %v", text, all)
		}
	}
}

func FuzzParseStored(f *testing.F) {
	f.Add(`[{"region":"us-east-1","tier":"standard","snapshots":14,"at_most_bytes":45097156608,"bytes":3221225472,"usd_per_gib":0.05}]`)
	f.Fuzz(func(t *testing.T, text string) {
		all, err := record.ParseStored(text)
		if err != nil || all == nil {
			return
		}
		if again, err := record.ParseStored(record.EncodeStored(all)); err != nil || !reflect.DeepEqual(again, all) {
			t.Errorf("%q: %+v comes back as %+v, %v", text, all, again, err)
		}
	})
}
