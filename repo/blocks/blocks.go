// Package blocks reads ranges of immutable objects by the block, and keeps blocks in memory and, under a limit, in a folder.
//
// Trees and signatures are read in small pieces that lie beside one another, night after night the same ones: a request for
// each would be slow on a distant store, and a request a night for each block is one too many.
//
// The invariant: what comes out is what the store or the folder holds, and the folder may hold anything. So the caller
// checks what it reads, as it checks what comes from a store, and calls Forget when that fails: then the store is asked.
// Whatever is wrong with the folder costs time only.
//
// The package knows neither what objects mean nor how to check them.
package blocks

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"nightjar/internal/lru"
)

// Size is the length of a block in bytes; the last one of an object is shorter.
const Size = 1 << 20

const (
	inMemory = 8 << 20
	fresh    = time.Hour // a file that was used is marked so again after that time
)

// An Object is what blocks are of.
type Object struct {
	Sum  [32]byte // which names it
	Name string   // in the store
	Size int64
}

// A Store is where objects are when they are not here.
type Store interface {
	// GetInto fills p from an object's bytes at offset, or fails.
	GetInto(ctx context.Context, name string, offset int64, p []byte) error
}

// Options say where blocks are kept.
type Options struct {
	Dir   string           // a folder, made when it is missing; "": memory only
	Limit int64            // bytes of blocks in the folder; 0: memory only
	Warn  func(error)      // told once if the folder cannot be used; nil: nobody
	Now   func() time.Time // beside which the times of files in the folder are old or not; nil: time.Now
}

// A Cache keeps blocks. It is safe for concurrent use, and folders are for several processes at once.
type Cache struct {
	store  Store
	o      Options
	memory *lru.Cache[key, []byte]
	size   atomic.Int64 // of all files, as far as this process knows
	broken atomic.Bool  // the folder takes nothing more
	warned sync.Once
	evict  sync.Mutex
}

type key struct {
	sum [32]byte
	n   int64
}

// New returns a Cache before a store.
func New(s Store, o Options) *Cache {
	c := &Cache{store: s, o: o, memory: lru.New[key, []byte](inMemory)}
	if o.Limit <= 0 {
		c.o.Dir = ""
	}
	if c.o.Now == nil {
		c.o.Now = time.Now
	}
	if c.o.Dir == "" {
		return c
	}
	if err := os.MkdirAll(c.o.Dir, 0o700); err != nil {
		c.fail(err)
		return c
	}
	c.shrink()
	return c
}

// fail ends writing to the folder for the lifetime of the Cache.
func (c *Cache) fail(err error) {
	c.broken.Store(true)
	c.warned.Do(func() {
		if c.o.Warn != nil {
			c.o.Warn(fmt.Errorf("keep metadata in the cache, going on without: %w", err))
		}
	})
}

// Read appends length bytes of an object, from start on, to dst. Errors are the store's.
func (c *Cache) Read(ctx context.Context, x Object, start, length int64, dst []byte) ([]byte, error) {
	if start < 0 || length < 0 || length > x.Size-start {
		return dst, fmt.Errorf("read %s: it has no %d bytes at %d", x.Name, length, start)
	}
	from := len(dst)
	for at, end := start, start+length; at < end; {
		n := at / Size
		data, err := c.block(ctx, x, n)
		if err != nil {
			// What is wanted may be readable where its neighbours are not.
			dst = slices.Grow(dst[:from], int(length))[:from+int(length)]
			return dst, c.store.GetInto(ctx, x.Name, start, dst[from:])
		}
		part := data[at-n*Size:]
		part = part[:min(int64(len(part)), end-at)]
		dst = append(dst, part...)
		at += int64(len(part))
	}
	return dst, nil
}

func (x Object) blockLen(n int64) int64 { return min(Size, x.Size-n*Size) }

func (c *Cache) block(ctx context.Context, x Object, n int64) ([]byte, error) {
	k := key{x.Sum, n}
	if data, ok := c.memory.Get(k); ok && int64(len(data)) == x.blockLen(n) { // else somebody says another size of it
		return data, nil
	}
	data, ok := c.load(k, x.blockLen(n))
	if !ok {
		data = make([]byte, x.blockLen(n))
		if err := c.store.GetInto(ctx, x.Name, n*Size, data); err != nil {
			return nil, err
		}
		c.save(k, data)
	}
	c.memory.Put(k, data, len(data))
	return data, nil
}

// Keep notes the content of an object that was just stored.
func (c *Cache) Keep(x Object, content []byte) {
	for n := int64(0); n*Size < int64(len(content)); n++ {
		c.save(key{x.Sum, n}, content[n*Size:][:x.blockLen(n)])
	}
}

// Forget drops the blocks that a range lies in: they are not what they should be.
func (c *Cache) Forget(x Object, start, length int64) {
	for n := start / Size; n*Size < start+length; n++ {
		k := key{x.Sum, n}
		c.memory.Remove(k)
		if c.o.Dir != "" {
			_ = os.Remove(c.path(k)) // mostly it is not there
		}
	}
}

func (c *Cache) path(k key) string {
	return filepath.Join(c.o.Dir, hex.EncodeToString(k.sum[:])+"-"+strconv.FormatInt(k.n, 10))
}

// load reads a block's file. One of another length was torn.
func (c *Cache) load(k key, length int64) ([]byte, bool) {
	if c.o.Dir == "" {
		return nil, false
	}
	f, err := os.OpenFile(c.path(k), os.O_RDONLY, 0)
	if err != nil {
		return nil, false
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() || info.Size() != length {
		return nil, false
	}
	data := make([]byte, length)
	if _, err := f.ReadAt(data, 0); err != nil {
		return nil, false
	}
	if now := c.o.Now(); now.Sub(info.ModTime()) > fresh {
		_ = os.Chtimes(f.Name(), now, now) // else it goes earlier than it should
	}
	return data, true
}

// save writes a block's file in place: who reads it meanwhile sees another length, or fails to verify what it holds.
func (c *Cache) save(k key, data []byte) {
	if c.o.Dir == "" || c.broken.Load() || int64(len(data)) > c.o.Limit {
		return
	}
	if c.size.Add(int64(len(data))) > c.o.Limit {
		c.shrink()
		c.size.Add(int64(len(data)))
	}
	if err := os.WriteFile(c.path(k), data, 0o600); err != nil {
		_ = os.Remove(c.path(k))
		c.fail(err)
	}
}

// shrink counts what is in the folder, and if that is too much deletes what was used longest ago, to nine tenths of the limit.
func (c *Cache) shrink() {
	c.evict.Lock()
	defer c.evict.Unlock()
	entries, err := os.ReadDir(c.o.Dir)
	if err != nil {
		c.fail(err)
		return
	}
	var files []fs.FileInfo
	var sum int64
	for _, e := range entries {
		if info, err := e.Info(); err == nil && isBlock(e) {
			files = append(files, info)
			sum += info.Size()
		}
	}
	if sum+Size > c.o.Limit { // there is to be room for one more
		slices.SortFunc(files, func(a, b fs.FileInfo) int { return a.ModTime().Compare(b.ModTime()) })
		for _, f := range files {
			if sum+Size <= c.o.Limit/10*9 {
				break
			}
			if err := os.Remove(filepath.Join(c.o.Dir, f.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
				c.fail(err)
				return
			}
			sum -= f.Size()
		}
	}
	c.size.Store(sum)
}

// isBlock tells our files from others, which stay.
func isBlock(e fs.DirEntry) bool {
	sum, n, ok := strings.Cut(e.Name(), "-")
	_, err := hex.DecodeString(sum)
	_, errN := strconv.ParseUint(n, 10, 32)
	return e.Type().IsRegular() && ok && len(sum) == 64 && err == nil && errN == nil
}
