package restore

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"nightjar/cmd/nightjar/internal/app"
	"nightjar/cmd/nightjar/internal/usage"
	"nightjar/internal/quote"
	"nightjar/mysqldump/datadir"
	"nightjar/mysqldump/revive"
	"nightjar/snapshot/bring"
)

// deepest is how many folders below a mount a data directory, and a binary log, are looked for.
const deepest = 2

// findDatadir returns the path of the one data directory on the volumes; empty: there is none.
func findDatadir(r *restoreFlags, parts []bring.Part) (string, error) {
	if r.datadir != "" {
		return onVolumes(r, parts, r.datadir, "the data directory")
	}
	found, err := lookFor(parts, func(name string) bool { return name == "ibdata1" })
	if err != nil {
		return "", fmt.Errorf("look for a data directory: %w", err)
	}
	if len(found) > 1 {
		return "", usage.Hinted{Err: fmt.Errorf("there are several data directories: %s", quote.Display(strings.Join(found, ", "))), Hint: "name one with --datadir, by the path that it had at the source; then the same command goes on"}
	}
	if len(found) == 0 {
		return "", nil
	}
	return found[0], nil
}

// onVolumes returns where a folder of the source is here, if that is on a volume that was mounted.
func onVolumes(r *restoreFlags, parts []bring.Part, dir, what string) (string, error) {
	real, err := filepath.EvalSymlinks(filepath.Join("/", r.mount.Under, dir))
	if err != nil {
		return "", fmt.Errorf("find %s: %w", what, err)
	}
	for _, p := range parts {
		if p.At != "" && (real == p.At || strings.HasPrefix(real, p.At+"/")) {
			return real, nil
		}
	}
	return "", fmt.Errorf("find %s: %s is on none of the volumes that were mounted", what, quote.Display(real))
}

// lookFor returns the folders on the volumes that have a file of some name.
func lookFor(parts []bring.Part, is func(name string) bool) (found []string, err error) {
	seen := map[string]bool{}
	for _, p := range parts {
		if p.At == "" {
			continue
		}
		err := filepath.WalkDir(p.At, func(path string, e fs.DirEntry, err error) error {
			below, _ := filepath.Rel(p.At, path)
			dir := filepath.Dir(path)
			switch {
			case err != nil:
				return err
			case e.IsDir() && (below != "." && strings.Count(below, "/") >= deepest || e.Name() == "lost+found"):
				return fs.SkipDir
			case e.Type().IsRegular() && is(e.Name()) && !seen[dir]:
				seen[dir] = true
				found = append(found, dir)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return found, nil
}

// findLogs returns the folder of the binary log, if that is outside of the data directory; empty: it is inside, or there is none. A folder that has the
// log that the set's tags name goes before others. Else one outside counts if it was written later, as logs of earlier days may have been left inside.
func findLogs(r *restoreFlags, parts []bring.Part, data, named string) (string, error) {
	if r.logs != "" {
		found, err := onVolumes(r, parts, r.logs, "the binary log")
		if found == data {
			found = ""
		}
		return found, err
	}
	inside, hasNamed, written, err := lastLog(data, r.index, named)
	if err != nil || inside && hasNamed {
		return "", err
	}
	candidates, err := lookFor(parts, func(name string) bool {
		return strings.HasSuffix(name, ".index") && !strings.Contains(name, "relay") && (r.index == "" || r.index == name)
	})
	if err != nil {
		return "", fmt.Errorf("look for the binary log: %w", err)
	}
	var found, better []string
	for _, at := range candidates {
		has, hasNamed, when, err := lastLog(at, r.index, named)
		switch {
		case err != nil || !has || at == data: // such as a list of something else, that is too large
		case hasNamed:
			better = append(better, at)
		case !inside || when.After(written):
			found = append(found, at)
		}
	}
	if len(better) > 0 {
		found = better
	}
	if len(found) > 1 {
		return "", usage.Hinted{Err: fmt.Errorf("there are several folders with a binary log: %s", quote.Display(strings.Join(found, ", "))), Hint: "name the server's with --binlog-dir, by the path that it had at the source; then the same command goes on"}
	}
	if len(found) == 0 {
		return "", nil
	}
	return found[0], nil
}

// lastLog reports whether a folder has a binary log, whether that has a log of a name, and when it was written.
func lastLog(dir, index, named string) (has, hasNamed bool, written time.Time, err error) {
	if _, err := os.Lstat(filepath.Join(dir, index)); index != "" && errors.Is(err, fs.ErrNotExist) {
		return false, false, written, nil
	}
	l, err := datadir.OpenLogs(dir)
	if err != nil {
		return false, false, written, err
	}
	defer l.Close()
	logs, written, err := l.Last(index)
	return len(logs) > 0, named != "" && slices.Contains(logs, named), written, err
}

// noteDatabase says what of a database people should see to.
func noteDatabase(a *app.App, d *revive.Revived) {
	const most = 20
	if d.Events > 0 {
		a.Note("disabled %d events, as on a replica", d.Events)
	}
	for i, table := range d.Unclosed {
		if i == most {
			a.Note("%d more tables of MyISAM were being written", len(d.Unclosed)-most)
			break
		}
		a.Note("the MyISAM table %s was being written, and is as the moment left it: CHECK TABLE says whether it needs REPAIR TABLE", quote.Display(table))
	}
}
