package restore

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"unicode/utf8"
)

// miss notes that a part cannot be had. With it, the file cannot, unless it is kept without.
func (f *placedFile) miss(err error) {
	if !f.r.o.Partial {
		f.fail(err)
		return
	}
	f.mu.Lock()
	if f.lost == nil {
		f.lost = err
	}
	f.mu.Unlock()
	f.done()
}

// keep gives a file of which a part is lost a name that says so.
func (f *placedFile) keep(file *os.File) error {
	if !f.some {
		return f.lost
	}
	if err := file.Truncate(int64(f.node.Size)); err != nil {
		return errors.Join(f.lost, err)
	}
	name := damagedName(f.node.Name, DamagedSuffix)
	for n := 1; ; n++ {
		err := f.dir.RenameNoReplace(f.name, name)
		if err == nil {
			f.made = false
			return fmt.Errorf("kept as %s, with zeros for what is lost: %w", name, f.lost)
		}
		if !errors.Is(err, fs.ErrExist) || n > 999 {
			return errors.Join(f.lost, err)
		}
		name = damagedName(f.node.Name, fmt.Sprintf("%s%d", DamagedSuffix, n))
	}
}

// maxName is how many bytes a name may have on most file systems.
const maxName = 255

// damagedName returns a name with a suffix, shortened by whole characters where both together would be too long.
func damagedName(name, suffix string) string {
	end := min(len(name), maxName-len(suffix))
	for end < len(name) && end > maxName/2 && !utf8.RuneStart(name[end]) {
		end--
	}
	return name[:end] + suffix
}
