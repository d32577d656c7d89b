package main

import (
	"os"
	"testing"
)

// What is measured is a repository of as many hosts, each with its archives.
func TestCreate(t *testing.T) {
	s := site{t.TempDir()}
	if err := s.create(t.Context(), 2, 3); err != nil {
		t.Fatal(err)
	}
	for folder, want := range map[string]int{"archive": 6, "keys": 2} {
		if all, err := os.ReadDir(s.store() + "/" + folder); err != nil || len(all) != want {
			t.Errorf("%d of %s, want %d: %v", len(all), folder, want, err)
		}
	}
}
