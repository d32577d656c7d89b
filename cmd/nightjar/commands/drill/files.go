package drill

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync/atomic"

	"nightjar/backup/drill"
	"nightjar/backup/restore"
	"nightjar/cmd/nightjar/internal/app"
	"nightjar/cmd/nightjar/internal/drilled"
	"nightjar/cmd/nightjar/internal/outcome"
	"nightjar/cmd/nightjar/internal/progress"
	"nightjar/cmd/nightjar/internal/scratch"
	"nightjar/cmd/nightjar/internal/session"
	"nightjar/cmd/nightjar/internal/show"
	"nightjar/cmd/nightjar/internal/thawing"
	"nightjar/cmd/nightjar/internal/usage"
	"nightjar/internal/quote"
	"nightjar/internal/watch"
	"nightjar/repo"
)

// drillFiles restores files, or a sample of them, and reads them back.
func drillFiles(ctx context.Context, a *app.App, s *session.Session, rd *repo.Reader, d *drillFlags, x *drilled.Drill, folder *scratch.Folder) error {
	choice, err := drill.Choose(ctx, rd, x.Archive, d.of, d.seed)
	if err != nil {
		return err
	}
	if x.Full = choice.All; !x.Full {
		x.Sample = d.sample
	}
	const block = 4096 // that each file takes at least
	if err := folder.Fits(choice.Bytes + choice.Files*block); err != nil {
		return noRoom(err)
	}
	need := func(add func(string, int64)) error {
		return restore.Needs(ctx, rd, x.Archive, restore.Options{Filter: choice.Filter}, add)
	}
	if err := thawing.Ask(ctx, a, s, &d.thaw, need); err != nil {
		return err
	}
	o := drill.Options{Target: filepath.Join(folder.Path, "files"), Namer: s.Namer, Ownership: a.Ownership(false), Progress: new(watch.Progress), Now: a.Now}
	expected := new(atomic.Uint64)
	expected.Store(choice.Bytes)
	stop := a.Follow(progress.Saved(o.Progress, expected))
	r, err := drill.Run(ctx, rd, x.Archive, choice, o)
	stop()
	x.Took[drilled.Fetch] = r.Fetch
	if r.Check > 0 {
		x.Took[drilled.Check] = r.Check
	}
	x.Bytes = r.Sums.Bytes
	x.Figures = map[string]uint64{
		"files": r.Sums.Files, "dirs": r.Sums.Dirs, "links": r.Sums.Links, "others": r.Sums.Others, "verified": r.Verified, "larger": choice.Larger, "need_root": r.NeedRoot, "bytes_read": r.Sums.Read.Bytes,
	}
	if err != nil {
		return noRoom(err)
	}
	x.Different = r.Different
	for _, difference := range r.Differences {
		x.Differences = append(x.Differences, fmt.Sprintf("%s: %v", quote.Display(difference.Path), difference.Err))
	}
	for _, refused := range r.Refused {
		x.Problems = append(x.Problems, fmt.Sprintf("%s: this file system does not take it: %v", quote.Display(refused.Path), refused.Err))
	}
	return verdict(x)
}

// verdict says what differences and problems of a drill mean.
func verdict(x *drilled.Drill) error {
	switch {
	case x.Different > 0:
		return usage.Hinted{
			Err:  outcome.Problems{What: fmt.Sprintf("archive %s is not proven: what came back is not what was saved: differences: %d", show.ShortID(x.Archive), x.Different), Damaged: true},
			Hint: "nightjar check --read-data --key KEY says whether the repository is damaged. If it is not, doubt the disk and the memory of this machine, and try again with another --scratch",
		}
	case len(x.Problems) > 0:
		problems := outcome.Problems{What: fmt.Sprintf("archive %s came back, but not all could be compared: problems: %d", show.ShortID(x.Archive), len(x.Problems))}
		if x.Server != "" {
			return problems
		}
		return usage.Hinted{Err: problems, Hint: "a scratch folder on a file system of the kind that was saved takes all that was saved: name one with --scratch"}
	}
	return nil
}

// noRoom says what to do where the scratch folder is too small.
func noRoom(err error) error {
	if errors.Is(err, scratch.ErrSpace) {
		return usage.Hinted{Err: err, Hint: "nothing was fetched. Name a folder on a larger disk with --scratch, or a smaller --sample"}
	}
	return err
}
