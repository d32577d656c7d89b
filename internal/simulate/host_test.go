package simulate

import (
	"bytes"
	"context"
	"fmt"
	"hash/crc32"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"nightjar/chunk"
	"nightjar/repo"
	"nightjar/repo/save"
	"nightjar/repo/tree"
)

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

const (
	texts    = 3    // from which files are made
	size     = 9000 // of a text: enough for a signature, so that changed ones become recipes
	places   = 3    // in which a text is changed
	versions = 5    // of each place
)

// theTexts are few and change in few ways: what one host stores another wants as well, and what was given up comes back.
var theTexts = sync.OnceValue(func() (all [texts][]byte) {
	for i := range all {
		rng := rand.New(rand.NewPCG(uint64(i), 0))
		var b bytes.Buffer
		for b.Len() < size {
			fmt.Fprintf(&b, "%x and so on\n", rng.Uint64())
		}
		all[i] = b.Bytes()[:size]
	}
	return all
})

// revise changes one place of a text, or of one of several that stand in a file.
func revise(rng *rand.Rand, data []byte) []byte {
	data = bytes.Clone(data)
	place := rng.IntN(len(data)/size)*size + 1000 + 2500*rng.IntN(places)
	copy(data[place:], fmt.Sprintf("-- this is the %d. version of these lines, which were others before --", rng.IntN(versions)))
	return data
}

// A host backs up a few folders of a few files: some have what many have, one is large enough for lists, some have what nobody has.
type host struct {
	*actor
	packs bool // each folder comes into packs of its own
	files files
	was   map[string]*tree.Node  // of the last run that came to its end, however that was: what it names may be gone
	grown map[string][]tree.Item // the trees of its folders
	last  string                 // its last archive
	r     *repo.Repository       // of the process that runs
}

func (w *world) host(number int, seed uint64) *host {
	h := &host{actor: w.actor(hostName(number), w.hosts[number], seed), files: files{}}
	for _, folder := range []string{"etc", "usr", "var"}[:1+h.rng.IntN(3)] {
		for n := range 2 + h.rng.IntN(9) {
			h.files[fmt.Sprintf("%s/%d", folder, n)] = h.some()
		}
	}
	return h
}

func (h *host) some() []byte {
	text := theTexts()[h.rng.IntN(texts)]
	switch h.rng.IntN(8) {
	case 0:
		return fmt.Appendf(nil, "%s alone has this: %x", h.name, h.rng.Uint64())
	case 1: // which is several chunks
		return slices.Concat(text, theTexts()[h.rng.IntN(texts)])
	default:
		return revise(h.rng, text)
	}
}

func (h *host) change() {
	h.files = maps.Clone(h.files)
	for range h.rng.IntN(5) {
		names := sorted(h.files)
		name := names[h.rng.IntN(len(names))]
		if data := h.files[name]; len(data) >= size && h.rng.IntN(4) > 0 {
			h.files[name] = revise(h.rng, data)
		} else {
			h.files[name] = h.some()
		}
	}
}

// live is all that a host does.
func (h *host) live(runs int) {
	for range runs {
		time.Sleep(time.Duration(h.rng.Int64N(int64(5 * day))))
		if h.rng.IntN(3) == 0 {
			h.r = nil // a new process, without a cache
		}
		*h.line = line{actor: h.actor}
		h.line.trouble()
		h.change()
		if archive, err := h.backUp(nil); err == nil {
			h.last = archive.ID
		} else if unexpected(err) {
			h.fail(fmt.Errorf("%s: %w", h.name, err))
		}
	}
}

// backUp is one run; meanwhile, if not nil, is called when a folder is saved.
func (h *host) backUp(meanwhile func(folder string)) (*repo.Archive, error) {
	if h.r == nil {
		r, err := h.boot()
		if err != nil {
			return nil, err
		}
		h.r = r
	}
	sent := new(save.Sent)
	archive, err := save.Write(h.ctx, h.r, sent, func(ctx context.Context, w *save.Writer) (*repo.Record, error) {
		return h.save(ctx, w, meanwhile)
	})
	h.mu.Lock()
	defer h.mu.Unlock()
	h.count.Deltas += int(sent.Deltas.Load())
	h.count.ChunksKnown += int(sent.ChunksKnown.Load())
	if err != nil {
		h.count.RunsFailed++
		if h.line.dead {
			h.r = nil
		}
		return nil, err
	}
	h.count.Archives++
	h.count.Views += len(archive.Views) - 1
	h.made[archive.ID] = true
	return archive, nil
}

// save does what package backup does, file by file.
func (h *host) save(ctx context.Context, w *save.Writer, meanwhile func(folder string)) (*repo.Record, error) {
	saver, err := w.NewSaver()
	if err != nil {
		return nil, err
	}
	folders := map[string][]string{}
	for _, path := range sorted(h.files) {
		folder, name, _ := strings.Cut(path, "/")
		folders[folder] = append(folders[folder], name)
	}
	is := map[string]*tree.Node{}
	grown := map[string][]tree.Item{}
	directory := func(name string, nodes []*tree.Node) (*tree.Node, error) {
		e := tree.NewEncoder(h.r.NameKey(), func(encoded []byte) (chunk.ID, error) { return saver.TreeLike(encoded, h.grown[name]) })
		for _, n := range nodes {
			if err := e.Add(n); err != nil {
				return nil, err
			}
		}
		items, err := e.Finish()
		grown[name] = items
		return &tree.Node{Name: name, Mode: tree.Directory | 0o755, Contents: tree.Contents{Items: items}}, err
	}
	var top []*tree.Node
	for _, folder := range sorted(folders) {
		var nodes []*tree.Node
		for _, name := range folders[folder] {
			path := folder + "/" + name
			n, err := h.file(w, saver, path, name)
			if err != nil {
				return nil, err
			}
			is[path] = n
			nodes = append(nodes, n)
		}
		n, err := directory(folder, nodes)
		if err != nil {
			return nil, err
		}
		top = append(top, n)
		if h.packs || h.rng.IntN(2) == 0 {
			if err := w.Flush(); err != nil {
				return nil, err
			}
		}
		if meanwhile != nil {
			meanwhile(folder)
		}
	}
	root, err := directory("/", top)
	if err != nil {
		return nil, err
	}
	item := root.Contents.Items[0]
	h.mu.Lock()
	h.saved[item.ID] = h.files
	h.mu.Unlock()
	h.was, h.grown = is, grown
	return &repo.Record{Job: repo.Text(h.name), Root: repo.Root{ID: item.ID, Length: item.Length}, Predecessor: h.last}, nil
}

// file saves a file, unless it has not changed and what is stored of it may be named again.
func (h *host) file(w *save.Writer, saver *save.Saver, path, name string) (*tree.Node, error) {
	data, was := h.files[path], h.was[path]
	n := &tree.Node{Name: name, Mode: tree.Regular | 0o644, Links: 1, Size: uint64(len(data)), Inode: uint64(crc32.ChecksumIEEE(data))}
	var before *save.Past
	if was != nil {
		if was.Inode == n.Inode {
			if ok, err := w.Holds(was.Contents); ok || err != nil {
				n.Contents = was.Contents
				return n, err
			}
		}
		before = w.Past([]tree.Contents{was.Contents}, nil)
		defer before.Close()
	}
	var items []tree.Item
	for offset := 0; offset < len(data); offset += size {
		piece := data[offset:min(offset+size, len(data))]
		id, err := saver.ContentAt(piece, save.Place{Offset: int64(offset)}, before)
		if err != nil {
			return nil, err
		}
		items = append(items, tree.Item{ID: id, Length: int64(len(piece))})
	}
	n.Contents = tree.Contents{Items: items}
	if len(items) > 1 {
		id, err := saver.List(tree.EncodeList(items))
		if err != nil {
			return nil, err
		}
		n.Contents = tree.Contents{Level: 1, Items: []tree.Item{{ID: id, Length: int64(len(data))}}}
	}
	return n, nil
}
