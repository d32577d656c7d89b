package keyring

import (
	"crypto/sha256"
	"encoding/hex"
	"testing"
	"time"

	"nightjar/crypto"
)

// sealConfig puts a config into the place that its root has signed.
func (p *place) sealConfig() []byte {
	p.t.Helper()
	b := crypto.Binding{Repository: p.keys.ID(), Kind: configName}
	sealer, err := crypto.NewSealer(must(p.keys.MetadataKey()), p.root, b, nil, func() time.Time { return noon })
	if err != nil {
		p.t.Fatal(err)
	}
	sealed, err := sealer.Seal([]byte("what never changes"))
	if err != nil {
		p.t.Fatal(err)
	}
	p.put(configName, sealed.Object)
	return sealed.Object
}

// Hosts follow the word of the root that they remember, however often it was handed over meanwhile.
func TestHandOver(t *testing.T) {
	p := newPlace(t)
	config := p.sealConfig()
	first := p.keys
	second := p.change(time.Hour, (*Draft).HandOver)
	third := p.change(2*time.Hour, (*Draft).HandOver)
	last := p.change(3*time.Hour, func(d *Draft) error { return d.AddHost("db2", secondKey(), Backup) })
	for name, pin := range map[string]Pin{
		"nothing": {}, "the first": first.Pin(), "the second": second.Pin(), "the third": third.Pin(), "the last": last.Pin(),
		"an old kit": {Root: first.Pin().Root}, "a kit of between": {Root: second.Pin().Root}, "a new kit": {Root: last.Pin().Root},
	} {
		k, err := Load(t.Context(), p.memory, pinned(pin), func(err error) { t.Errorf("%s: %v", name, err) })
		if err != nil || k.Pin() != last.Pin() {
			t.Errorf("who remembers %s: %v, %v", name, k, err)
			continue
		}
		if pin.Root != "" && !k.Follows(pin.Root) {
			t.Errorf("%s: it does not follow", name)
		}
	}
	if last.Follows(thiefKey().Fingerprint()) || first.Follows(last.Pin().Root) {
		t.Error("it follows anybody")
	}
	// The newest alone proves it all: from the kit, when the rest is lost.
	_, object := last.Object()
	if _, err := Read(object, pinned(Pin{Root: first.Pin().Root})); err != nil {
		t.Error(err)
	}
	// What each root signs counts until it was handed over.
	for _, test := range []struct {
		of    *Keyring
		after time.Duration
		want  bool
	}{{first, time.Hour, true}, {first, time.Hour + 1, false}, {second, 2 * time.Hour, true}, {second, 2*time.Hour + 1, false}, {third, 99 * time.Hour, true}} {
		counts := false
		for _, s := range last.Signers("index") {
			counts = counts || s.Key.Fingerprint() == test.of.Pin().Root && Span{s.NotBefore, s.NotAfter}.Holds(noon.Add(test.after))
		}
		if counts != test.want {
			t.Errorf("root %s after %s counts: %t", test.of.Pin().Root, test.after, counts)
		}
	}
	if err := last.CheckConfig(config); err != nil {
		t.Error(err)
	}
	wantError(t, last.CheckConfig(append(config, 0)), crypto.ErrIntegrity, "config")
	if err := first.CheckConfig([]byte("anything: its signature says all")); err != nil {
		t.Error(err)
	}
}

// A root of the past is believed of a copy that it has claimed in its time: whoever has it later could make the home one, and give objects the times when it counted.
func TestClaimOfFormerRoot(t *testing.T) {
	p := newPlace(t)
	p.sealConfig()
	const place = "s3://bucket/copy"
	claim := must(p.keys.ClaimCopy(place, p.root, noon))
	last := p.change(time.Hour, (*Draft).HandOver)
	if err := last.IsCopy(claim, place, noon.Add(time.Hour)); err != nil {
		t.Error(err)
	}
	wantError(t, last.IsCopy(claim, place, noon.Add(time.Hour+1)), crypto.ErrIntegrity, "does not count for the time")
}

// Whoever gets hold of a root of the past can do nothing with it to those who read in order.
func TestFormerRootInOtherHands(t *testing.T) {
	p := newPlace(t)
	p.sealConfig()
	first, stolen := p.keys, p.root
	second := p.change(time.Hour, (*Draft).HandOver)
	// As if it had never been handed over.
	r := first.contents
	r.Number = 7
	r.Hosts = append(r.Hosts, Host{Name: "thief", Certificates: []Certificate{{Key: certificate{thiefKey()}}}})
	p.put(Name(7), must(r.sign(stolen, noon)))
	// Or to the thief.
	r.Number = 8
	named := must(crypto.Sign(stolen, []byte(thiefKey().Fingerprint()), r.binding(successorKind), noon))
	r.Former = []FormerRoot{{Key: r.Root, Until: noon, Successor: named}}
	r.Root = certificate{thiefKey()}
	p.put(Name(8), must(r.sign(thiefKey(), noon)))
	for name, pin := range map[string]Pin{
		"nothing": {}, "the first": first.Pin(), "the second": second.Pin(), "an old kit": {Root: first.Pin().Root}, "a new kit": {Root: second.Pin().Root},
	} {
		invalid := 0
		k, err := Load(t.Context(), p.memory, pinned(pin), func(err error) { invalid++; wantError(t, err, crypto.ErrIntegrity, "root key is") })
		if err != nil || k.Pin() != second.Pin() || invalid != 2 {
			t.Errorf("who remembers %s: %v, %d reported, %v", name, k, invalid, err)
		}
	}
}

func TestForgedSuccession(t *testing.T) {
	for name, forge := range map[string]func(p *place, c *contents){
		"no word of the old root": func(p *place, c *contents) { c.Former = nil },
		"an empty word":           func(p *place, c *contents) { c.Former[0].Successor = nil },
		"the thief's word": func(p *place, c *contents) {
			c.Former[0].Successor = must(crypto.Sign(thiefKey(), []byte(thiefKey().Fingerprint()), c.binding(successorKind), noon))
		},
		"the word is of another kind": func(p *place, c *contents) {
			c.Former[0].Successor = must(crypto.Sign(p.root, []byte(thiefKey().Fingerprint()), c.binding(Name(2)), noon))
		},
		"the word is for another repository": func(p *place, c *contents) {
			b := c.binding(successorKind)
			b.Repository = repoA
			c.Former[0].Successor = must(crypto.Sign(p.root, []byte(thiefKey().Fingerprint()), b, noon))
		},
		"the word is for another root": func(p *place, c *contents) {
			c.Former[0].Successor = must(crypto.Sign(p.root, []byte(secondKey().Fingerprint()), c.binding(successorKind), noon))
		},
		"another certificate beside the true word": func(p *place, c *contents) { c.Former[0].Key = certificate{thiefKey()} },
		"no certificate": func(p *place, c *contents) {
			c.Former = make([]FormerRoot, 1)
			c.Former[0].Key = certificate{secondKey()}
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t)
			c := p.keys.contents
			c.Number = 2
			c.Former = []FormerRoot{{Key: c.Root, Until: noon, Successor: must(crypto.Sign(p.root, []byte(thiefKey().Fingerprint()), c.binding(successorKind), noon))}}
			c.Root = certificate{thiefKey()}
			if _, err := Read(must(c.sign(thiefKey(), noon)), pinned(p.keys.Pin())); err != nil {
				t.Fatalf("a true succession is refused: %v", err)
			}
			forge(p, &c)
			_, err := Read(must(c.sign(thiefKey(), noon)), pinned(p.keys.Pin()))
			wantError(t, err, crypto.ErrIntegrity, "root key is")
		})
	}
}

func TestConfigIsNamed(t *testing.T) {
	p := newPlace(t)
	config := p.sealConfig()
	k := p.change(time.Hour, (*Draft).HandOver)
	sum := sha256.Sum256(config)
	if k.contents.Config != hex.EncodeToString(sum[:]) {
		t.Errorf("the keys name config %s", k.contents.Config)
	}
	// A config that nobody has signed is not vouched for.
	p.put(configName, []byte("rubbish"))
	now := noon
	_, _, err := p.editor(&now).Change(t.Context(), (*Draft).HandOver)
	wantError(t, err, crypto.ErrIntegrity, "config")
	p.delete(configName)
	_, _, err = p.editor(&now).Change(t.Context(), (*Draft).HandOver)
	wantError(t, err, nil, "config")
}
