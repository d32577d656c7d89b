package keyring

import (
	"bytes"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"

	"nightjar/crypto"
	"nightjar/internal/versioned"
)

func pinned(p Pin) func(string) (Pin, error) { return func(string) (Pin, error) { return p, nil } }

func TestLoad(t *testing.T) {
	// Each puts something beside the valid keys/000001.
	for name, test := range map[string]struct {
		name    string
		object  func(p *place) []byte
		number  int // that counts in the end
		invalid string
	}{
		"the next number counts": {"keys/000002", func(p *place) []byte { return p.signed(nil, func(*contents) {}) }, 2, ""},
		"seven digits": {"keys/1000000", func(p *place) []byte {
			return p.signed(nil, func(k *contents) { k.Number = 1000000 })
		}, 1000000, ""},
		"forged under a root of its own": {"keys/000002", func(p *place) []byte {
			return p.signed(thiefKey(), func(k *contents) { k.Root = certificate{thiefKey()} })
		}, 1, "root key is"},
		"forged under the true root": {"keys/000009", func(p *place) []byte {
			return p.signed(thiefKey(), func(k *contents) { k.Number = 9 })
		}, 1, "unknown key"},
		"forged of a newer version": {"keys/000002", func(p *place) []byte {
			return p.signed(thiefKey(), func(k *contents) { k.Version = 99 })
		}, 1, "unknown key"},
		"forged of a newer version under a root of its own": {"keys/000002", func(p *place) []byte {
			return p.signed(thiefKey(), func(k *contents) { k.Version, k.Root = 99, certificate{thiefKey()} })
		}, 1, "root key is"},
		"forged with a feature": {"keys/000002", func(p *place) []byte {
			return p.signed(thiefKey(), func(k *contents) { k.Features = []string{"x"} })
		}, 1, "unknown key"},
		"of another repository": {"keys/000002", func(p *place) []byte {
			return p.signed(thiefKey(), func(k *contents) { k.Repository, k.Root = strings.Repeat("ab", 16), certificate{thiefKey()} })
		}, 1, "another repository"},
		"of a repository that climbs out": {"keys/000002", func(p *place) []byte {
			return p.signed(nil, func(k *contents) { k.Repository = "../../../../etc" })
		}, 1, "malformed"},
		"renamed":         {"keys/000007", func(p *place) []byte { return p.get("keys/000001") }, 1, "number 1"},
		"negative number": {"keys/000002", func(p *place) []byte { return p.signed(nil, func(k *contents) { k.Number = -2 }) }, 1, "number -2"},
		"unsigned":        {"keys/000002", func(p *place) []byte { return []byte(`{"version":0,"number":2}`) }, 1, "000002"},
		"empty":           {"keys/000002", func(p *place) []byte { return nil }, 1, "000002"},
		"no JSON":         {"keys/000002", func(p *place) []byte { return signText(p, "{") }, 1, "000002"},
		"root is no key": {"keys/000002", func(p *place) []byte {
			return signText(p, fmt.Sprintf(`{"version":0,"number":2,"repository":%q,"root":"x"}`, p.keys.ID()))
		}, 1, "root certificate"},
		"config under keys": {"keys/000002", func(p *place) []byte { return p.get("config") }, 1, "000002"},
		"truncated": {"keys/000002", func(p *place) []byte {
			b := p.signed(nil, func(*contents) {})
			return b[:len(b)-1]
		}, 1, "000002"},
		"two in one": {"keys/000002", func(p *place) []byte {
			b := p.signed(nil, func(*contents) {})
			return append(b, b...)
		}, 1, "000002"},
		"foreign name":  {"keys/readme", func(p *place) []byte { return []byte("hello") }, 1, ""},
		"short number":  {"keys/2", func(p *place) []byte { return p.signed(nil, func(*contents) {}) }, 1, ""},
		"number zero":   {"keys/000000", func(p *place) []byte { return p.signed(nil, func(k *contents) { k.Number = 0 }) }, 1, ""},
		"larger number": {"keys/99999999999999999999999", func(p *place) []byte { return []byte("x") }, 1, ""},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t)
			p.put(test.name, test.object(p))
			remembered := func(id string) (Pin, error) {
				if id != p.keys.ID() {
					return Pin{}, ErrRollback
				}
				return p.keys.Pin(), nil
			}
			for who, pin := range map[string]func(string) (Pin, error){
				"a new host":   noPin,
				"an old host":  remembered,
				"a kit's user": pinned(Pin{Root: p.keys.Pin().Root}),
			} {
				var invalid []error
				k, err := Load(t.Context(), p.memory, pin, func(err error) { invalid = append(invalid, err) })
				if err != nil {
					t.Errorf("%s: %v", who, err)
					continue
				}
				if k.Pin().Number != test.number || k.Pin().Root != p.keys.Pin().Root || k.ID() != p.keys.ID() {
					t.Errorf("%s: %+v of %s counts", who, k.Pin(), k.ID())
				}
				if (len(invalid) == 1) != (test.invalid != "") {
					t.Errorf("%s: reported: %v", who, invalid)
				}
				for _, err := range invalid {
					if test.invalid != "another repository" { // which the old host says in its own words
						wantError(t, err, nil, test.invalid)
					}
					wantError(t, err, nil, test.name)
				}
			}
		})
	}
}

func signText(p *place, text string) []byte {
	root := p.root
	b, err := crypto.Sign(root, []byte(text), crypto.Binding{Repository: p.keys.ID(), Kind: "keys/000002"}, noon)
	if err != nil {
		p.t.Fatal(err)
	}
	return b
}

func TestLoadFails(t *testing.T) {
	own := otherPlace(t).keys.Pin()
	for name, test := range map[string]struct {
		change func(p *place)
		pin    func(p *place) func(string) (Pin, error)
		target error
		text   string
	}{
		"nothing there":   {func(p *place) { p.delete("keys/000001") }, nil, ErrNoRepository, ""},
		"only strangers":  {func(p *place) { p.delete("keys/000001"); p.put("keys/readme", []byte("x")) }, nil, ErrNoRepository, ""},
		"another root":    {nil, func(*place) func(string) (Pin, error) { return pinned(own) }, crypto.ErrIntegrity, "root key is"},
		"older than seen": {nil, func(p *place) func(string) (Pin, error) { return pinned(Pin{p.keys.Pin().Root, 2}) }, ErrRollback, "keys/000002 was seen before"},
		"older than seen, beside a forged one": {func(p *place) {
			p.put("keys/000005", p.signed(thiefKey(), func(k *contents) { k.Number = 5 }))
		}, func(p *place) func(string) (Pin, error) { return pinned(Pin{p.keys.Pin().Root, 2}) }, ErrRollback, "keys/000002 was seen before"},
		"newer version": {func(p *place) {
			p.put("keys/000002", p.signed(nil, func(k *contents) { k.Version = 1 }))
		}, nil, versioned.ErrNewer, "version 1"},
		"unknown feature": {func(p *place) {
			p.put("keys/000002", p.signed(nil, func(k *contents) { k.Features = []string{"teleport"} }))
		}, nil, versioned.ErrNewer, "teleport"},
		// What the root has signed is not passed over for an older one, whatever is wrong with it.
		"a certificate of an unknown kind": {func(p *place) {
			text := must(crypto.PeekUnverified(p.signed(nil, func(k *contents) { k.Features = []string{"x"} })))
			p.put("keys/000002", signText(p, strings.Replace(string(text), `"recovery": [`, `"recovery": ["-----BEGIN PGP PUBLIC KEY BLOCK-----",`, 1)))
		}, nil, versioned.ErrNewer, "keys/000002"},
		"many hosts": {func(p *place) {
			p.put("keys/000002", p.signed(nil, func(k *contents) { k.Hosts = make([]Host, 10001) }))
		}, nil, versioned.ErrNewer, "out of bounds"},
		"many keys": {func(p *place) {
			p.put("keys/000002", p.signed(nil, func(k *contents) { k.Recovery = slices.Repeat(k.Recovery, 65) }))
		}, nil, versioned.ErrNewer, "out of bounds"},
		"no content":  {func(p *place) { p.put("keys/000002", p.signed(nil, func(k *contents) { k.Content = nil })) }, nil, versioned.ErrNewer, "out of bounds"},
		"no metadata": {func(p *place) { p.put("keys/000002", p.signed(nil, func(k *contents) { k.Metadata = nil })) }, nil, versioned.ErrNewer, "out of bounds"},
		"only a forged one": {func(p *place) {
			p.put("keys/000001", p.signed(thiefKey(), func(k *contents) { k.Number = 1 }))
		}, nil, crypto.ErrIntegrity, "keys/000001"},
		"pin cannot be read": {nil, func(*place) func(string) (Pin, error) {
			return func(string) (Pin, error) { return Pin{}, errFault }
		}, errFault, ""},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t)
			pin := noPin
			if test.pin != nil {
				pin = test.pin(p)
			}
			if test.change != nil {
				test.change(p)
			}
			before := everything(t, p.memory)
			k, err := Load(t.Context(), p.memory, pin, func(error) {})
			wantError(t, err, test.target, test.text)
			if k != nil {
				t.Error("a keyring came with the error")
			}
			wantSame(t, p.memory, before)
		})
	}
}

func TestReadRefusesEveryFlip(t *testing.T) {
	p := newPlace(t)
	object := p.get("keys/000001")
	step := max(len(object)/300, 1)
	for i := 0; i < len(object); i += step {
		bad := bytes.Clone(object)
		bad[i] ^= 1 << (i % 8)
		if _, err := Read(bad, pinned(p.keys.Pin())); err == nil {
			t.Errorf("flipped byte %d of %d is not seen", i, len(object))
		}
	}
	for _, n := range []int{0, 1, 15, 16, len(object) / 2, len(object) - 1} {
		_, err := Read(object[:n], pinned(p.keys.Pin()))
		wantError(t, err, crypto.ErrIntegrity, "")
	}
}

// Before the signature is checked nothing is decoded that grows beyond what was sent.
func TestReadHostileCounts(t *testing.T) {
	p := newPlace(t)
	text := fmt.Sprintf(`{"version":0,"number":2,"repository":%q,"root":%q,"hosts":[%s{}]}`, p.keys.ID(), "x", strings.Repeat("{},", 1<<20))
	object := signText(p, text)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := Read(object, pinned(p.keys.Pin())); err == nil {
		t.Error("it was read")
	}
	runtime.ReadMemStats(&after)
	allocated := after.TotalAlloc - before.TotalAlloc
	if allocated > uint64(len(object)) {
		t.Errorf("%d bytes allocated for an object of %d", allocated, len(object))
	}
}

func FuzzRead(f *testing.F) {
	p := newPlace(f)
	f.Add(p.get("keys/000001"))
	f.Add(p.signed(nil, func(k *contents) { k.Version = 1 }))
	f.Add(p.signed(nil, func(k *contents) { k.Features = []string{"x"} }))
	f.Add(signText(p, `{"version":0,"number":2,"repository":"../..","root":"x"}`))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, object []byte) {
		for _, pin := range []Pin{{}, p.keys.Pin()} {
			k, err := Read(object, pinned(pin))
			if err != nil {
				continue
			}
			if CheckID(k.ID()) != nil || k.Pin().Number <= 0 || pin.Root != "" && !k.Follows(pin.Root) {
				t.Errorf("%+v of %q was let in", k.Pin(), k.ID())
			}
		}
	})
}

// FuzzRecord has the root sign anything: what is signed must not bring the program down either.
func FuzzRecord(f *testing.F) {
	p := newPlace(f)
	root := p.root
	first, err := crypto.PeekUnverified(p.get("keys/000001"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(first)
	for _, s := range []string{`{}`, `{"version":0}`, `{"version":-1,"number":1}`, `{"version":0,"hosts":[{"certificates":[{}]}],"content":[{}],"metadata":[{}]}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		object, err := crypto.Sign(root, text, crypto.Binding{Repository: p.keys.ID(), Kind: "keys/000001"}, noon)
		if err != nil {
			t.Skip()
		}
		k, err := Read(object, noPin)
		if err != nil {
			return
		}
		// Errors are welcome, panics are not.
		_ = k.Recovery()
		_, _ = k.HostName(hostKey().Fingerprint())
		_ = k.Signers("archive")
		_ = k.MayWrite(hostKey().Fingerprint(), "forget", noon)
		_ = k.Follows(thiefKey().Fingerprint())
		_ = k.Grace(noon)
		_, _ = k.ContentKey()
		_, _ = k.MetadataKey()
	})
}
