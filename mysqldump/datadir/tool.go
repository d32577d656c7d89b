package datadir

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"regexp"
	"strconv"
	"strings"

	"nightjar/internal/child"
	"nightjar/internal/tempdir"
	"nightjar/mysqldump/program"
)

// ErrVersion says that a tool may not understand a backup.
var ErrVersion = errors.New("the tool is not of the backup's version")

// A Tool is a program that prepares hot backups: mariadb-backup, or xtrabackup.
type Tool struct {
	Program string // a path, or a name in the search path
	Version string // as it says itself: 10.11.19
}

// FindTool asks a program for its version.
func FindTool(ctx context.Context, file string, temp tempdir.Dir) (Tool, error) {
	printed, said, err := program.Say(ctx, file, temp.Environ(nil))
	if err != nil {
		return Tool{}, fmt.Errorf("ask the backup tool for its version: %w: %.500s", err, strings.TrimSpace(said))
	}
	version := versionIn(printed + said)
	if version == "" {
		return Tool{}, fmt.Errorf("ask the backup tool for its version: %s says none: %.200q", file, printed+said)
	}
	return Tool{Program: file, Version: version}, nil
}

var versions = regexp.MustCompile(`\b(\d{1,4})\.(\d{1,4})\.(\d{1,4})\b`)

// versionIn returns the first version in a text.
func versionIn(text string) string { return versions.FindString(text) }

// Fits returns an error that wraps ErrVersion unless the tool can prepare a backup of a recorded version. The same one can; so can a later
// one of the same series, such as 10.11, within which MariaDB changes neither the format of the log nor of the files. newer says that
// it is such a one. Between series a log has to be applied by its own server's tool.
func (t Tool) Fits(recorded string) (newer bool, err error) {
	version := versionIn(recorded)
	if version == "" {
		return false, fmt.Errorf("%w: the archive does not say which that is: %.100q", ErrVersion, recorded)
	}
	var a, b [3]int
	for i, text := range strings.Split(version, ".") {
		a[i], _ = strconv.Atoi(text) // of at most four digits
	}
	for i, text := range strings.Split(t.Version, ".") {
		b[i], _ = strconv.Atoi(text)
	}
	if a[0] != b[0] || a[1] != b[1] || b[2] < a[2] {
		return false, fmt.Errorf("%w: the backup was taken by %s, and %s is %s", ErrVersion, version, t.Program, t.Version)
	}
	return b[2] > a[2], nil
}

// PrepareOptions say how a tool prepares.
type PrepareOptions struct {
	Tool   Tool
	Temp   tempdir.Dir
	Memory uint64 // bytes that it may use; 0: Memory(), or what its files can fill, if that is less
}

// Prepare has the tool apply the log to the files.
func (d *Dir) Prepare(ctx context.Context, o PrepareOptions) error {
	if err := d.enter(Preparing); err != nil {
		return err
	}
	if err := prepare(ctx, d.root, d.path, o); err != nil {
		return fmt.Errorf("prepare data directory %q: %w", d.path, err)
	}
	return d.enter(Prepared)
}

// PrepareScratch is Prepare for a folder that is claimed by nobody, such as one for a few tables.
func PrepareScratch(ctx context.Context, path string, o PrepareOptions) error {
	root, err := os.OpenRoot(path)
	if err != nil {
		return fmt.Errorf("prepare scratch data directory: %w", err)
	}
	defer root.Close()
	if err := prepare(ctx, root, path, o); err != nil {
		return fmt.Errorf("prepare scratch data directory: %w", err)
	}
	return nil
}

func prepare(ctx context.Context, root *os.Root, path string, o PrepareOptions) error {
	set, err := settings(root)
	if err != nil {
		return err
	}
	options, err := optionFile(o.Temp, "mariadb-backup", set)
	if err != nil {
		return err
	}
	defer options.Close()
	if o.Memory == 0 {
		files, err := bytesIn(root)
		if err != nil {
			return err
		}
		o.Memory = enough(Memory(), files)
	}
	said := &tail{}
	_, err = child.Output(ctx, child.Command{
		Args: []string{o.Tool.Program, "--defaults-file=/proc/self/fd/3", "--prepare", "--target-dir=" + path, "--use-memory=" + strconv.FormatUint(o.Memory, 10), "--tmpdir=" + o.Temp.Path()},
		Env:  o.Temp.Environ(nil), Stderr: said, Files: []*os.File{options},
	}, maxSaid)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return fmt.Errorf("%w: %s", err, said.errors())
	case !strings.HasSuffix(said.last(), "completed OK!"):
		return fmt.Errorf("%s ended without saying that it is complete: %s", o.Tool.Program, said.errors())
	}
	return nil
}

// maxSaid is how many bytes of what a tool says are kept.
const maxSaid = 64 << 10

// leastMemory is the tool's own default.
const leastMemory = 100 << 20

// enough is how much of some memory a tool has a use for: all pages of its files, and as much again for what it keeps of the log. To set up more costs time for
// each gigabyte.
func enough(memory, files uint64) uint64 { return min(memory, max(2*files, leastMemory)) }

// bytesIn counts the bytes of the files in a folder.
func bytesIn(root *os.Root) (n uint64, err error) {
	err = fs.WalkDir(root.FS(), ".", func(_ string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		info, err := e.Info()
		if err == nil {
			n += uint64(info.Size())
		}
		return err
	})
	return n, err
}

// Memory is how many bytes a tool may use on this machine: half of what is free, from 100 MiB to 16 GiB.
func Memory() uint64 {
	free := uint64(0)
	text, _ := os.ReadFile("/proc/meminfo")
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "MemAvailable:"); ok {
			n, _ := strconv.ParseUint(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 40)
			free = n << 10
		}
	}
	if left, ok := groupMemory(); ok {
		free = min(free, left)
	}
	return min(max(free/2, leastMemory), 16<<30)
}

// groupMemory is what is left of the memory of this process's control group; ok is false where it has no bound.
func groupMemory() (left uint64, ok bool) {
	text, _ := os.ReadFile("/proc/self/cgroup")
	group, found := strings.CutPrefix(strings.TrimSpace(string(text)), "0::")
	if !found {
		return 0, false
	}
	read := func(name string) (uint64, error) {
		text, err := os.ReadFile(path.Join("/sys/fs/cgroup", path.Clean("/"+group), name))
		if err != nil {
			return 0, err
		}
		return strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64)
	}
	most, err := read("memory.max") // "max": none
	used, failed := read("memory.current")
	if err != nil || failed != nil || used > most {
		return 0, false
	}
	return most - used, true
}
