package restore

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
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
	name := f.node.Name + DamagedSuffix
	for n := 1; ; n++ {
		err := f.dir.RenameNoReplace(f.name, name)
		if err == nil {
			f.made = false
			return fmt.Errorf("kept as %s, with zeros for what is lost: %w", name, f.lost)
		}
		if !errors.Is(err, fs.ErrExist) || n > 9 {
			return errors.Join(f.lost, err)
		}
		name = fmt.Sprintf("%s%s%d", f.node.Name, DamagedSuffix, n)
	}
}
