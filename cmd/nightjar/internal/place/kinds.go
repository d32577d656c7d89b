package place

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"nightjar/cmd/nightjar/internal/usage"
	"nightjar/repo/store"
	"nightjar/repo/store/directory"
	"nightjar/repo/store/sftp"
)

// kinds is the table of all ways to keep a repository: nothing else asks for a scheme. One that needs no more than a URL and its settings is a line: plain(x.Kind).
func kinds() []kind {
	return []kind{
		folder(),
		bucket(),
		plain(sftp.Kind),
	}
}

// A kind is a way to keep a repository. Functions that are nil have nothing to do.
type kind struct {
	store.Kind      // of which Open is not used
	local      bool // the Path of a Location is a folder of this machine
	claims     bool // a copy begins with a claim that a recovery key signs: times are mere metadata there
	bucket     bool // options for buckets are for it

	open func(ctx context.Context, o *Options, l store.Location, create bool) (store.Carrier, error)
	// name and address are those of Options, where they are more than the URL.
	name, address func(ctx context.Context, o *Options, l store.Location) string
	// inherit completes what was said of a copy by what was said of the repository.
	inherit func(copied, home *Bucket)
}

// folder is a folder of this machine.
func folder() kind {
	return kind{
		Kind:  store.Kind{Schemes: []string{store.SchemeFile}, Form: "/path, file:///path"},
		local: true,
		open: func(_ context.Context, _ *Options, l store.Location, create bool) (store.Carrier, error) {
			open := directory.Open
			if create {
				open = directory.Create
			}
			d, err := open(l.Path)
			if err != nil {
				return nil, err
			}
			return d, nil
		},
	}
}

// plain is a kind of which a command line says no more than a URL and settings.
func plain(k store.Kind) kind {
	return kind{
		Kind: k,
		open: func(ctx context.Context, o *Options, l store.Location, create bool) (store.Carrier, error) {
			up, down, err := o.Bucket.limits()
			if err != nil {
				return nil, err
			}
			known, err := o.Servers.read()
			if err != nil {
				o.Warn(err)
			}
			name := o.Name(ctx, l)
			s, err := k.Open(ctx, l, store.Opening{
				Create: create, Connections: o.Connections, LimitUpload: up, LimitDownload: down, Getenv: o.getenv, Warn: o.Warn,
				Setting: func(name string) string {
					return cmp.Or(o.Bucket.Settings[name], o.getenv("NIGHTJAR_"+strings.ReplaceAll(strings.ToUpper(name), "-", "_")))
				},
				Lacks:   known[name].Lacks,
				Learned: func(lacks []string) { o.learned(name, func(s *server) { s.Lacks = lacks }) },
			})
			if hint := hintOf(k.Hints, err); hint != "" {
				return nil, usage.Hinted{Err: err, Hint: hint}
			}
			return s, err
		},
		inherit: func(copied, home *Bucket) {
			for _, s := range k.Settings {
				if value := home.Settings[s.Name]; value != "" && copied.Settings[s.Name] == "" {
					copied.set(s.Name, value)
				}
			}
		},
	}
}

func hintOf(hints []store.Hint, err error) string {
	for _, h := range hints {
		if errors.Is(err, h.Is) {
			return h.Say
		}
	}
	return ""
}

// Hint returns what one of the kinds says about an error of its own, which may come long after a store was opened; "": nothing.
func Hint(err error) string {
	for _, k := range kinds() {
		own := slices.DeleteFunc(slices.Clone(k.Hints), func(h store.Hint) bool { return h.Is == store.ErrNoStore })
		if hint := hintOf(own, err); hint != "" {
			return hint
		}
	}
	return ""
}

// kindOf returns the kind of a place that Parse returned.
func kindOf(l store.Location) kind {
	k, _ := lookUp(l.Scheme)
	return k
}

func lookUp(scheme string) (kind, bool) {
	all := kinds()
	i := slices.IndexFunc(all, func(k kind) bool { return slices.Contains(k.Schemes, scheme) })
	if i < 0 {
		return kind{}, false
	}
	return all[i], true
}

// Forms says how URLs are written, for people.
func Forms() string {
	var all []string
	for _, k := range kinds() {
		all = append(all, k.Form)
	}
	last := len(all) - 1
	return strings.Join(all[:last], ", ") + " or " + all[last]
}

// allow refuses options that were given for another kind of place.
func (k kind) allow(b *Bucket, l store.Location) error {
	if !k.bucket && (b.given() || b.limited() && !k.Paced) {
		return usage.Errorf("%s is not in a bucket: options for buckets have no place", Shown(l))
	}
	for _, name := range slices.Sorted(maps.Keys(b.Settings)) {
		if !slices.ContainsFunc(k.Settings, func(s store.Setting) bool { return s.Name == name }) {
			return usage.Errorf("%s is not what --%s%s is for", Shown(l), b.prefix, name)
		}
	}
	return nil
}
