package keyring

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"nightjar/crypto"
	"nightjar/internal/human"
	"nightjar/internal/versioned"
)

// handOver is how long a host's key still counts after another took its place: a run that began with it comes to its end.
const handOver = 24 * time.Hour

// ErrTaken says that a key is or was that of a host.
var ErrTaken = errors.New("a host needs one of its own")

var (
	// ErrFull says that the keys have no room for more hosts or certificates.
	ErrFull = errors.New("the keys are full")
	// ErrInForce says that a host's key may still sign.
	ErrInForce = errors.New("its key is in force")
)

// ErrUnchanged says that things are already as a Draft was to make them.
var ErrUnchanged = errors.New("nothing is to be changed")

// A Draft is the next keyring in the making. After an error of one of its methods it is not to be used.
type Draft struct {
	contents contents
	secrets  []*crypto.Key // root, content and metadata keys, those of the past too
	at       time.Time     // the store's: when what changes begins and ends to count
	now      time.Time     // this machine's: keys that are given must be good by then
	random   io.Reader
	config   func() ([]byte, error) // the repository's, as it is stored
	unsealed []crypto.Fingerprint   // keys that are listed, and that nothing can be sealed to
}

// draft begins with what the keyring says. secrets are what OpenSecrets returns.
func (k *Keyring) draft(secrets []*crypto.Key, at, now time.Time, random io.Reader) (*Draft, error) {
	d := &Draft{secrets: slices.Clone(secrets), at: at, now: now, random: random}
	text, err := crypto.PeekUnverified(k.object) // which was verified: a copy of its own
	if err != nil {
		return nil, err
	}
	if err := versioned.ParseFirst(text, &d.contents, bounds); err != nil {
		return nil, err
	}
	for _, c := range append(certificates(d.contents.Content), certificates(d.contents.Metadata)...) {
		if _, err := d.secret(c.Fingerprint()); err != nil {
			return nil, err
		}
	}
	_, err = d.secret(d.contents.Root.Fingerprint())
	return d, err
}

func (d *Draft) secret(f crypto.Fingerprint) (*crypto.Key, error) {
	for _, k := range d.secrets {
		if k.Fingerprint() == f && k.HasSecret() {
			return k, nil
		}
	}
	return nil, fmt.Errorf("key %s is not among the repository's secrets: %w", f, crypto.ErrNoKey)
}

// MarkCompromised marks all keys of a host, or the one with that fingerprint: of what they signed, whenever that was, only that counts which a record of the kind verified names.
func (d *Draft) MarkCompromised(who string) error { return d.contents.mark(who) }

// Suppose returns the keyring as it would be with the keys marked that MarkCompromised marks. That they are marked already is no error.
func (k *Keyring) Suppose(who string) (*Keyring, error) {
	supposed := &Keyring{contents: k.contents, object: k.object}
	supposed.contents.Hosts = slices.Clone(k.contents.Hosts)
	for i := range supposed.contents.Hosts {
		h := &supposed.contents.Hosts[i]
		h.Certificates = slices.Clone(h.Certificates)
	}
	if err := supposed.contents.mark(who); err != nil && !errors.Is(err, ErrUnchanged) {
		return nil, err
	}
	return supposed, nil
}

func (c *contents) mark(who string) error {
	f, notFingerprint := crypto.ParseFingerprint(who)
	found, changed := false, false
	for i := range c.Hosts {
		h := &c.Hosts[i]
		for j := range h.Certificates {
			c := &h.Certificates[j]
			if h.Name == who || notFingerprint == nil && c.Key.Fingerprint() == f {
				found, changed = true, changed || !c.Compromised
				c.Compromised = true
			}
		}
	}
	switch {
	case !found:
		return fmt.Errorf("no host %q is or was enrolled", who)
	case !changed:
		return fmt.Errorf("%q is marked already: %w", who, ErrUnchanged)
	}
	return nil
}

// AddRecovery adds a recovery key, or takes a newer certificate of one that is there. If that says nothing new, the error is ErrUnchanged.
func (d *Draft) AddRecovery(key *crypto.Key) (err error) {
	i := d.recovery(key.Fingerprint())
	if i >= 0 {
		if key, err = d.contents.Recovery[i].Merge(key); err != nil {
			return err
		}
	}
	if err := key.CanEncrypt(d.now); err != nil {
		return fmt.Errorf("use recovery key: %w", err)
	}
	if i >= 0 {
		if bytes.Equal(key.Certificate(), d.contents.Recovery[i].Certificate()) {
			return fmt.Errorf("recovery key %s is there, with just this certificate: %w", key.Fingerprint(), ErrUnchanged)
		}
		d.contents.Recovery[i] = certificate{key.Public()}
		return nil
	}
	if len(d.contents.Recovery) == recoveryMax {
		return fmt.Errorf("add recovery key: there are %d already", recoveryMax)
	}
	d.contents.Recovery = append(d.contents.Recovery, certificate{key.Public()})
	return nil
}

// RemoveRecovery takes out a recovery key, which is not the last.
func (d *Draft) RemoveRecovery(f crypto.Fingerprint) error {
	i := d.recovery(f)
	if i < 0 {
		return fmt.Errorf("%s is no recovery key of this repository", f)
	}
	if len(d.contents.Recovery) == 1 {
		return errors.New("it is the last recovery key: without one, nobody could restore")
	}
	d.contents.Recovery = slices.Delete(d.contents.Recovery, i, i+1)
	return nil
}

func (d *Draft) recovery(f crypto.Fingerprint) int {
	return slices.IndexFunc(d.contents.Recovery, func(c certificate) bool { return c.Fingerprint() == f })
}

// RotateMetadata makes a new metadata key. What was sealed to the old one opens on.
func (d *Draft) RotateMetadata() (err error) {
	d.contents.Metadata, err = d.rotate("metadata", d.contents.Metadata)
	return err
}

// RotateContent makes a new content key. What was sealed to the old one opens on.
func (d *Draft) RotateContent() (err error) {
	d.contents.Content, err = d.rotate("content", d.contents.Content)
	return err
}

func (d *Draft) rotate(what string, keys []SealKey) ([]SealKey, error) {
	key, err := d.generate(what)
	if err != nil {
		return nil, err
	}
	for i := range keys {
		if keys[i].Retired.IsZero() {
			keys[i].Retired = d.at
		}
	}
	return slices.Insert(keys, 0, SealKey{Key: certificate{key.Public()}}), nil
}

// generate makes one of the repository's own keys.
func (d *Draft) generate(what string) (*crypto.Key, error) {
	key, err := crypto.Generate(fmt.Sprintf("nightjar %s %s", what, d.contents.Repository[:8]), d.now, d.random)
	if err != nil {
		return nil, fmt.Errorf("make %s key: %w", what, err)
	}
	d.secrets = append(d.secrets, key)
	return key, nil
}

// HandOver makes a new root key, which the old one names as its successor. It vouches for the repository's config, which the old one has signed.
func (d *Draft) HandOver() error {
	config, err := d.config()
	if err != nil {
		return fmt.Errorf("read config: %w", err)
	}
	signers := (&Keyring{contents: d.contents}).Signers(configName)
	if _, err := crypto.NewOpener(d.secrets...).Open(slices.Clone(config), signers, d.contents.binding(configName), time.Time{}); err != nil {
		return fmt.Errorf("open config: %w", err)
	}
	if len(d.contents.Former) == formerMax {
		return fmt.Errorf("hand over the root: that was done %d times already", formerMax)
	}
	old, err := d.secret(d.contents.Root.Fingerprint())
	if err != nil {
		return err
	}
	root, err := d.generate("root")
	if err != nil {
		return err
	}
	named, err := crypto.Sign(old, []byte(root.Fingerprint()), d.contents.binding(successorKind), d.now)
	if err != nil {
		return fmt.Errorf("name the next root: %w", err)
	}
	sum := sha256.Sum256(config)
	d.contents.Config = hex.EncodeToString(sum[:])
	d.contents.Former = append(d.contents.Former, FormerRoot{Key: d.contents.Root, Until: d.at, Successor: named})
	d.contents.Root = certificate{root.Public()}
	return nil
}

// SetGrace sets the grace period. For what a longer one promised, that goes on to count.
func (d *Draft) SetGrace(grace time.Duration) error {
	if grace < time.Second || grace > graceMax || grace%time.Second != 0 {
		return fmt.Errorf("a grace of %s is out of bounds", grace)
	}
	c := &d.contents
	if grace == time.Duration(c.Grace)*time.Second {
		return fmt.Errorf("the grace is %s: %w", human.Age(grace), ErrUnchanged)
	}
	if len(c.Graces) == gracesMax {
		return errors.New("the grace was changed too often")
	}
	c.Graces = append(c.Graces, earlierGrace{Grace: c.Grace, Until: d.at})
	c.Grace = int64(grace / time.Second)
	return nil
}

// live reports whether the key is to be used, and secrets are to be sealed to it.
func (c Certificate) live() bool { return c.Until.IsZero() && !c.Compromised }

// finish seals the secrets to all that are listed, and signs.
func (d *Draft) finish(number int) (*Keyring, error) {
	c := &d.contents
	c.Number = number
	d.unsealed = nil
	recovery := d.recipients(c.Recovery)
	if len(recovery) == 0 {
		return nil, fmt.Errorf("no recovery key can be used any more; the first: %w", c.Recovery[0].CanEncrypt(d.now))
	}
	var hosts []certificate
	for _, h := range c.Hosts {
		for _, x := range h.Certificates {
			if x.live() {
				hosts = append(hosts, x.Key)
			}
		}
	}
	own := append(append([]certificate{c.Root}, certificates(c.Content)...), certificates(c.Metadata)...)
	var err error
	if c.Secrets, err = d.seal(recovery, own); err != nil {
		return nil, err
	}
	if c.MetadataSecret, err = d.seal(append(d.recipients(hosts), recovery...), certificates(c.Metadata)); err != nil {
		return nil, err
	}
	root, err := d.secret(c.Root.Fingerprint())
	if err != nil {
		return nil, err
	}
	object, err := c.sign(root, d.now)
	if err != nil {
		return nil, fmt.Errorf("sign keys: %w", err)
	}
	if len(object) > MaxObject {
		return nil, fmt.Errorf("keys of %d bytes are too large: %w", len(object), ErrFull)
	}
	return Read(object, func(string) (Pin, error) { return Pin{Root: root.Fingerprint()}, nil })
}

// recipients leaves out those that nothing can be sealed to, because they have expired.
func (d *Draft) recipients(listed []certificate) (usable []*crypto.Key) {
	for _, c := range listed {
		if c.CanEncrypt(d.now) != nil {
			d.unsealed = append(d.unsealed, c.Fingerprint())
			continue
		}
		usable = append(usable, c.Key)
	}
	return usable
}

func (d *Draft) seal(recipients []*crypto.Key, own []certificate) (string, error) {
	var secrets []*crypto.Key
	for _, c := range own {
		s, err := d.secret(c.Fingerprint())
		if err != nil {
			return "", err
		}
		secrets = append(secrets, s)
	}
	return sealSecrets(recipients, d.random, d.now, secrets...)
}
