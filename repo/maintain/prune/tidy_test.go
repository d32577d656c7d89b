package prune_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"nightjar/repo/maintain/maintaintest"
	"nightjar/repo/maintain/prune"
	"nightjar/repo/store"
)

// A swept store notes how old what it is asked to sweep has to be.
type swept struct {
	store.Store
	ages []time.Duration
	err  error
}

func (s *swept) Sweep(_ context.Context, age time.Duration) (int, error) {
	s.ages = append(s.ages, age)
	return 0, s.err
}

// Prune has the store remove unfinished writes once no run can be at work on them, not in a dry run; and that it cannot is told.
func TestTidies(t *testing.T) {
	site := maintaintest.New(t)
	site.Files = map[string][]byte{"alpha": maintaintest.Random(1000)}
	site.Night()
	disk := errors.New("the disk is on fire")
	s := &swept{Store: site.Store, err: disk}
	var told error
	for _, dry := range []bool{true, false} {
		if _, err := prune.Run(t.Context(), site.OpenAt(s, false), prune.Options{DryRun: dry, Problem: func(err error) { told = errors.Join(told, err) }}); err != nil {
			t.Fatal(err)
		}
		if dry && (len(s.ages) > 0 || told != nil) {
			t.Errorf("a dry run sweeps %v, %v", s.ages, told)
		}
	}
	if len(s.ages) != 1 || s.ages[0] != 7*24*time.Hour || !errors.Is(told, disk) {
		t.Errorf("sweeps %v, %v", s.ages, told)
	}
}
