package torture

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"slices"
	"testing"
	"time"

	"nightjar/backup"
	"nightjar/backup/backuptest"
	"nightjar/backup/browse"
	"nightjar/backup/content"
	"nightjar/crypto"
	"nightjar/repo"
	"nightjar/repo/index"
	"nightjar/repo/keyring"
	"nightjar/repo/maintain/check"
	"nightjar/repo/maintain/maintaintest"
	"nightjar/repo/maintain/prune"
	"nightjar/repo/record"
	"nightjar/repo/store"
)

const (
	grace = 7 * 24 * time.Hour
	ripe  = grace + 11*time.Minute
)

// A runs is a repository of runs of contents, with a clock that is moved by hand.
type runs struct {
	*backuptest.Site
	now time.Time
}

func newRuns(t *testing.T) *runs {
	r := &runs{now: time.Now().Add(time.Minute)}
	clock := func() time.Time { return r.now }
	r.Site = backuptest.NewOn(t, store.NewMemory(clock), func(o *repo.Options) { o.Now = clock })
	return r
}

// run saves what f writes beside a predecessor.
func (r *runs) run(before *repo.Archive, f func(run *backup.Run)) (*repo.Archive, backup.Statistics) {
	r.T.Helper()
	r.Log = new(backuptest.Problems)
	o := backup.Options{Previous: before, Problem: r.Log.Add}
	a, st, err := backup.Save(r.T.Context(), r.Repo, &repo.Record{Host: "host", Job: "run"}, o, func(_ context.Context, run *backup.Run) (repo.Labels, error) {
		f(run)
		return nil, nil
	})
	must(r.T, err)
	return a, st
}

func (r *runs) put(run *backup.Run, path string, data []byte) {
	r.T.Helper()
	c, err := run.Create(path, content.Hint{})
	must(r.T, err)
	_, err = c.Write(data)
	must(r.T, err)
	must(r.T, c.Close())
}

// keep wants that a file of the predecessor is kept and the same, or neither.
func (r *runs) keep(run *backup.Run, when, path string, n int, want bool) {
	r.T.Helper()
	if ok, err := run.Keep(path); ok != want || err != nil {
		r.T.Errorf("%s: keep %s: %v, %v", when, path, ok, err)
	}
	c, err := run.Create("other", content.Hint{Base: path})
	must(r.T, err)
	if taken, err := c.Same(int64(n)); (taken == int64(n)) != want || errors.Is(err, content.ErrNotSame) == want {
		r.T.Errorf("%s: the same %d bytes of %s, %v", when, taken, path, err)
	}
	c.Abort()
}

// wants fails unless an archive has this in it, and a check has nothing to say of any.
func (r *runs) wants(a *repo.Archive, files map[string][]byte) {
	r.T.Helper()
	for _, path := range slices.Sorted(maps.Keys(files)) {
		var b bytes.Buffer
		must(r.T, browse.Cat(r.T.Context(), r.Reader(), a, path, &b))
		if !bytes.Equal(b.Bytes(), files[path]) {
			r.T.Errorf("%s has %d other bytes", path, b.Len())
		}
	}
	_, err := check.Run(r.T.Context(), r.Repo, check.Options{ReadData: true, Found: func(f check.Finding) { r.T.Errorf("found %+v", f) }})
	must(r.T, err)
}

func (r *runs) forget(archives ...*repo.Archive) {
	r.T.Helper()
	var f record.Forget
	for _, a := range archives {
		id, err := index.ParseObjectID(a.ID)
		must(r.T, err)
		f.Archives = append(f.Archives, record.Forgotten{Archive: id, Host: a.Host, Job: a.Job, Time: a.Time, Reason: "test"})
	}
	encoded, err := record.Encode(&f)
	must(r.T, err)
	_, err = r.Repo.PutRecord(r.T.Context(), record.ForgetKind, encoded)
	must(r.T, err)
}

// prune is a prune some time later.
func (r *runs) prune(later time.Duration) {
	r.T.Helper()
	r.now = r.now.Add(later)
	_, err := prune.Run(r.T.Context(), r.Repo, prune.Options{Problem: func(err error) { r.T.Log(err) }})
	must(r.T, err)
}

// What prune has condemned is held no longer: it is neither kept nor the same. When it is dropped, so are the trees that
// led to it, which is told.
func TestRunNotHeld(t *testing.T) {
	r := newRuns(t)
	x, y := backuptest.Random(300_000), backuptest.Random(300_000)
	lone, _ := r.run(nil, func(run *backup.Run) { r.put(run, "d/y", y) })
	first, _ := r.run(lone, func(run *backup.Run) { r.put(run, "x", x); r.put(run, "d/y", y) })
	night := func(when string, keepX, keepY bool) {
		t.Helper()
		a, _ := r.run(first, func(run *backup.Run) {
			r.keep(run, when, "x", len(x), keepX)
			r.keep(run, when, "d/y", len(y), keepY)
			if keepY {
				must(t, run.Remove("d/y"))
			}
			r.put(run, "x", x)
		})
		r.wants(a, map[string][]byte{"x": x})
	}
	night("whole", true, true)
	r.forget(lone, first)
	r.prune(ripe)
	night("condemned", true, false)
	r.Log.None(t)
	r.prune(ripe)
	night("dropped", false, false)
	r.Log.Only(t, "/")
	a, st := r.run(first, func(run *backup.Run) { r.put(run, "d/y", y) })
	if st.ChunksNew == 0 {
		t.Error("what was dropped is not stored anew")
	}
	r.wants(a, map[string][]byte{"d/y": y})
}

// A prune that goes on beside a run condemns what the run has kept already. What is asked for after the run's next view
// is not kept any more; the archive, which is in time, is whole when prune has looked again.
func TestRunCondemnedMeanwhile(t *testing.T) {
	r := newRuns(t)
	x, y := backuptest.Random(300_000), backuptest.Random(300_000)
	one, _ := r.run(nil, func(run *backup.Run) { r.put(run, "x", x) })
	first, _ := r.run(one, func(run *backup.Run) { r.put(run, "x", x); r.put(run, "y", y) })
	r.forget(one, first)
	r.now = r.now.Add(ripe)
	a, _ := r.run(first, func(run *backup.Run) {
		r.keep(run, "before", "x", len(x), true)
		r.prune(grace/2 + time.Hour)
		r.keep(run, "after", "y", len(y), false)
		r.put(run, "z", []byte("z"))
	})
	r.wants(a, map[string][]byte{"x": x, "z": []byte("z")})
	for range 3 {
		r.prune(ripe)
		r.wants(a, map[string][]byte{"x": x, "z": []byte("z")})
	}
}

// What another host has stored is neither kept nor the same, unless the keys say that this one may build on it.
func TestRunOfAnotherHost(t *testing.T) {
	s := maintaintest.NewAt(t, time.Now)
	key, err := crypto.Generate("web", time.Now(), nil)
	must(t, err)
	s.Change(s.Key, func(d *keyring.Draft) error { return d.AddHost("web", key, keyring.Backup) })
	open := func(k *crypto.Key) *repo.Repository {
		r, err := repo.Open(t.Context(), s.Store, s.Keys, keyring.Held(k), repo.Options{})
		must(t, err)
		t.Cleanup(func() { r.Close() })
		must(t, r.SetHost(k))
		return r
	}
	save := func(k *crypto.Key, host string, before *repo.Archive, f func(run *backup.Run)) (*repo.Archive, backup.Statistics) {
		o := backup.Options{Previous: before, Problem: func(path string, err error) { t.Log(path, err) }}
		a, st, err := backup.Save(t.Context(), open(k), &repo.Record{Host: host, Job: "run"}, o, func(_ context.Context, run *backup.Run) (repo.Labels, error) {
			f(run)
			return nil, nil
		})
		must(t, err)
		return a, st
	}
	x := backuptest.Random(3 << 20)
	put := func(run *backup.Run) {
		c, err := run.Create("x", content.Hint{})
		must(t, err)
		_, err = c.Write(x)
		must(t, err)
		must(t, c.Close())
	}
	a, first := save(s.Key, "host", nil, put)
	_, st := save(key, "web", a, func(run *backup.Run) {
		if ok, err := run.Keep("x"); ok || err != nil {
			t.Errorf("keep: %v, %v", ok, err)
		}
		c, err := run.Create("y", content.Hint{Base: "x"})
		must(t, err)
		if n, err := c.Same(int64(len(x))); n != 0 || err == nil {
			t.Errorf("the same %d bytes: %v", n, err)
		}
		c.Abort()
		put(run)
	})
	if st.ChunksNew != first.ChunksNew || st.ChunksKnown+st.ChunksDelta > 0 {
		t.Errorf("%+v", st)
	}
	s.Whole()
}
