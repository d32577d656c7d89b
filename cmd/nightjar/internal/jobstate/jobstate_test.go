package jobstate_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nightjar/cmd/nightjar/internal/jobstate"
	"nightjar/job"
	"nightjar/job/record"
)

var at = time.Date(2026, 11, 29, 3, 0, 0, 0, time.UTC)

func TestState(t *testing.T) {
	dir := t.TempDir()
	f := jobstate.In(dir)
	want := jobstate.State{
		State: job.State{For: at, Start: at, End: at, Success: at, Outcome: record.Problems, Tries: 1}, Kind: "files", Exit: 3, Error: "a\nb", Figures: map[string]uint64{"bytes": 1 << 60},
		Notes: map[string]string{"position": "x"}, Result: `{"a": 1.5}`,
	}
	for _, name := range []string{"etc", "../../x", "", ".", "a/b", "ü", "\x00", strings.Repeat("x", 300), "records.lock", "~records"} {
		if got, err := f.Read(name); err != nil || !reflect.DeepEqual(got, jobstate.State{}) {
			t.Fatalf("%q: %+v, %v before it is written", name, got, err)
		}
		want.Error, want.Job = name, name
		if err := f.Write(name, want); err != nil {
			t.Fatalf("%q: %v", name, err)
		}
		if got, err := f.Read(name); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %+v, %v", name, got, err)
		}
	}
	if all, err := f.All(); err != nil || len(all) != 10 || !slices.ContainsFunc(all, func(s jobstate.State) bool { return s.Job == "\x00" }) {
		t.Errorf("there are %d states: %v", len(all), err)
	}
	if err := f.Write("etc", jobstate.State{Error: "no \xff"}); err != nil {
		t.Errorf("an error in words of a file system: %v", err)
	}
	if all, _ := os.ReadDir(dir); len(all) != 1 {
		t.Errorf("in the state folder there are %v", all)
	}
	want.Result = strings.Repeat("\x01", jobstate.MaxResult)
	if err := f.Write("etc", want); err != nil {
		t.Error(err)
	}
}

// A file that is torn or hostile is told of, and counts as none.
func TestHostile(t *testing.T) {
	dir := t.TempDir()
	f := jobstate.In(dir)
	if err := f.Write("etc", jobstate.State{State: job.State{For: at, Outcome: record.Done}}); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "jobs", "etc.json")
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"", string(good[:len(good)/2]), "null", "[]", `{"version":9}`, `{"version":0,"outcome":"fine"}`, `{"version":0,"for":"x"}`, strings.Repeat("{", 1<<21)} {
		if err := os.WriteFile(path, []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		if s, err := f.Read("etc"); err == nil || !reflect.DeepEqual(s, jobstate.State{}) {
			t.Errorf("%.40q is read as %+v", bad, s)
		}
	}
}

// A full disk keeps no state from being remembered where one was before, and one that is read-only no job from being locked.
func TestFullDisk(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED, NOTHING TESTED: must be root")
	}
	dir := t.TempDir()
	if err := unix.Mount("none", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Fatal(err)
	}
	defer unix.Unmount(dir, unix.MNT_DETACH)
	f := jobstate.In(dir)
	s := jobstate.State{State: job.State{For: at, Outcome: record.Done}, Job: "etc", Error: "of the time before, and longer than the next", Result: `{"a": 1}`}
	lock, err := f.Lock("etc")
	if err = errors.Join(err, f.Write("etc", s)); err != nil {
		t.Fatal(err)
	}
	lock.Close()
	if err := os.WriteFile(filepath.Join(dir, "fill"), make([]byte, 1<<20), 0o600); !errors.Is(err, unix.ENOSPC) {
		t.Fatal(err)
	}
	for _, big := range []int{0, 30, jobstate.MaxResult} {
		s.Tries, s.Error, s.Result = s.Tries+1, "", strings.Repeat("x", big)
		if err := f.Write("etc", s); err != nil {
			t.Fatal(err)
		}
		if big == jobstate.MaxResult { // which has no room
			s.Result = ""
		}
		if got, err := f.Read("etc"); err != nil || !reflect.DeepEqual(got, s) {
			t.Errorf("with %d bytes: %+v, %v", big, got, err)
		}
	}
	if err := f.Write("other", s); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("a first state: %v", err)
	}
	if got, err := f.Read("other"); err != nil || !got.For.IsZero() {
		t.Errorf("a first state is there: %+v, %v", got, err)
	}
	if err := unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	lock, err = f.Lock("etc")
	if err != nil || lock == nil {
		t.Fatalf("read-only: %v, %v", lock, err)
	}
	defer lock.Close()
	if second, err := f.Lock("etc"); second != nil || err != nil {
		t.Errorf("locked twice: %v", err)
	}
	if err := f.Write("etc", s); !errors.Is(err, unix.EROFS) {
		t.Errorf("written to what is read-only: %v", err)
	}
}

func TestLock(t *testing.T) {
	f := jobstate.In(t.TempDir())
	one, err := f.Lock("etc")
	if err != nil || one == nil {
		t.Fatal(one, err)
	}
	if two, err := f.Lock("etc"); err != nil || two != nil {
		t.Errorf("a second lock: %v, %v", two, err)
	}
	if other, err := f.Lock("var"); err != nil || other == nil {
		t.Errorf("another job's: %v", err)
	}
	one.Close()
	if two, err := f.Lock("etc"); err != nil || two == nil {
		t.Errorf("after the first: %v", err)
	}
}

// TestWaiting has records wait while the repository is gone: not too many, and in order.
func TestWaiting(t *testing.T) {
	dir := t.TempDir()
	f := jobstate.In(dir)
	for i := range 130 {
		if err := f.Wait(&record.Record{Job: fmt.Sprint(i), Outcome: record.Failed, End: at.Add(time.Duration(i) * time.Minute)}); err != nil {
			t.Fatal(err)
		}
	}
	if all, err := f.Waiting(); err != nil || len(all) != 100 || all["129"] != 1 {
		t.Errorf("of %d jobs records wait, %v", len(all), err)
	}
	gone := errors.New("gone")
	told := ""
	deliver := func(put func(context.Context, *record.Record) error) (int, error) {
		told = ""
		return f.Deliver(context.Background(), put, func(err error) { told += err.Error() })
	}
	if left, err := deliver(func(context.Context, *record.Record) error { return gone }); left != 100 || !errors.Is(err, gone) || told != "" {
		t.Errorf("%d are left: %v %s", left, err, told)
	}
	torn := filepath.Join(dir, "jobs", fmt.Sprintf("~record-%020d.json", at.UnixNano()))
	if err := os.WriteFile(torn, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	var got []string
	left, err := deliver(func(_ context.Context, r *record.Record) error {
		if len(got) == 50 {
			return gone
		}
		got = append(got, r.Job)
		return nil
	})
	if left != 50 || !errors.Is(err, gone) || got[0] != "30" || got[49] != "79" {
		t.Errorf("%d are left after %q: %v", left, got, err)
	}
	if err := os.WriteFile(torn, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	got = nil
	left, err = deliver(func(_ context.Context, r *record.Record) error { got = append(got, r.Job); return nil })
	if left != 0 || err != nil || len(got) != 50 || got[49] != "129" || !strings.Contains(told, torn) {
		t.Errorf("%d are left after %q: %v; told %q", left, got, err, told)
	}
}
