// Package drill restores archives of files and streams to a scratch folder, or a random part of them, and compares what came back with what the archive says.
//
// It restores twice: once as a restore does, and once more over what is there, reading all of it back from the file system. The second time finds nothing to do, or
// what came back is not what was saved.
//
// The invariant: nothing outside of the target is written. What is restored is never what decides whether it is right: chunks' keyed hashes in signed trees do.
package drill

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"syscall"
	"time"

	"nightjar/backup/local"
	"nightjar/backup/restore"
	"nightjar/chunk"
	"nightjar/crypto"
	"nightjar/internal/watch"
	"nightjar/repo"
)

// Options say how an archive is tried.
type Options struct {
	Target    string              // a folder to make
	Namer     func() *chunk.Namer // makes what names chunks
	Ownership local.Ownership     // None: owners are not restored, and what only root may restore is passed over
	Progress  *watch.Progress     // nil: nobody watches
	Restored  func()              // called between the restore and the check; nil: nobody
	Now       func() time.Time
}

// A Result says what came back.
type Result struct {
	Sums        restore.Statistics
	Fetch       time.Duration // until the files were there and on the disk
	Check       time.Duration // until all was read back
	Verified    uint64        // files whose content was read back, and is what was saved
	Differences []Difference  // what is not as it was saved; at most MaxListed of them
	Different   uint64        // how many there are
	Refused     []Difference  // what this file system does not take, such as attributes; likewise
	Refusals    uint64
	NeedRoot    uint64 // entries, or attributes, that only root may restore
}

// MaxListed is how many differences are kept of each sort.
const MaxListed = 100

// A Difference is one entry that is not as it was saved.
type Difference struct {
	Path string
	Err  error
}

// What a Difference may be, beside the errors of a restore.
var (
	ErrMissing    = errors.New("it did not come back")
	ErrContent    = errors.New("it reads back as something else than was saved")
	ErrAttributes = errors.New("it has other attributes than were saved: mode, owner, times, extended attributes, or links")
)

// Run restores what was chosen of an archive, and compares it. The error is for what stops it, as a full disk does; Differences are no error.
func Run(ctx context.Context, rd *repo.Reader, a *repo.Archive, c Choice, o Options) (r Result, err error) {
	t := &trial{result: &r, asRoot: o.Ownership != local.None, told: map[string]bool{}}
	ro := restore.Options{
		Target: o.Target, Filter: c.Filter, Ownership: o.Ownership, Progress: o.Progress, Problem: t.problem,
	}
	begin := o.Now()
	r.Sums, err = restore.Run(ctx, rd, a, ro)
	r.Fetch = o.Now().Sub(begin)
	if err != nil {
		return r, fmt.Errorf("restore to scratch: %w", err)
	}
	if o.Restored != nil {
		o.Restored()
	}
	begin = o.Now()
	ro.Progress, ro.Overwrite, ro.Verify, ro.Report = nil, restore.IfChanged, o.Namer, t.report
	sums, err := restore.Run(ctx, rd, a, ro)
	r.Check, r.Verified = o.Now().Sub(begin), sums.Verified
	if err != nil {
		return r, fmt.Errorf("read back: %w", err)
	}
	return r, nil
}

// A trial sorts what a restore tells of.
type trial struct {
	mu     sync.Mutex
	result *Result
	asRoot bool
	told   map[string]bool // paths of which something was said; of very many it forgets
}

// refusals are errors that say that a file system, or a user, cannot have what was saved.
var refusals = []error{syscall.EOPNOTSUPP, syscall.EPERM, syscall.EINVAL, syscall.ENOSYS, syscall.E2BIG, syscall.ERANGE}

func (t *trial) problem(path string, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	is := func(target error) bool { return errors.Is(err, target) }
	if t.told[path] {
		return
	}
	t.tell(path)
	switch {
	case is(crypto.ErrIntegrity) || is(restore.ErrVerify):
		t.differs(path, err)
	case !t.asRoot && is(syscall.EPERM):
		t.result.NeedRoot++
	case slices.ContainsFunc(refusals, is):
		t.result.Refusals++
		if len(t.result.Refused) < MaxListed {
			t.result.Refused = append(t.result.Refused, Difference{path, err})
		}
	default:
		t.differs(path, err)
	}
}

// tell notes that something was said of a path.
func (t *trial) tell(path string) {
	const most = 100_000
	if len(t.told) < most {
		t.told[path] = true
	}
}

func (t *trial) differs(path string, err error) {
	t.result.Different++
	if len(t.result.Differences) < MaxListed {
		t.result.Differences = append(t.result.Differences, Difference{path, err})
	}
}

// report is told what the second restore did.
func (t *trial) report(path string, action restore.Action) {
	what := map[restore.Action]error{restore.Created: ErrMissing, restore.Replaced: ErrContent, restore.Amended: ErrAttributes}[action]
	if what == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.told[path] {
		return
	}
	t.tell(path)
	t.differs(path, what)
}
