package session

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
	indexFolder  = "index"
	blocksFolder = "metadata"
)

var cacheFolders = []string{indexFolder, blocksFolder}

const defaultCacheLimit = "1G"

// A Cache is what this machine keeps of one repository only to save time.
type Cache struct {
	Repository string    `json:"repository"`
	Bytes      uint64    `json:"bytes"`
	Used       time.Time `json:"used"` // last
	folder     string
}

var repositoryID = regexp.MustCompile(`^[0-9a-f]{32}$`)

// Caches returns the folder of all caches, and each of them; none if there is no folder.
func (set *Settings) Caches() (folder string, caches []Cache, err error) {
	if _, folder, err = set.folders(); err != nil {
		return "", nil, err
	}
	entries, err := os.ReadDir(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return folder, nil, nil
	}
	if err != nil {
		return folder, nil, fmt.Errorf("read cache: %w", err)
	}
	for _, e := range entries {
		c := Cache{Repository: e.Name(), folder: filepath.Join(folder, e.Name())}
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
			return folder, nil, fmt.Errorf("read cache: %w", err)
		}
		caches = append(caches, c)
	}
	slices.SortFunc(caches, func(a, b Cache) int { return b.Used.Compare(a.Used) })
	return folder, caches, nil
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

// Remove deletes the cache: what is known to be one, and nothing beside it.
func (c *Cache) Remove() error {
	for _, f := range cacheFolders {
		if err := os.RemoveAll(filepath.Join(c.folder, f)); err != nil {
			return fmt.Errorf("remove cache: %w", err)
		}
	}
	_ = os.Remove(c.folder) // stays if something else is in it
	return nil
}

// touchCache notes when a cache was used last. Whatever is wrong with it, those find who use it.
func (set *Settings) touchCache(folder string) {
	if os.MkdirAll(folder, 0o700) == nil {
		now := set.Now()
		_ = os.Chtimes(folder, now, now)
	}
}

// tagCache tells other backup programs to leave the cache out. What else is wrong with the folder, those find who use it.
func (set *Settings) tagCache(cache string) {
	if err := os.MkdirAll(cache, 0o700); err != nil {
		return
	}
	const text = "Signature: 8a477f597d28d172789f06886806bc55\n# This folder is a cache of nightjar's: deleting it costs time, never data.\n"
	path := filepath.Join(cache, "CACHEDIR.TAG")
	if _, err := os.Stat(path); err == nil {
		return
	}
	if err := durable.WriteFile(path, []byte(text), 0o600); err != nil {
		set.Warn(fmt.Errorf("tag cache: %w", err))
	}
}
