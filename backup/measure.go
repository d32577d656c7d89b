package backup

import (
	"context"
	"time"

	"nightjar/backup/local"
	"nightjar/backup/watch"
)

// Measure walks what a backup with these options would save, and counts into total as it goes: so that whoever watches the backup knows how much is left.
// It reads no content, reports nothing, and its result is as good as the file system is quiet.
func Measure(ctx context.Context, o Options, total *watch.Progress) error {
	o.Progress, o.Problem = total, func(string, error) {}
	sel, err := selectPaths(o.Paths, o.Problem)
	if err != nil {
		return err
	}
	root, err := local.OpenDir("/", nil)
	if err != nil {
		return err
	}
	defer root.Close()
	s := scanner{
		ctx: ctx, o: &o, counting: true, avoid: identify(o.Avoid), stats: new(Statistics), now: time.Now,
		out: func(*batch) error { return nil },
	}
	return s.scan(root, sel, nil)
}
