package main

import (
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
)

// manifest is what a restore has to bring back of each file and folder, by path below the root. The
// root itself is not in it: some tools restore into a folder that was there.
type manifest map[string]entry

type entry struct {
	mode    fs.FileMode
	size    int64 // files only
	modTime int64 // nanoseconds since 1970
	sum     [sha256.Size]byte
}

func readManifest(root string) (manifest, error) {
	m := manifest{}
	var files []string
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil || name == root {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		e := entry{mode: info.Mode(), modTime: info.ModTime().UnixNano()}
		if info.Mode().IsRegular() {
			e.size = info.Size()
			files = append(files, rel)
		}
		m[rel] = e
		return nil
	})
	if err != nil {
		return nil, err
	}
	sums := make([][sha256.Size]byte, len(files))
	var hashers errgroup.Group
	workers := runtime.GOMAXPROCS(0)
	for part := range workers {
		hashers.Go(func() error {
			buf := make([]byte, 256<<10)
			for i := part; i < len(files); i += workers {
				var err error
				if sums[i], err = hashFile(filepath.Join(root, files[i]), buf); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := hashers.Wait(); err != nil {
		return nil, err
	}
	for i, name := range files {
		e := m[name]
		e.sum = sums[i]
		m[name] = e
	}
	return m, nil
}

func hashFile(name string, buf []byte) (sum [sha256.Size]byte, err error) {
	f, err := os.Open(name)
	if err != nil {
		return sum, err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.CopyBuffer(h, struct{ io.Reader }{f}, buf); err != nil { // the struct hides WriteTo, which would not use buf
		return sum, err
	}
	h.Sum(sum[:0])
	return sum, nil
}

// inSeconds is m without fractions of seconds.
func (m manifest) inSeconds() manifest {
	rounded := make(manifest, len(m))
	for name, e := range m {
		e.modTime -= e.modTime % int64(time.Second)
		rounded[name] = e
	}
	return rounded
}

// compare names, in order, every path where got is not what m has, and in what.
func (m manifest) compare(got manifest) []string {
	var differences []string
	for name, want := range m {
		have, ok := got[name]
		var what string
		switch {
		case !ok:
			what = "is missing"
		case have.mode != want.mode:
			what = fmt.Sprintf("has mode %v, want %v", have.mode, want.mode)
		case have.size != want.size:
			what = fmt.Sprintf("has %d bytes, want %d", have.size, want.size)
		case have.sum != want.sum:
			what = "has other content"
		case have.modTime != want.modTime:
			what = fmt.Sprintf("has time %d, want %d", have.modTime, want.modTime)
		default:
			continue
		}
		differences = append(differences, name+" "+what)
	}
	for name := range got {
		if _, ok := m[name]; !ok {
			differences = append(differences, name+" was not there")
		}
	}
	slices.Sort(differences)
	return differences
}
