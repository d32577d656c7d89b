package host

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
)

// Limits of the table of mounts. The kernel allows 100,000 mounts unless told otherwise, and paths of 4 KiB, each byte of which may take 4.
const (
	maxMounts = 1 << 18
	maxLine   = 1 << 17
)

// A Mount is a line of the table of mounts, as proc_pid_mountinfo(5) has it, without escapes.
type Mount struct {
	ID, Parent int
	Number     Number // of the file system: the block device that it is on, or of major 0 where it has none, or several
	Root       string // what of the file system is mounted; / is all of it
	Path       string // where; that something else may be mounted over it
	Options    string // of this mount, such as "rw,noatime"
	FS         string // such as "xfs"
	Source     string // as it was named to mount, such as /dev/nvme1n1; hostile as all else
	FSOptions  string // of the file system
}

// ReadOnly reports whether nothing is written through this mount, or to the file system at all.
func (m Mount) ReadOnly() bool {
	return slices.Contains(strings.Split(m.Options, ","), "ro") || slices.Contains(strings.Split(m.FSOptions, ","), "ro")
}

// Mounts returns what is mounted in this process's mount namespace, in the kernel's order: what is mounted later is never before what it is mounted on.
func (m Machine) Mounts() ([]Mount, error) {
	f, err := os.Open(m.path("proc/self/mountinfo"))
	if err != nil {
		return nil, fmt.Errorf("read the table of mounts: %w", err)
	}
	defer f.Close()
	return readMounts(f)
}

func readMounts(r io.Reader) ([]Mount, error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	var mounts []Mount
	for lines.Scan() {
		mount, err := parseMount(lines.Text())
		if err != nil {
			return nil, fmt.Errorf("read the table of mounts: line %d: %w", len(mounts)+1, err)
		}
		if len(mounts) == maxMounts {
			return nil, fmt.Errorf("read the table of mounts: it has more than %d", maxMounts)
		}
		mounts = append(mounts, mount)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read the table of mounts: line %d: %w", len(mounts)+1, err)
	}
	return mounts, nil
}

func parseMount(line string) (m Mount, err error) {
	// 36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue
	fields := strings.Split(line, " ")
	dash := slices.Index(fields, "-") // what is before has no name of a file alone
	if dash < 6 || len(fields) < dash+4 {
		return m, fmt.Errorf("%.200q has too few fields", line)
	}
	if m.ID, err = strconv.Atoi(fields[0]); err == nil {
		m.Parent, err = strconv.Atoi(fields[1])
	}
	if err != nil {
		return m, fmt.Errorf("%.200q has no number", line)
	}
	if m.Number, err = ParseNumber(fields[2]); err != nil {
		return m, err
	}
	for i, to := range map[int]*string{3: &m.Root, 4: &m.Path, 5: &m.Options, dash + 1: &m.FS, dash + 2: &m.Source, dash + 3: &m.FSOptions} {
		if *to, err = unescape(fields[i]); err != nil {
			return m, fmt.Errorf("%.200q: %w", line, err)
		}
	}
	if !strings.HasPrefix(m.Path, "/") { // Root may be another thing: "mnt:[…]" of nsfs
		return m, fmt.Errorf("%.200q is mounted at no absolute path", line)
	}
	return m, nil
}

// unescape undoes the kernel's octal escapes.
func unescape(field string) (string, error) {
	if !strings.Contains(field, `\`) {
		return field, nil
	}
	var out strings.Builder
	for i := 0; i < len(field); i++ {
		c := field[i]
		if c == '\\' {
			if i+4 > len(field) {
				return "", errors.New("an escape is cut off")
			}
			n, err := strconv.ParseUint(field[i+1:i+4], 8, 8)
			if err != nil || n == 0 {
				return "", fmt.Errorf("%q is no escape", field[i:i+4])
			}
			c = byte(n)
			i += 3
		}
		out.WriteByte(c)
	}
	return out.String(), nil
}
