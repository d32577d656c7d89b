package storetest_test

import (
	"errors"
	"io"
	"syscall"
	"testing"

	"nightjar/repo/store"
	"nightjar/repo/store/storetest"
)

var errBoom = errors.New("boom")

func put(s store.Store, t *testing.T, name, data string) error {
	_, err := s.Put(t.Context(), name, []byte(data))
	return err
}

func wantErrors(t *testing.T, got []error, want ...error) {
	t.Helper()
	for i := range want {
		if !errors.Is(got[i], want[i]) {
			t.Errorf("call %d: got %v, want %v", i+1, got[i], want[i])
		}
	}
}

func TestNthAndFrom(t *testing.T) {
	for _, c := range []struct {
		hook storetest.Hook
		last error
	}{{storetest.Nth(storetest.Put, 2, errBoom), nil}, {storetest.From(storetest.Put, 2, errBoom), errBoom}} {
		s := &storetest.Faulty{Store: store.NewMemory(nil), Before: []storetest.Hook{c.hook}}
		first := put(s, t, "a", "1")
		_, err := s.Stat(t.Context(), "a") // another operation does not count
		wantErrors(t, []error{first, err, put(s, t, "b", "2"), put(s, t, "c", "3")}, nil, nil, errBoom, c.last)
		_, err = s.Stat(t.Context(), "b")
		wantErrors(t, []error{err}, store.ErrNotExist)
	}
}

func TestFailsAfterTheDeed(t *testing.T) {
	s := &storetest.Faulty{Store: store.NewMemory(nil), After: []storetest.Hook{storetest.Nth(storetest.Put, 1, errBoom)}}
	wantErrors(t, []error{put(s, t, "a", "1"), put(s, t, "a", "1"), put(s, t, "a", "2")}, errBoom, nil, store.ErrExists)
}

func TestFull(t *testing.T) {
	s := &storetest.Faulty{Store: store.NewMemory(nil), Before: []storetest.Hook{storetest.Full(5)}}
	wantErrors(t, []error{put(s, t, "a", "123"), put(s, t, "b", "123"), put(s, t, "c", "12"), put(s, t, "d", "1")},
		nil, syscall.ENOSPC, nil, syscall.ENOSPC)
}

func TestCutAndFlip(t *testing.T) {
	s := &storetest.Faulty{
		Store:  store.NewMemory(nil),
		Before: []storetest.Hook{storetest.Cut("cut", 3)},
		After:  []storetest.Hook{storetest.Flip("flipped", 2)},
	}
	for _, name := range []string{"cut", "flipped", "other"} {
		wantErrors(t, []error{put(s, t, name, "abcd")}, nil)
	}
	read := func(name string, offset int64, n int) (string, error) {
		buf := make([]byte, n)
		err := s.GetInto(t.Context(), name, offset, buf)
		return string(buf), err
	}
	_, whole := read("cut", 0, 4)
	_, part := read("cut", 0, 3)
	wantErrors(t, []error{whole, part}, io.ErrUnexpectedEOF, nil)
	for want, offset := range map[string]int64{"ab": 0, "bb": 1, "bd": 2} {
		if got, err := read("flipped", offset, 2); err != nil || got != want {
			t.Errorf("at %d: %q, %v, want %q", offset, got, err, want)
		}
	}
	if got, err := read("other", 0, 4); err != nil || got != "abcd" {
		t.Errorf("another object reads %q, %v", got, err)
	}
}

func TestHide(t *testing.T) {
	s := &storetest.Faulty{Store: store.NewMemory(nil), Hide: func(info store.Info) bool { return info.Name == "a" }}
	wantErrors(t, []error{put(s, t, "a", "1"), put(s, t, "b", "2")}, nil, nil)
	var got []string
	err := s.List(t.Context(), "", func(info store.Info) error {
		got = append(got, info.Name)
		return nil
	})
	if err != nil || len(got) != 1 || got[0] != "b" {
		t.Errorf("List: %q, %v", got, err)
	}
	if _, err := s.Stat(t.Context(), "a"); err != nil {
		t.Errorf("a hidden object is gone: %v", err)
	}
}

func TestNoClock(t *testing.T) {
	s := &storetest.Faulty{Store: struct{ store.Store }{store.NewMemory(nil)}}
	if _, err := s.Now(t.Context()); err == nil {
		t.Error("a store without a clock told the time")
	}
}
