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
		{ID: "a", Record: Record{Host: "h", Time: at}, Stored: at},
		{ID: "b", Record: Record{Host: "h", Time: at.Add(time.Hour), Predecessor: "a"}, Stored: at.Add(48 * time.Hour), Standing: Late},
		{ID: "c", Record: Record{Host: "thief", Time: at, Predecessor: "b"}, Stored: at},
	}
	contents := map[string][sha256.Size]byte{"a": {1}, "b": {2}, "c": {3}}
	stand(all, contents, at)
	if all[1].Is(Redated) || all[2].Is(Backdated) {
		t.Errorf("another host's archive decides: %+v", all)
	}
	all[2].Host = "h"
	stand(all, contents, at)
	if !all[1].Is(Redated) || !all[2].Is(Backdated) {
		t.Errorf("its own host's does not: %+v", all)
	}
}

func TestDisplaces(t *testing.T) {
	for s, want := range map[Standing]bool{
		0: true, Verified: true, Late | Verified: true, Late | Verified | Vouched: true,
		Late: false, Late | Redated: false, Backdated: false, Repeated: false, Late | Verified | Repeated: false,
	} {
		if len(s.Faults()) == 0 != want {
			t.Errorf("%b has faults: %q", s, s.Faults())
		}
		if s.Displaces() != want {
			t.Errorf("%b displaces others: %v", s, !want)
		}
	}
}

func BenchmarkStanding(b *testing.B) {
	var all []Archive
	for i := range 25_000 {
		all = append(all, Archive{ID: fmt.Sprintf("%064d", i), Record: Record{Host: fmt.Sprint(i % 1000)}})
	}
	for b.Loop() {
		stand(all, nil, time.Time{})
	}
}
