package backup

import (
	"fmt"
	"io"
	"os"

	"nightjar/backup/scan"
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

// settle notes what was read of a file, whose size is that of before, and compares how the file is now. whole says that it was read to where it ends.
func (w *worker) settle(f *os.File, e *scan.Event, opened tree.Node, whole bool) error {
	read := opened
	read.Size = uint64(read.Contents.Size())
	*e.Node = read
	var after tree.Node
	if _, err := e.Dir.StatFile(f, &after); err != nil {
		return err
	}
	var wrong error
	switch {
	case after.Size > opened.Size && read.Size >= opened.Size && w.isPrefix(f, read.Size):
		e.Node.Flags |= tree.Unsettled
		w.p.stats.grown.Add(1)
		w.p.o.note(e.Path, "it grew while it was read: the archive has its first %d bytes", read.Size)
	case after.Ctime != opened.Ctime && after.Mtime == opened.Mtime && after.Size == opened.Size && read.Size == opened.Size && w.isPrefix(f, read.Size):
		e.Node.Flags |= tree.Unsettled // so that it is looked at again
		w.p.o.note(e.Path, "it was renamed, or its attributes changed, while it was read: its content did not")
	case after.Ctime != opened.Ctime || after.Mtime != opened.Mtime || after.Size != opened.Size:
		wrong = errChanged
	case opened.Size == 0: // but for empty ones, a size that the kernel does not know beforehand
	case read.Size != opened.Size, !whole && longer(f, opened.Size):
		wrong = errSize
	}
	if wrong != nil || read.Size != opened.Size {
		e.Node.Flags |= tree.Unsettled
	}
	if wrong != nil {
		w.p.stats.unsettled.Add(1)
		w.p.o.Problem(e.Path, wrong)
	}
	return nil
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
