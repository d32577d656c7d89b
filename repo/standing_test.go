package repo

import (
	"crypto/sha256"
	"fmt"
	"testing"
	"time"
)

// What another host's archive names as its predecessor has nothing to say of it.
func TestStandingIsOfOneHost(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	all := []Archive{
		{ID: "a", Host: "h", Time: at, Stored: at, Views: []time.Time{at}, Grace: time.Hour},
		{ID: "b", Host: "h", Time: at.Add(time.Hour), Stored: at.Add(48 * time.Hour), Views: []time.Time{at}, Grace: time.Hour, Predecessor: "a"},
		{ID: "c", Host: "thief", Time: at, Stored: at, Views: []time.Time{at}, Grace: time.Hour, Predecessor: "b"},
	}
	for i := range all {
		all[i].Views[0] = all[i].Time
	}
	contents := map[string][sha256.Size]byte{"a": {1}, "b": {2}, "c": {3}}
	standing(all, contents, at)
	if all[1].Redated || all[2].Backdated {
		t.Errorf("another host's archive decides: %+v", all)
	}
	all[2].Host = "h"
	standing(all, contents, at)
	if !all[1].Redated || !all[2].Backdated {
		t.Errorf("its own host's does not: %+v", all)
	}
}

func BenchmarkStanding(b *testing.B) {
	var all []Archive
	for i := range 25_000 {
		all = append(all, Archive{ID: fmt.Sprintf("%064d", i), Host: fmt.Sprint(i % 1000)})
	}
	for b.Loop() {
		standing(all, nil, time.Time{})
	}
}
