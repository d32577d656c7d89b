package optionfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"nightjar/internal/bounded"
)

const (
	maxDepth   = 10    // of included files, as with the clients
	maxFiles   = 200   // in all
	maxOptions = 10000 // likewise
	maxEntries = 10000 // of a folder that is included
)

// Groups of option files that clients read: of both servers, and of MariaDB.
var clientGroups = []string{"client", "client-server", "client-mariadb"}

// ownGroup is for nightjar alone, and its options go before those of clientGroups wherever they stand.
const ownGroup = "nightjar"

// Files says which option files are read, and what of them. The zero value reads no file of a user.
type Files struct {
	Only string // this file alone, which must be there; empty: the usual ones that are
	None bool   // no file at all

	Home       string // of the user, for .my.cnf and ~/ in paths; empty: none
	ServerHome string // folder of another my.cnf (the variables MARIADB_HOME and MYSQL_HOME); empty: none
	System     string // stands for /etc in tests; empty: /etc

	Groups []string // the groups for nightjar alone; nil: [nightjar] beside those of all clients
	Suffix string   // groups whose names end so are read too
}

// usual returns the usual files in the order of the clients: later ones win.
func (f *Files) usual() []string {
	system := f.System
	if system == "" {
		system = "/etc"
	}
	paths := []string{filepath.Join(system, "my.cnf"), filepath.Join(system, "mysql/my.cnf")}
	if f.ServerHome != "" {
		paths = append(paths, filepath.Join(f.ServerHome, "my.cnf"))
	}
	if f.Home != "" {
		paths = append(paths, filepath.Join(f.Home, ".my.cnf"))
	}
	return paths
}

// A reading goes through option files.
type reading struct {
	home        string
	shared, own []string // names of groups
	files       int

	options, ownOptions []Option
	warnings            []error
}

// Read returns the options of all files, first those of groups that all clients read, and warnings of what was ignored.
func (f *Files) Read() (options []Option, warnings []error, err error) {
	r := &reading{home: f.Home, shared: clientGroups, own: []string{ownGroup}}
	if f.Groups != nil {
		r.shared, r.own = nil, f.Groups
	}
	if f.Suffix != "" {
		r.shared, r.own = suffixed(r.shared, f.Suffix), suffixed(r.own, f.Suffix)
	}
	switch {
	case f.None:
	case f.Only != "":
		err = r.file(r.expand(f.Only), 0, true)
	default:
		for _, path := range f.usual() {
			if err = r.file(path, 0, false); err != nil {
				break
			}
		}
	}
	return slices.Concat(r.options, r.ownOptions), r.warnings, err
}

func suffixed(groups []string, suffix string) []string {
	both := slices.Clone(groups)
	for _, g := range groups {
		both = append(both, g+suffix)
	}
	return both
}

func (r *reading) warn(format string, args ...any) {
	r.warnings = append(r.warnings, fmt.Errorf(format, args...))
}

// expand resolves a leading ~/, as the clients do.
func (r *reading) expand(path string) string {
	if rest, ok := strings.CutPrefix(path, "~/"); ok && r.home != "" {
		return filepath.Join(r.home, rest)
	}
	return path
}

// file reads one file. Unless it must be there, it is passed over when it is not, with a warning when it cannot be read.
func (r *reading) file(path string, depth int, must bool) error {
	if r.files++; r.files > maxFiles {
		return fmt.Errorf("read option file %s: more than %d files", path, maxFiles)
	}
	content, err := load(path, must)
	switch {
	case err == nil:
	case must:
		return fmt.Errorf("read option file: %w", err)
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ENOTDIR):
		return nil
	default:
		r.warn("option file is ignored: %w", err)
		return nil
	}
	group := ""
	err = parse(content, func(l line) error {
		switch {
		case l.directive != "":
			return r.include(l, path, depth)
		case l.group != nil:
			group = *l.group
			return nil
		}
		return r.add(group, Option{Name: l.name, Value: l.value, From: fmt.Sprintf("%s, line %d", path, l.number)})
	})
	if err != nil {
		return fmt.Errorf("read option file %s: %w", path, err)
	}
	return nil
}

func (r *reading) add(group string, o Option) error {
	in := func(groups []string) bool {
		return slices.ContainsFunc(groups, func(g string) bool { return strings.EqualFold(g, group) })
	}
	switch {
	case in(r.own):
		o.Own = true
		r.ownOptions = append(r.ownOptions, o)
	case in(r.shared):
		r.options = append(r.options, o)
	}
	if len(r.options)+len(r.ownOptions) > maxOptions {
		return fmt.Errorf("more than %d options", maxOptions)
	}
	return nil
}

// include follows a directive. As with the clients, a folder must be there, and an error in a file only ends that file.
func (r *reading) include(l line, from string, depth int) error {
	if depth >= maxDepth {
		r.warn("!%s is ignored, %d files deep: %s, line %d", l.directive, depth, from, l.number)
		return nil
	}
	path := r.expand(l.path)
	paths := []string{path}
	if l.directive == "includedir" {
		var err error
		if paths, err = configs(path); err != nil {
			return err
		}
	}
	for _, p := range paths {
		if err := r.file(p, depth+1, false); err != nil {
			if r.files > maxFiles || len(r.options)+len(r.ownOptions) > maxOptions {
				return err
			}
			r.warn("the rest of a file is ignored: %w", err)
		}
	}
	return nil
}

// configs returns the paths of the files *.cnf in a folder, sorted.
func configs(dir string) (paths []string, err error) {
	names, err := bounded.Names(dir, maxEntries)
	for _, name := range names {
		if filepath.Ext(name) == ".cnf" {
			paths = append(paths, filepath.Join(dir, name))
		}
	}
	return paths, err
}

// load returns what is in an option file. Files that everybody may write are refused; a pipe is read if it may be one.
func load(path string, pipe bool) ([]byte, error) {
	info, err := os.Stat(path) // before it is opened: that would wait for the other end of a pipe
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() && (!pipe || info.Mode().Type() != fs.ModeNamedPipe) {
		return nil, fmt.Errorf("%s: not a regular file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err = f.Stat(); err != nil {
		return nil, err
	}
	if info.Mode().IsRegular() && info.Mode().Perm()&0o002 != 0 {
		return nil, fmt.Errorf("%s: everybody may write it", path)
	}
	return bounded.Read(f, maxFile)
}
