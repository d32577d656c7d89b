package backup

import (
	"fmt"
	"io"
	"os"

	"nightjar/repo/tree"
)

// maxItems is how many pieces of a file are remembered until it was read; of larger ones nobody can tell whether they only grew.
const maxItems = 1 << 20

func (w *worker) add(item tree.Item) error {
	if len(w.items) < maxItems {
		w.items = append(w.items, item)
	}
	return w.list.Add(item)
}

// isPrefix reports whether a file begins with what was read of it, size bytes: as a log does that was written to meanwhile. For that it is read again.
func (w *worker) isPrefix(f *os.File, size uint64) bool {
	namer, buf := w.p.namer(), []byte(nil)
	at := int64(0)
	for _, item := range w.items {
		if int64(cap(buf)) < item.Length && !item.Hole {
			buf = make([]byte, item.Length)
		}
		if !item.Hole {
			n, err := io.ReadFull(io.NewSectionReader(f, at, item.Length), buf[:item.Length])
			if err != nil || namer.ID(buf[:n]) != item.ID {
				return false
			}
		} else if !isZero(f, at, item.Length) {
			return false
		}
		at += item.Length
	}
	return uint64(at) == size
}

// isZero reports whether there are only zeros at a place of a file.
func isZero(f *os.File, at, length int64) bool {
	buf := make([]byte, 64<<10)
	for r := io.NewSectionReader(f, at, length); ; {
		n, err := r.Read(buf)
		for _, b := range buf[:n] {
			if b != 0 {
				return false
			}
		}
		if err != nil {
			return err == io.EOF
		}
	}
}

// note tells what is no problem.
func (o *Options) note(path, format string, args ...any) {
	if o.Note != nil {
		o.Note(path, fmt.Sprintf(format, args...))
	}
}
