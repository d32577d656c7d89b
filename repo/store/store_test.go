package store_test

import (
	"testing"
	"time"

	"nightjar/repo/store"
	"nightjar/repo/store/storetest"
)

func TestMemory(t *testing.T) {
	storetest.Run(t, func(*testing.T) store.Store { return store.NewMemory(nil) })
}

func TestFaultyWithoutFaults(t *testing.T) {
	storetest.Run(t, func(*testing.T) store.Store { return &storetest.Faulty{Store: store.NewMemory(nil)} })
}

func TestMemoryClock(t *testing.T) {
	now := time.Unix(1_700_000_000, 5)
	m := store.NewMemory(func() time.Time { return now })
	info, err := m.Put(t.Context(), "a", nil)
	if err != nil || info.Time != now {
		t.Fatalf("Put returned %+v, %v", info, err)
	}
	if got, err := m.Now(t.Context()); err != nil || got != now {
		t.Fatalf("Now returned %v, %v", got, err)
	}
}
