// Package mend puts back the objects without which nothing of a repository can be opened, keys and config.
//
// The invariant: an object is put back only if it is signed by a root key that this machine, a recovery kit or the command line says to believe, and a config only if
// the repository opens with it.
package mend

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"nightjar/cmd/nightjar/internal/session"
	"nightjar/crypto"
	"nightjar/repo"
	"nightjar/repo/keyring"
	"nightjar/repo/statedir"
	"nightjar/repo/store"
)

const configName = "config"

// Keys puts back keys and config of the configured repository from the recovery kit and from another copy (nil: none), and returns their names.
// It believes what this machine remembers, or the kit or --root say. Nothing is written in a dry run.
func Keys(ctx context.Context, set *session.Settings, from store.Store, dryRun bool) (mended []string, err error) {
	s, err := set.Site(ctx)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	offers, err := offered(ctx, set, from)
	if err != nil {
		return nil, err
	}
	repository, root, err := set.NamedRoot()
	if err != nil {
		return nil, err
	}
	pin := func(claimed string) (keyring.Pin, error) {
		p, err := s.State.Pin(claimed, s.Name)
		if errors.Is(err, statedir.ErrPin) && root != "" {
			p, err = keyring.Pin{}, nil
		}
		if err != nil || p.Root != "" {
			return p, err
		}
		if root == "" || repository != "" && repository != claimed {
			return p, fmt.Errorf("nothing says that its root key is to be believed: %w", crypto.ErrIntegrity)
		}
		return keyring.Pin{Root: root}, nil
	}
	m := keyMender{site: s, now: set.Now, dryRun: dryRun}
	for _, o := range offers {
		if _, ok := keyring.Number(o.name); !ok {
			continue
		}
		if k, err := keyring.Read(o.object, pin); err != nil || !named(k, o.name) {
			continue
		}
		ours, err := store.ReadAll(ctx, s.Store, o.name, store.MaxObject)
		if errors.Is(err, store.ErrUnavailable) {
			return nil, err
		}
		if err == nil {
			if k, err := keyring.Read(ours, pin); err == nil && named(k, o.name) {
				continue
			}
		}
		if err := m.put(ctx, o); err != nil {
			return m.mended, err
		}
	}
	if err := m.hidden(ctx, pin); err != nil {
		return m.mended, err
	}
	return m.mended, m.config(ctx, offers)
}

// named reports whether a keyring is the object of that name.
func named(k *keyring.Keyring, name string) bool {
	own, _ := k.Object()
	return own == name
}

// An offer is an object that a kit or another copy has.
type offer struct {
	name   string
	object []byte
}

// offered returns what the kits that the command line names have, and then what another copy has.
func offered(ctx context.Context, set *session.Settings, from store.Store) (all []offer, err error) {
	kits, err := set.KitFiles()
	if err != nil {
		return nil, err
	}
	for _, kit := range kits {
		for line := range strings.Lines(string(kit.Content)) {
			name, begins := strings.CutPrefix(strings.TrimSpace(line), "-----BEGIN ")
			name, ends := strings.CutSuffix(name, "-----")
			if _, isKeys := keyring.Number(name); !begins || !ends || !isKeys && name != configName {
				continue
			}
			object, err := keyring.KitObject(kit.Content, name)
			if err != nil {
				return nil, err
			}
			all = append(all, offer{name, object})
		}
	}
	if from == nil {
		return all, nil
	}
	names := []string{configName}
	err = from.List(ctx, "keys/", func(i store.Info) error {
		if _, ok := keyring.Number(i.Name); ok {
			names = append(names, i.Name)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the other copy: %w", err)
	}
	for _, name := range names {
		object, err := store.ReadAll(ctx, from, name, 16<<20)
		if errors.Is(err, store.ErrUnavailable) {
			return nil, fmt.Errorf("read the other copy: %w", err)
		}
		if err == nil {
			all = append(all, offer{name, object})
		}
	}
	return all, nil
}

// A keyMender puts objects back.
type keyMender struct {
	site   *session.Site
	now    func() time.Time
	dryRun bool
	mended []string
}

func (m *keyMender) put(ctx context.Context, o offer) error {
	if slices.Contains(m.mended, o.name) {
		return nil
	}
	m.mended = append(m.mended, o.name)
	if m.dryRun {
		return nil
	}
	s, ok := m.site.Store.(store.Replacer)
	if !ok {
		return fmt.Errorf("put back %s: the store cannot replace it", o.name)
	}
	at := time.Time{}
	if info, err := m.site.Store.Stat(ctx, o.name); err == nil {
		at = info.Time
	}
	_, err := s.Replace(ctx, o.name, o.object, at)
	return err
}

// hidden puts back the numbers that somebody deleted where versions are kept.
func (m *keyMender) hidden(ctx context.Context, pin func(claimed string) (keyring.Pin, error)) error {
	s, ok := m.site.Store.(store.Versioned)
	if !ok {
		return nil
	}
	var names []string
	err := s.Hidden(ctx, "keys/", func(i store.Info, _ time.Time) error {
		names = append(names, i.Name)
		return nil
	})
	if err != nil {
		return fmt.Errorf("look for keys that were deleted: %w", err)
	}
	root := func(claimed string) (keyring.Pin, error) { // numbers before the one that was seen are as good
		p, err := pin(claimed)
		return keyring.Pin{Root: p.Root}, err
	}
	for _, name := range names {
		_, err := s.Recover(ctx, name, func(object []byte) bool {
			k, err := keyring.Read(object, root)
			return err == nil && named(k, name)
		})
		if errors.Is(err, store.ErrNotExist) {
			continue
		}
		var object []byte
		if err == nil {
			object, err = store.ReadAll(ctx, m.site.Store, name, store.MaxObject)
		}
		if err != nil {
			return fmt.Errorf("read an older version: %w", err)
		}
		if err := m.put(ctx, offer{name, object}); err != nil {
			return err
		}
	}
	return nil
}

// config puts config back if the repository opens with one that is offered and not with its own. Without keys nothing can be tried, and opening says why.
func (m *keyMender) config(ctx context.Context, offers []offer) error {
	ours, err := store.ReadAll(ctx, m.site.Store, configName, store.MaxObject)
	if errors.Is(err, store.ErrUnavailable) {
		return err
	}
	_, versioned := m.site.Store.(store.Versioned)
	differs := func(o offer) bool { return o.name == configName && !bytes.Equal(o.object, ours) }
	if !versioned && !slices.ContainsFunc(offers, differs) || m.dryRun && len(m.mended) > 0 {
		return nil
	}
	keys, err := m.site.Keys(ctx, session.ReadMost)
	if err != nil {
		return nil // opening the repository says why
	}
	host, recovery, err := m.site.Secrets(ctx, keys, session.ReadMost)
	if err != nil {
		return err
	}
	if recovery == nil {
		recovery = keyring.Held(host)
	}
	opens := func(s store.Store) bool {
		r, err := repo.Open(ctx, s, keys, recovery, repo.Options{Now: m.now})
		if err == nil {
			r.Close()
		}
		return err == nil
	}
	if opens(m.site.Store) {
		return m.inFront(ctx, configName)
	}
	for _, o := range offers {
		if differs(o) && opens(withObject{m.site.Store, o}) {
			return m.put(ctx, o)
		}
	}
	return nil
}

// inFront stores again what somebody replaced, if an older version is read instead.
func (m *keyMender) inFront(ctx context.Context, name string) error {
	s, ok := m.site.Store.(store.Versioned)
	if !ok || !slices.ContainsFunc(s.Recovered(), func(i store.Info) bool { return i.Name == name }) {
		return nil
	}
	object, err := store.ReadAll(ctx, m.site.Store, name, store.MaxObject)
	if err != nil {
		return fmt.Errorf("read an older version: %w", err)
	}
	return m.put(ctx, offer{name, object})
}

// withObject is a store in which one object is another.
type withObject struct {
	store.Store
	offer
}

func (w withObject) Stat(ctx context.Context, name string) (store.Info, error) {
	if name == w.name {
		return store.Info{Name: name, Size: int64(len(w.object))}, ctx.Err()
	}
	return w.Store.Stat(ctx, name)
}

func (w withObject) GetInto(ctx context.Context, name string, offset int64, buf []byte) error {
	if name == w.name {
		copy(buf, w.object[offset:])
		return ctx.Err()
	}
	return w.Store.GetInto(ctx, name, offset, buf)
}
