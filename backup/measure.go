package backup

import (
	"context"

	"nightjar/backup/scan"
	"nightjar/internal/watch"
)

// Measure walks what a backup with these options would save, and counts into total as it goes: so that whoever watches the backup knows how much is left.
// It reads no content, reports nothing, and its result is as good as the file system is quiet.
func Measure(ctx context.Context, o Options, total *watch.Progress) error {
	o.Progress, o.Problem = total, func(string, error) {}
	sel, err := scan.Select(o.Paths, o.Problem)
	if err != nil {
		return err
	}
	return scan.Measure(ctx, sel, o.scan())
}
