package files

import (
	"bufio"
	"context"
	"fmt"
	"maps"
	"slices"

	"nightjar/backup"
	"nightjar/cmd/nightjar/internal/app"
	"nightjar/cmd/nightjar/internal/outcome"
	"nightjar/cmd/nightjar/internal/usage"
	"nightjar/internal/human"
	"nightjar/internal/quote"
	"nightjar/repo/tree"
)

// A preview counts what a backup would save, and what it would leave out, by the reason.
type preview struct {
	DryRun  bool              `json:"dry_run"`
	Files   uint64            `json:"files"`
	Folders uint64            `json:"folders"`
	Others  uint64            `json:"others"`
	Bytes   uint64            `json:"bytes"`
	LeftOut map[string]uint64 `json:"left_out"` // a folder counts once, with all that is in it

	each *bufio.Writer // gets a line for every entry; nil: nobody asked
}

// previewBackup is --dry-run. It opens no repository, and reads no more of files than their names and sizes.
func previewBackup(ctx context.Context, a *app.App, b *backupFlags, o *backup.Options) error {
	if b.stdin != "" {
		return usage.Errorf("--dry-run is for paths: what --stdin would save is known when it is read")
	}
	never, err := a.Folders()
	if err != nil {
		return err
	}
	o.Avoid = append(o.Avoid, never...)
	if err := tellUnsaved(a, o); err != nil {
		return err
	}
	p := preview{DryRun: true, LeftOut: map[string]uint64{}}
	w := bufio.NewWriter(a.Out)
	if a.Verbose && !a.JSON {
		p.each = w
	}
	if err := backup.Preview(ctx, *o, p.met); err != nil {
		return err
	}
	if a.JSON {
		err = a.PrintJSON(p)
	} else {
		p.show(w)
		err = app.Flush(w)
	}
	if n := a.Problems.Load(); err == nil && n > 0 {
		return outcome.Problems{What: fmt.Sprintf("not all would be saved: problems: %d", n)}
	}
	return err
}

// met counts an entry, or with n nil what is in a folder.
func (p *preview) met(path string, n *tree.Node, left string) {
	switch {
	case left != "":
		p.LeftOut[left]++
	case n.IsDir():
		p.Folders++
	case n.IsRegular():
		p.Files++
		p.Bytes += n.Size
	default:
		p.Others++
	}
	if p.each == nil {
		return
	}
	if n != nil && n.IsDir() {
		path += "/"
	}
	if left != "" {
		fmt.Fprintf(p.each, "would leave out %s: %s\n", quote.Display(path), left)
	} else {
		fmt.Fprintf(p.each, "would save %s\n", quote.Display(path))
	}
}

// show prints the sums.
func (p *preview) show(w *bufio.Writer) {
	fmt.Fprintf(w, "would save %s (%s) in %s", human.Count(p.Files, "file"), human.Size(p.Bytes), human.Count(p.Folders, "folder"))
	if p.Others > 0 {
		fmt.Fprintf(w, ", %d of other kinds", p.Others)
	}
	fmt.Fprintln(w)
	for _, why := range slices.Sorted(maps.Keys(p.LeftOut)) {
		fmt.Fprintf(w, "would leave out %d: %s\n", p.LeftOut[why], why)
	}
}
