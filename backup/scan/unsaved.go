package scan

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"nightjar/internal/where"
)

// An Unsaved is a path of which nothing is saved, or only a link.
type Unsaved struct {
	Path, Why string
	Link      bool // that is saved
}

// FindUnsaved returns those of the absolute paths from which a walk would save nothing, though they can be read; and how many cannot, of which the walk tells.
func FindUnsaved(paths []string, o *Options) (all []Unsaved, missing int) {
	s := &scanner{o: o, avoid: identify(o.Avoid)}
	ends, called := map[string]bool{}, map[string][]string{} // where they lead, and by which other names
	for _, p := range paths {
		if to, err := where.Resolve(p); err == nil {
			ends[to.Path] = true
			if name := filepath.Clean(p); name != to.Path {
				called[to.Path] = append(called[to.Path], name)
			} else {
				called[to.Path] = append(called[to.Path], "")
			}
		}
	}
	for _, p := range paths {
		to, err := where.Resolve(p)
		info, failed := os.Stat(p)
		switch {
		case err != nil && failed == nil:
			all = append(all, Unsaved{Path: p, Why: "it is a pipe, or a file without a name: --stdin saves what can be read from it"})
		case err != nil:
			if link, failed := os.Lstat(p); failed == nil && link.Mode()&fs.ModeSymlink != 0 && errors.Is(err, fs.ErrNotExist) {
				all = append(all, Unsaved{Path: p, Why: "it is a link that leads nowhere", Link: true})
			} else {
				missing++
			}
		case failed != nil:
			missing++
		default:
			if why := s.why(to, info, ends, called[to.Path]); why != "" {
				all = append(all, Unsaved{Path: p, Why: why})
			}
		}
	}
	return all, missing
}

// why says why nothing is saved of where a path leads; "" if something is.
func (s *scanner) why(to where.Place, info fs.FileInfo, ends map[string]bool, called []string) string {
	if len(to.Links) > 0 && !info.IsDir() && !info.Mode().IsRegular() {
		return "it leads to a device, a FIFO or a socket: --stdin saves what can be read from it"
	}
	within := false
	for at := range ancestors(to.Path) {
		var st syscall.Stat_t
		if syscall.Stat(at, &st) == nil && s.avoid[fileID{uint64(st.Dev), st.Ino}] {
			return "it is the repository, a copy of it or the cache, or lies in there, which is never saved"
		}
		if at == to.Path {
			break
		}
		if within = within || ends[at]; within && s.o.Filter.Excludes(at, true, 0) {
			return "what is excluded is " + at + ", in which it lies"
		}
	}
	names := called
	for _, name := range called {
		if name == "" {
			names = nil
		}
	}
	size := uint64(0)
	if info.Mode().IsRegular() {
		size = uint64(info.Size())
	}
	if s.excludes(to.Path, names, info.IsDir(), size) {
		return "it is excluded itself"
	}
	return ""
}

// ancestors iterates over the folders that lead to a path, from / on, and the path.
func ancestors(path string) func(func(string) bool) {
	return func(yield func(string) bool) {
		if !yield("/") || path == "/" {
			return
		}
		for i := 1; i < len(path); i++ {
			if path[i] == '/' && !yield(path[:i]) {
				return
			}
		}
		yield(strings.TrimSuffix(path, "/"))
	}
}

// identify finds the folders that are never saved, under whatever name they are met.
func identify(paths []string) map[fileID]bool {
	ids := map[fileID]bool{}
	for _, p := range paths {
		info, err := os.Stat(p)
		if err != nil {
			continue
		}
		if st, ok := info.Sys().(*syscall.Stat_t); ok {
			ids[fileID{uint64(st.Dev), st.Ino}] = true
		}
	}
	return ids
}
