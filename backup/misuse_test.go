package backup_test

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"nightjar/backup"
	"nightjar/backup/backuptest"
	"nightjar/backup/content"
	"nightjar/repo"
)

// readFunc is an io.Reader.
type readFunc func(p []byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }

// Two who write one content at the same time have the run fail, whichever methods meet: nobody knows what was written.
func TestRunTwoWriteOne(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for what, f := range map[string]func(*content.Content) error{
		"Write":    func(c *content.Content) error { _, err := c.Write([]byte("x")); return err },
		"ReadFrom": func(c *content.Content) error { _, err := c.ReadFrom(strings.NewReader("x")); return err },
		"Block":    func(c *content.Content) error { return c.Block([]byte("x")) },
		"Hole":     func(c *content.Content) error { return c.Hole(1) },
		"Same":     func(c *content.Content) error { _, err := c.Same(1); return err },
		"Note":     func(c *content.Content) error { return c.Note("x", "x") },
		"Close":    func(c *content.Content) error { return c.Close() },
		"Abort":    func(c *content.Content) error { c.Abort(); return nil },
	} {
		_, err := s.tryRun(t.Context(), func(_ context.Context, run *backup.Run) (repo.Labels, error) {
			must(t, put(run, "whole", "whole"))
			c, err := run.Create("shared", content.Hint{})
			must(t, err)
			_, err = c.ReadFrom(readFunc(func(p []byte) (int, error) {
				if err := f(c); err == nil && what != "Abort" {
					t.Errorf("%s beside ReadFrom is taken", what)
				}
				return copy(p, "read"), nil
			}))
			if err == nil || !strings.Contains(err.Error(), "two goroutines") {
				t.Errorf("%s: the other is told %v", what, err)
			}
			c.Abort()
			return nil, nil
		})
		if err == nil || !strings.Contains(err.Error(), `"shared"`) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// Blocks of a byte cost time, but no more memory than large ones: few are on their way at the same time.
func TestRunTinyBlocks(t *testing.T) {
	s := newSite(t)
	most := 0
	s.run(func(_ context.Context, run *backup.Run) (repo.Labels, error) {
		c, err := run.Create("x", content.Hint{})
		must(t, err)
		for i := range backuptest.Scaled(30_000, 10_000) {
			must(t, c.Block(fmt.Append(nil, i)))
			if i%100 == 0 {
				most = max(most, runtime.NumGoroutine())
			}
		}
		return nil, c.Close()
	})
	if most > 500 {
		t.Errorf("%d goroutines", most)
	}
}

// A panic of the caller's leaves nothing open, and nothing that goes on.
func TestRunPanics(t *testing.T) {
	s := newSite(t)
	data := unbroken(s.Repo.Rule(), 1<<20)
	backuptest.NoLeak(t, func() {
		defer func() {
			if r := recover(); r != "the caller's" {
				t.Errorf("recovered %v", r)
			}
		}()
		_ = s.run(func(_ context.Context, run *backup.Run) (repo.Labels, error) {
			for i := range 30 { // more than memory holds
				c, err := run.Create(fmt.Sprint(i), content.Hint{})
				must(t, err)
				_, err = c.Write(data)
				must(t, err)
			}
			panic("the caller's")
		})
	})
	s.run(files(map[string]string{"x": "x"}), func(o *backup.Options) { o.Workers = -1 })
}

// What has become of a file since the predecessor goes by the path that it has in the end.
func TestRunNamedInTheEnd(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	x, y := string(backuptest.Random(300_000)), string(backuptest.Random(300_000))
	s.run(files(map[string]string{"X.ibd": x, "Y.ibd": y}))
	supersede := func(data string) writer {
		return func(_ context.Context, run *backup.Run) (repo.Labels, error) {
			must(t, put(run, "X.ibd", "half of it"))
			c, err := run.Create("X.new", content.Hint{Base: "X.ibd"})
			must(t, err)
			_, err = c.Write([]byte(data))
			must(t, err)
			must(t, c.Close())
			must(t, run.Rename("X.new", "X.ibd"))
			return nil, put(run, "Y.ibd", y)
		}
	}
	if st := s.run(supersede(x)); st.Unchanged != 2 || st.New+st.Changed+st.Deleted+st.MetadataNew > uint64(len("half of it")) {
		t.Errorf("the same under its name: %+v", st)
	}
	if st := s.run(supersede(y)); st.Unchanged != 1 || st.Changed != 1 || st.New+st.Deleted > 0 {
		t.Errorf("another under its name: %+v", st)
	}
	st := s.run(func(_ context.Context, run *backup.Run) (repo.Labels, error) {
		for _, path := range []string{"X.ibd", "Y.ibd"} {
			if ok, err := run.Keep(path); !ok || err != nil {
				t.Errorf("keep: %v, %v", ok, err)
			}
		}
		return nil, run.Rename("X.ibd", "Z.ibd")
	})
	if st.Unchanged != 1 || st.New != 1 || st.Deleted != 1 || st.Changed > 0 {
		t.Errorf("moved: %+v", st)
	}
}
