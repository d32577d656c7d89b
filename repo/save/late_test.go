package save_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"nightjar/repo"
	"nightjar/repo/index"
	"nightjar/repo/record"
	"nightjar/repo/repotest"
	"nightjar/repo/save"
	"nightjar/repo/sealed"
	"nightjar/repo/store"
	"nightjar/repo/store/storetest"
)

func TestGraceExceeded(t *testing.T) {
	p := repotest.NewPlace(t)
	r := p.Open(repotest.HostKey())
	groups := 0
	_, err := repotest.Write(t.Context(), r, repotest.ThreeGroups(), func(w *save.Writer) error {
		err := p.PerMinute(w)
		if groups++; groups == 3 {
			p.Clock.Move(r.Keys().Grace(repotest.Noon))
		}
		return err
	})
	repotest.WantError(t, err, nil, "grace")
	if n := len(p.Names("archive/")); n != 0 {
		t.Errorf("%d archives", n)
	}
	// What was stored after the last index object may be gone as well: nothing names it. Whether that is in time for the third group is luck.
	again := repotest.MustWrite(t, r, repotest.ThreeGroups()...)
	if known := again.Sent.ChunksKnown.Load(); known != 12 && known != 18 {
		t.Errorf("%d chunks known", known)
	}
}

// An archive that the store dates otherwise than it said is a failure, and never the latest.
func TestLateArchive(t *testing.T) {
	for _, skew := range []time.Duration{11 * time.Minute, -11 * time.Minute} {
		p := repotest.NewPlace(t)
		r := p.Open(repotest.HostKey())
		first := repotest.MustWrite(t, r, repotest.Some(1, 3))
		p.Clock.Move(time.Hour)
		p.Faulty.Before = []storetest.Hook{func(c storetest.Call) error {
			if c.Op == storetest.Put && strings.HasPrefix(c.Name, "archive/") {
				p.Clock.Move(skew)
			}
			return nil
		}}
		_, err := repotest.Write(t.Context(), r, [][][]byte{repotest.Some(2, 3)}, nil)
		repotest.WantError(t, err, nil, "does not count")
		p.Faulty.Before = nil
		all := repotest.Archives(t, r)
		if len(all) != 2 {
			t.Fatalf("%d archives", len(all))
		}
		if a, err := repo.Find(all, "latest"); err != nil || a.ID != first.Archive.ID {
			t.Errorf("latest is %v, %v", a, err)
		}
	}
}

func TestSkewWithinBounds(t *testing.T) {
	p := repotest.NewPlace(t)
	p.Faulty.Before = []storetest.Hook{func(c storetest.Call) error {
		if c.Op == storetest.Put && strings.HasPrefix(c.Name, "archive/") {
			p.Clock.Move(sealed.MaxSkew)
		}
		return nil
	}}
	repotest.MustWrite(t, p.Open(repotest.HostKey()), repotest.Some(1, 1))
}

// An index object that the store dates late is written again; the late one counts for nobody who writes, and one warning tells of it.
func TestLateIndex(t *testing.T) {
	p := repotest.NewPlace(t)
	skews := 1
	p.Faulty.Before = []storetest.Hook{func(c storetest.Call) error {
		if c.Op == storetest.Put && strings.HasPrefix(c.Name, "index/") && skews > 0 {
			skews--
			p.Clock.Move(sealed.MaxSkew + time.Second)
		}
		return nil
	}}
	saved := repotest.MustWrite(t, p.Open(repotest.HostKey()), repotest.Some(1, 6))
	var late, timely []string
	err := p.Open(repotest.HostKey()).IndexObjects(t.Context(), func(x sealed.IndexRecord) error {
		if x.Late {
			late = append(late, x.Name)
		} else {
			timely = append(timely, x.Name)
		}
		return x.Err
	})
	if err != nil || len(late) != 1 || len(timely) != 1 {
		t.Fatalf("late %q, timely %q: %v", late, timely, err)
	}
	p.Delete(timely[0])
	var warned []error
	cache := t.TempDir()
	r := p.Unlocked(warnings(&warned), func(o *repo.Options) { o.IndexDir = cache })
	if err := r.SetHost(repotest.HostKey()); err != nil {
		t.Fatal(err)
	}
	repotest.WantRestored(t, repotest.Must(r.NewReader(t.Context())), saved)
	if err := r.SyncIndex(t.Context()); err != nil {
		t.Fatal(err)
	}
	again := repotest.MustWrite(t, r, repotest.Some(1, 6))
	if n := again.Sent.ChunksNew.Load(); n != 6 {
		t.Errorf("a backup builds on a late index object: %d chunks new", n)
	}
	if len(warned) != 1 {
		t.Errorf("warned of %v", warned)
	}

	// A store that never agrees fails the run.
	skews = 99
	_, err = repotest.Write(t.Context(), r, [][][]byte{repotest.Some(2, 6)}, nil)
	repotest.WantError(t, err, nil, "again and again")
	skews = 0
	if n := repotest.MustWrite(t, r, repotest.Some(2, 6)).Sent.ChunksNew.Load(); n != 6 {
		t.Errorf("a backup builds on its own late index object: %d chunks new", n)
	}
}

// An archive that the store dates more than the grace after the last view does not count, until somebody verifies it.
func TestArchiveAfterGrace(t *testing.T) {
	p := repotest.NewPlace(t)
	r := p.Open(repotest.HostKey())
	first := repotest.MustWrite(t, r, repotest.Some(1, 3))
	grace := r.Keys().Grace(repotest.Noon)
	p.Faulty.Before = []storetest.Hook{func(c storetest.Call) error {
		if c.Op == storetest.Put && strings.HasPrefix(c.Name, "archive/") {
			p.Clock.Move(2 * time.Minute)
		}
		return nil
	}}
	_, err := repotest.Write(t.Context(), r, [][][]byte{repotest.Some(2, 3)}, func(w *save.Writer) error {
		hostileLists(p, r)["no message"]() // so that no other view counts
		p.Clock.Move(grace - time.Minute)
		return nil
	})
	repotest.WantError(t, err, nil, "does not count")
	p.Faulty.Before = nil
	all := repotest.Archives(t, r)
	if len(all) != 2 || !all[1].Is(repo.Late) || all[1].Counts() || all[1].Displaces() {
		t.Fatalf("archives %+v", all)
	}
	if a, err := repo.Find(all, "latest"); err != nil || a.ID != first.Archive.ID {
		t.Errorf("latest is %v, %v", a, err)
	}
	if a, err := repo.Find(all, all[1].ID); err != nil || a.ID != all[1].ID {
		t.Errorf("it is not found by its id: %v", err)
	}
	id := repotest.Must(index.ParseObjectID(all[1].ID))
	repotest.Must(r.PutRecord(t.Context(), record.VerifiedKind, repotest.Must(record.Encode(&record.Verified{Archives: []index.ObjectID{id}}))))
	all = repotest.Archives(t, r)
	if !all[1].Is(repo.Late) || !all[1].Counts() || !all[1].Displaces() || all[0].Is(repo.Verified) {
		t.Errorf("archives %+v", all)
	}
	if a, err := repo.Find(all, "latest"); err != nil || a.ID != all[1].ID {
		t.Errorf("latest is %v, %v", a, err)
	}
}

// An archive that says that it is older than its predecessor displaces nothing, whichever of them is asked for.
func TestBackdatedArchive(t *testing.T) {
	p := repotest.NewPlace(t)
	r := p.Open(repotest.HostKey())
	first := repotest.MustWrite(t, r, repotest.Some(1, 3))
	p.Clock.Move(time.Hour)
	second := repotest.MustWrite(t, r, repotest.Some(2, 3))
	p.Clock.Move(-30 * time.Minute) // a store whose clock was put right
	_, err := save.Write(t.Context(), r, new(save.Sent), func(context.Context, *save.Writer) (*repo.Record, error) {
		return &repo.Record{Host: "db1", Job: "job", Root: first.Archive.Root, Predecessor: second.Archive.ID}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	all := repotest.Archives(t, r)
	if len(all) != 3 || !all[1].Counts() || all[1].Displaces() || !all[2].Displaces() {
		t.Fatalf("archives %+v", all)
	}
	if a, err := repo.Find(repo.Selection{At: second.Archive.Time.Add(-time.Minute)}.Select(all), "latest"); err != nil || a.ID != first.Archive.ID {
		t.Errorf("latest is %v, %v", a, err)
	}
}

// Another form of what a host has signed, which takes no key to make, takes no place of others.
func TestRepeatedArchive(t *testing.T) {
	p := repotest.NewPlace(t)
	r := p.Open(repotest.HostKey())
	first := repotest.MustWrite(t, r, repotest.Some(1, 3)).Archive
	other := repotest.Must(store.ReadAll(t.Context(), p.Memory, "archive/"+first.ID, 0))
	p.Clock.Move(time.Minute)
	invertPoint(other)
	p.Put(repotest.Named("archive", other), other)
	all := repotest.Archives(t, r)
	if len(all) != 2 || all[0].Is(repo.Repeated) == all[1].Is(repo.Repeated) {
		t.Fatalf("archives %+v", all)
	}
	for _, a := range all {
		if !a.Counts() || a.Displaces() != (a.ID == first.ID) {
			t.Errorf("%s, stored %s: counts %v, displaces %v", a.ID, a.Stored, a.Counts(), a.Displaces())
		}
	}
	if a, err := repo.Find(all, "latest"); err != nil || a.ID != first.ID {
		t.Errorf("latest is %v, %v", a, err)
	}
}
