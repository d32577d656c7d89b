// Package cache looks after the folder of what this machine keeps of repositories only to save time: one folder for each, named by the repository's id.
//
// The invariant: nothing is deleted that it does not know to be a cache, and whatever is wrong here stops no command.
package cache

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"time"

	"nightjar/internal/durable"
)

// What a repository's cache has in it.
const (
	indexFolder   = "index"
	blocksFolder  = "metadata"
	recordsFolder = "records"
	ebsFolder     = "ebs"
)

var cacheFolders = []string{indexFolder, blocksFolder, recordsFolder, ebsFolder}

// Folders are those of one repository.
type Folders struct {
	Indexes, Blocks string // the local index; blocks of metadata
	Records         string // what archives and records of maintenance say
	EBS             string // journals of archives of EBS snapshots that are not done
}

// An Entry is what is kept of one repository.
type Entry struct {
	Repository string    `json:"repository"`
	Bytes      uint64    `json:"bytes"`
	Used       time.Time `json:"used"` // last
	folder     string
}

var repositoryID = regexp.MustCompile(`^[0-9a-f]{32}$`)

// List returns what is in the folder of all caches, the one last used first; nothing if there is no folder.
func List(folder string) (caches []Entry, err error) {
	entries, err := os.ReadDir(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read cache: %w", err)
	}
	for _, e := range entries {
		c := Entry{Repository: e.Name(), folder: filepath.Join(folder, e.Name())}
		if !e.IsDir() || !repositoryID.MatchString(e.Name()) {
			continue
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			c.Used = info.ModTime()
			for i := 0; i < len(cacheFolders) && err == nil; i++ {
				var n uint64
				n, err = folderBytes(filepath.Join(c.folder, cacheFolders[i]))
				c.Bytes += n
			}
		}
		if err != nil {
			return nil, fmt.Errorf("read cache: %w", err)
		}
		caches = append(caches, c)
	}
	slices.SortFunc(caches, func(a, b Entry) int { return b.Used.Compare(a.Used) })
	return caches, nil
}

// folderBytes adds up files; one that goes meanwhile counts nothing.
func folderBytes(folder string) (sum uint64, err error) {
	err = filepath.WalkDir(folder, func(_ string, e fs.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			var info fs.FileInfo
			if info, err = e.Info(); err == nil {
				sum += uint64(info.Size())
			}
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	})
	return sum, err
}

// Remove deletes what is known to be a cache, and nothing beside it.
func (c *Entry) Remove() error {
	for _, f := range cacheFolders {
		if err := os.RemoveAll(filepath.Join(c.folder, f)); err != nil {
			return fmt.Errorf("remove cache: %w", err)
		}
	}
	_ = os.Remove(c.folder) // stays if something else is in it
	return nil
}

// Use returns a repository's folders below the folder of all caches, and notes when they are used.
// An error is for a warning: what else is wrong with the folders, those find who use them.
func Use(folder, repository string, now time.Time) (Folders, error) {
	err := tag(folder)
	own := filepath.Join(folder, repository)
	if os.MkdirAll(own, 0o700) == nil {
		_ = os.Chtimes(own, now, now)
	}
	return Folders{Indexes: filepath.Join(own, indexFolder), Blocks: filepath.Join(own, blocksFolder), Records: filepath.Join(own, recordsFolder), EBS: filepath.Join(own, ebsFolder)}, err
}

// tag tells other backup programs to leave the caches out.
func tag(folder string) error {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil
	}
	const text = "Signature: 8a477f597d28d172789f06886806bc55\n# This folder is a cache of nightjar's: deleting it costs time, never data.\n"
	path := filepath.Join(folder, "CACHEDIR.TAG")
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	if err := durable.WriteFile(path, []byte(text), 0o600); err != nil {
		return fmt.Errorf("tag cache: %w", err)
	}
	return nil
}
