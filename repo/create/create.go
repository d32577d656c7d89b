// Package create makes a new repository in an empty store.
//
// The invariant: the keys are stored last, and until then there is no repository; of two that are made in one place at the same time one stays, and
// it is whole. Nothing is removed but a config to which nothing can have been sealed.
package create

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"time"

	"nightjar/crypto"
	"nightjar/repo/keyring"
	"nightjar/repo/sealed"
	"nightjar/repo/store"
)

// ErrExists says that there is a repository already.
var ErrExists = errors.New("a repository is there already")

// Options say whose repository it becomes.
type Options struct {
	HostName string           // of the first host
	Host     *crypto.Key      // its key, with the secret half, unlocked
	Recovery []*crypto.Key    // at least one; certificates suffice
	Now      func() time.Time // nil: time.Now
	Random   io.Reader        // nil: crypto/rand
	// Begin is called before anything is stored, with the config to be: so that Stopped knows it again if this run is killed. May be nil.
	Begin func(k *keyring.Keyring, config []byte) error
	// Stopped reports whether a config is known to be of a run that was killed. nil: of none.
	Stopped func(config []byte) bool
	// Wait is called again and again while another run may be at work, first with true, and should take a while. nil: a second.
	Wait func(ctx context.Context, first bool) error
	// Ready is called when everything but the keys object is stored: an error leaves no repository. It is where the host keeps its key and its kit. May be nil.
	Ready func(k *keyring.Keyring) error
}

func (o *Options) fill() {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Random == nil {
		o.Random = rand.Reader
	}
	if o.Begin == nil {
		o.Begin = func(*keyring.Keyring, []byte) error { return nil }
	}
	if o.Stopped == nil {
		o.Stopped = func([]byte) bool { return false }
	}
	if o.Wait == nil {
		o.Wait = func(ctx context.Context, _ bool) error {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(time.Second):
				return nil
			}
		}
	}
	if o.Ready == nil {
		o.Ready = func(*keyring.Keyring) error { return nil }
	}
}

const (
	// abandoned is how old a config without keys must be before it is taken for the rest of a run that died somewhere else, rather than of one that is at work.
	abandoned = time.Minute
	// settleFor is how long a server may take to answer a run that ends.
	settleFor   = 20 * time.Second
	settleTries = 8
)

// Repository makes one in an empty store and returns its keyring. The first host gets both roles. Where there is one already, or a part of one, the error is
// ErrExists and nothing is changed. But a config that is the only object there is what a run left that died before it stored the keys: nothing can ever have
// been sealed to it, so it is replaced, as soon as it is sure that no run is at work.
func Repository(ctx context.Context, s store.Store, o Options) (*keyring.Keyring, error) {
	o.fill()
	keys, root, metadata, err := keyring.New(keyring.Owners{HostName: o.HostName, Host: o.Host, Recovery: o.Recovery}, o.Random, o.Now().UTC())
	if err != nil {
		return nil, err
	}
	config, err := sealed.SealConfig(keys.ID(), root, metadata.Public(), o.Random, o.Now)
	if err != nil {
		return nil, err
	}
	i := initing{store: s, config: config, o: o}
	if err := i.clear(ctx); err != nil {
		return nil, err
	}
	if err := o.Begin(keys, config); err != nil {
		return nil, err
	}
	// config first: keys make the repository, so a run that dies in between leaves none.
	if err = i.put(ctx, sealed.Config, config); err != nil {
		return nil, err
	}
	uncertain := false
	if err = o.Ready(keys); err == nil {
		name, object := keys.Object()
		err = i.put(ctx, name, object)
		uncertain = ctx.Err() != nil || errors.Is(err, store.ErrUnread)
	}
	// The reason to stop may be that ctx ended.
	settling, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleFor)
	defer cancel()
	switch {
	case err != nil && uncertain: // the keys may be there all the same
		return nil, err
	case err != nil:
		return nil, errors.Join(err, i.remove(settling))
	}
	return keys, i.settle(settling)
}

// initing is such a run.
type initing struct {
	store  store.Store
	config []byte
	o      Options
}

func (i *initing) put(ctx context.Context, name string, data []byte) error {
	_, err := i.store.Put(ctx, name, data)
	if errors.Is(err, store.ErrExists) {
		err = fmt.Errorf("%w, or is being made", ErrExists)
	}
	if err != nil {
		return fmt.Errorf("store %s: %w", name, err)
	}
	return nil
}

// look returns ErrExists if something other than a config is there.
func (i *initing) look(ctx context.Context, prefix string) error {
	found := errors.New("found")
	err := i.store.List(ctx, prefix, func(info store.Info) error {
		if info.Name == sealed.Config {
			return nil
		}
		return found
	})
	if errors.Is(err, found) {
		return ErrExists
	}
	if err != nil {
		return fmt.Errorf("look for a repository: %w", err)
	}
	return nil
}

// stored returns the config that is there; nil: none.
func (i *initing) stored(ctx context.Context) ([]byte, error) {
	there, err := store.ReadAll(ctx, i.store, sealed.Config, store.MaxObject)
	if errors.Is(err, store.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look for a repository: %w", err)
	}
	return there, nil
}

// clear returns ErrExists if there is a repository, or something like one, and removes what a stopped run left. It waits for one that may be at work.
func (i *initing) clear(ctx context.Context) error {
	for first := true; ; first = false {
		if err := i.look(ctx, "keys/"); err != nil {
			return err
		}
		there, err := i.stored(ctx)
		if err != nil || there == nil {
			return err
		}
		if err := i.look(ctx, ""); err != nil {
			return err
		}
		dead, err := i.dead(ctx, there)
		if err == nil && dead {
			return i.delete(ctx, there)
		}
		if err == nil {
			err = i.o.Wait(ctx, first)
		}
		if err != nil {
			return fmt.Errorf("look for a repository: %w", err)
		}
	}
}

// dead reports whether whoever stored a config is at work no more.
func (i *initing) dead(ctx context.Context, config []byte) (bool, error) {
	if i.o.Stopped(config) {
		return true, nil
	}
	now, err := sealed.StoreTime(ctx, i.store, i.o.Now)
	if err != nil {
		return false, err
	}
	info, err := i.store.Stat(ctx, sealed.Config)
	if errors.Is(err, store.ErrNotExist) {
		return false, nil
	}
	return now.Sub(info.Time) >= abandoned, err
}

// delete removes a config if it is this one.
func (i *initing) delete(ctx context.Context, config []byte) error {
	there, err := i.stored(ctx)
	if err == nil && bytes.Equal(there, config) {
		if err = i.store.Delete(ctx, sealed.Config); errors.Is(err, store.ErrNotExist) {
			err = nil
		}
	}
	if err != nil {
		return fmt.Errorf("remove the config of a stopped run: %w", err)
	}
	return nil
}

// remove removes what this run has stored.
func (i *initing) remove(ctx context.Context) error { return i.delete(ctx, i.config) }

// settle sees to it that the config is there that belongs to the keys: another run that took this one for dead may have put its own there.
func (i *initing) settle(ctx context.Context) error {
	for try := 0; ; try++ {
		there, err := i.stored(ctx)
		if err != nil || bytes.Equal(there, i.config) {
			return err
		}
		if there != nil {
			if err := i.delete(ctx, there); err != nil {
				return err
			}
		}
		if err = i.put(ctx, sealed.Config, i.config); !errors.Is(err, ErrExists) || try == settleTries {
			return err
		}
	}
}
