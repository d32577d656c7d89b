package clone

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"nightjar/mysqldump"
)

// save puts the files of a clone into a tree.
func save(ctx context.Context, dir string, tree mysqldump.Tree, threads int) (s Sums, err error) {
	root, err := os.OpenRoot(dir) // what the server's user puts there leads nowhere else
	if err != nil {
		return s, err
	}
	defer root.Close()
	var names []string
	err = walk(root, func(name string, e fs.DirEntry) error {
		if !e.IsDir() {
			names = append(names, name)
		}
		return nil
	})
	if err != nil {
		return s, err
	}
	var sum, redo atomic.Uint64
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(threads)
	for _, name := range names {
		group.Go(func() error {
			n, err := saveFile(ctx, root, name, tree)
			sum.Add(uint64(n))
			if isRedo(name) {
				redo.Add(uint64(n))
			}
			if err != nil {
				return fmt.Errorf("save %q of the clone: %w", name, err)
			}
			return nil
		})
	}
	err = group.Wait()
	return Sums{Files: len(names), Bytes: sum.Load(), Redo: redo.Load()}, err
}

// isRedo reports whether a file is one of InnoDB's log: of MySQL from 8.0.30 on in a folder of its own.
func isRedo(name string) bool {
	return strings.HasPrefix(name, "#innodb_redo/") || strings.HasPrefix(name, "ib_logfile")
}

// walk calls f with all files and folders, by their paths with slashes.
func walk(root *os.Root, f func(name string, e fs.DirEntry) error) error {
	return fs.WalkDir(root.FS(), ".", func(name string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case name == ".":
			return nil
		case !e.IsDir() && !e.Type().IsRegular():
			return fmt.Errorf("%q of the clone is neither file nor folder", name)
		}
		return f(name, e)
	})
}

const piece = 1 << 20 // bytes that are read at once

func saveFile(ctx context.Context, root *os.Root, name string, tree mysqldump.Tree) (n int64, err error) {
	in, err := root.Open(name)
	if err != nil {
		return 0, err
	}
	defer in.Close()
	buf := make([]byte, piece)
	first, err := io.ReadFull(in, buf)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return 0, err
	}
	out, err := tree.Create(name, pageSize(buf[:first]))
	if err != nil {
		return 0, err
	}
	defer out.Abort()
	for k := first; k > 0; {
		if _, err := out.Write(buf[:k]); err != nil {
			return n, err
		}
		n += int64(k)
		if err := context.Cause(ctx); err != nil {
			return n, err
		}
		if k, err = in.Read(buf); err != nil && !errors.Is(err, io.EOF) {
			return n, err
		}
	}
	return n, out.Close()
}

// pageSize returns how many bytes a page of a file of InnoDB's has, as its first page says; 0 if it is none. See the source of
// MySQL, storage/innobase/include/fsp0types.h: the space's id is at 34 and again at 38, its flags are at 54. In these, bits 1 to
// 4 are the size of compressed pages and bits 6 to 9 that of pages, each as a power of two from 512; 0 is none, and 16 KiB.
func pageSize(first []byte) int {
	const smallest = 1024
	if len(first) < smallest || binary.BigEndian.Uint32(first[4:]) != 0 || binary.BigEndian.Uint32(first[34:]) != binary.BigEndian.Uint32(first[38:]) {
		return 0
	}
	if kind := binary.BigEndian.Uint16(first[24:]); kind != 8 { // FIL_PAGE_TYPE_FSP_HDR
		return 0
	}
	flags := binary.BigEndian.Uint32(first[54:])
	size := 16 << 10
	if logical := flags >> 6 & 15; logical != 0 {
		size = 512 << logical
	}
	if compressed := flags >> 1 & 15; compressed != 0 {
		size = 512 << compressed
	}
	if size < smallest || size > 64<<10 {
		return 0
	}
	return size
}
