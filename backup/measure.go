package backup

import (
	"context"

	"nightjar/backup/scan"
	"nightjar/internal/watch"
	"nightjar/repo/tree"
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

// Preview walks what a backup with these options would save, and tells of each entry, in order of names: left says why it would be left out, "" if it would not. It tells
// once, with n nil and a path that ends in /**, of what is in a folder and left out with that. It reads no content, and of what cannot be read it finds
// what cannot even be looked at.
func Preview(ctx context.Context, o Options, met func(path string, n *tree.Node, left string)) error {
	o.Progress = new(watch.Progress)
	sel, err := scan.Select(o.Paths, o.Problem)
	if err != nil {
		return err
	}
	of := o.scan()
	of.Met = met
	return scan.Measure(ctx, sel, of)
}
