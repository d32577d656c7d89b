// Package restore puts back what archives hold.
//
// A restore plans windows of files, creates them, and lets their content come in any order. So memory depends neither on the number of files nor on their sizes.
// It never leaves the target, whatever an archive or a file system says, and follows no link in it. What was there before is replaced whole, or not at all; of what is kept, only
// attributes change, where the policy says so. Nothing becomes a name of a file that this run has neither made nor found to be whole. What goes wrong with single files is
// reported, and the rest put back.
package restore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"syscall"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"nightjar/backup/browse"
	"nightjar/backup/local"
	"nightjar/internal/watch"
	"nightjar/repo"
	"nightjar/repo/tree"
)

// ErrNotEmpty says that something is in the target.
var ErrNotEmpty = errors.New("the target is not empty")

// Run puts back what an archive holds. It goes on past whatever cannot be put back, which o.Problem is told of; the error is for what stops it, as a full
// disk does.
// What was there before is replaced whole, or not at all.
func Run(ctx context.Context, rd *repo.Reader, a *repo.Archive, o Options) (Statistics, error) {
	from, at, err := browse.LookUp(ctx, rd, a, o.Path)
	if err != nil {
		return Statistics{}, err
	}
	o.Path = at
	return run(ctx, rd, a.ID, from, o)
}

// Tree is Run for a tree of a directory, of which nothing else is known: o.Path has no meaning.
func Tree(ctx context.Context, rd *repo.Reader, root repo.Root, o Options) (Statistics, error) {
	o.Path = ""
	items := []tree.Item{{ID: root.ID, Length: root.Length}}
	return run(ctx, rd, root.ID.String(), &tree.Node{Mode: tree.Directory | 0o700, Contents: tree.Contents{Items: items}}, o)
}

// run puts back what is in a node; name is that of the whole.
func run(ctx context.Context, rd *repo.Reader, name string, from *tree.Node, o Options) (Statistics, error) {
	if o.Progress == nil {
		o.Progress = new(watch.Progress)
	}
	r := &restorer{rd: rd, o: &o, archive: name, owners: local.NewOwners(), links: map[linkID]*firstLink{}, mounts: map[uint64]*local.Dir{}}
	r.applier = &local.Applier{Owners: r.owners, Ownership: o.Ownership, Xattrs: true, NumericACLs: o.NumericACLs, Unknown: r.unknown, Flags: o.Ownership != local.None}
	r.applier.Times = &local.Times{Named: !o.DryRun}
	defer r.applier.Times.Close()
	defer r.lock()
	if err := r.openTarget(from.IsDir()); err != nil {
		return Statistics{}, err
	}
	if r.target != nil {
		defer r.target.Close()
	}
	ctx, r.stop = context.WithCancelCause(ctx)
	defer r.stop(nil)
	g, ctx := errgroup.WithContext(ctx)
	r.verify = r.verifier(ctx)
	windows := make(chan *window)
	g.Go(func() error {
		defer close(windows)
		p := newPlanner(ctx, r, func(w *window) error {
			select {
			case windows <- w:
				return nil
			case <-ctx.Done():
				w.discard()
				return context.Cause(ctx)
			}
		})
		defer p.close()
		return p.plan(from, path.Clean("/"+o.Path))
	})
	g.Go(func() error {
		for w := range windows {
			if err := r.place(ctx, w); err != nil {
				return err
			}
		}
		return nil
	})
	err := g.Wait()
	if cause := context.Cause(ctx); full(cause) {
		err = cause
	}
	r.abandon()
	r.protect(&r.shared.flagged)
	r.protect(&r.shared.late)
	if err == nil && r.target != nil && !o.DryRun {
		err = r.sync()
	}
	for _, d := range r.mounts {
		d.Close()
	}
	return r.statistics(), err
}

// A restorer is a running restore.
type restorer struct {
	rd      *repo.Reader
	o       *Options
	archive string        // its id
	device  uint64        // of the target
	made    bool          // this run has made the target
	fresh   bool          // nothing was in it
	target  *local.Dir    // nil in a dry run without a target
	locked  *local.Locked // the target, if its mode kept its owner out
	owners  *local.Owners
	applier *local.Applier
	links   map[linkID]*firstLink // of the planner
	mounts  map[uint64]*local.Dir // the other file systems in the target, by device; guarded by shared.mu
	shared  counts

	verify func(f *placedFile) error // nil: nobody asked
	stop   context.CancelCauseFunc
}

// leadsNowhere reports whether a folder that is not there cannot be made, since what is there of its path ends with a link to nothing.
func leadsNowhere(path string) bool {
	for {
		_, err := os.Lstat(path)
		above := filepath.Dir(path)
		if !errors.Is(err, fs.ErrNotExist) || above == path {
			_, followed := os.Stat(path)
			return err == nil && followed != nil
		}
		path = above
	}
}

// openTarget opens the target, or makes it; begun says that it is to have attributes in the end.
func (r *restorer) openTarget(begun bool) error {
	if !r.o.DryRun {
		mkdir := local.MkdirBegun
		if !begun {
			mkdir = func(path string) error { return os.Mkdir(path, 0o700) }
		}
		err := mkdir(r.o.Target)
		if errors.Is(err, fs.ErrNotExist) {
			if err = os.MkdirAll(filepath.Dir(filepath.Clean(r.o.Target)), 0o700); err == nil {
				err = mkdir(r.o.Target)
			}
		}
		r.made = err == nil
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("make target: %w", err)
		}
	}
	d, err := local.OpenDir(r.o.Target, r.owners)
	if r.o.DryRun && errors.Is(err, fs.ErrNotExist) && !leadsNowhere(r.o.Target) {
		return nil
	}
	if errors.Is(err, fs.ErrPermission) && r.o.DryRun {
		var there unix.Stat_t
		if unix.Stat(r.o.Target, &there) == nil && there.Uid == uint32(os.Geteuid()) && there.Mode&unix.S_IFMT == unix.S_IFDIR {
			r.unseen(r.o.Target, err)
			return nil
		}
	} else if errors.Is(err, fs.ErrPermission) {
		if opened, locked, failed := local.OpenLocked(r.o.Target, r.owners); failed == nil {
			d, err = opened, nil
			r.note(locked)
			r.locked = locked
		}
	}
	if err != nil {
		return fmt.Errorf("open target: %w", err)
	}
	var self tree.Node
	if err := d.StatSelf(&self); err != nil {
		d.Close()
		return fmt.Errorf("open target: %w", err)
	}
	r.target, r.device = d, self.Device
	r.fresh = r.made || r.o.Overwrite == Refuse
	if r.o.Overwrite != Refuse {
		return nil
	}
	names, err := d.Names()
	if err == nil && len(names) > 0 {
		err = ErrNotEmpty
	}
	if err != nil {
		d.Close()
		return fmt.Errorf("restore to %q: %w", r.o.Target, err)
	}
	return nil
}

func (r *restorer) problem(path string, err error) {
	r.shared.problems.Add(1)
	r.o.Progress.Problem.Add(1)
	if r.o.Problem != nil {
		r.o.Problem(path, err)
	}
}

func (r *restorer) unknown(n tree.AccountName) {
	if r.o.Warn == nil {
		return
	}
	kind := "user"
	if n.Group {
		kind = "group"
	}
	r.o.Warn(fmt.Errorf("restore ACLs: there is no %s %q here: what it was allowed goes to number %d", kind, n.Name, n.ID))
}

// failed tells why a file could not be put back. Nothing that follows could be when the disk is full.
func (r *restorer) failed(path string, err error) {
	if full(err) {
		r.stop(fmt.Errorf("restore %q: %w", path, err))
		return
	}
	r.problem(path, err)
}

func full(err error) bool { return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) }

func (r *restorer) report(path string, a Action) {
	if r.o.Report != nil {
		r.o.Report(path, a)
	}
}
