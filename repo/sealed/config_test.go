package sealed

import (
	"bytes"
	"crypto/rand"
	"testing"

	"nightjar/chunk"
	"nightjar/crypto"
	"nightjar/internal/versioned"
	"nightjar/repo/keyring"
	"nightjar/repo/store"
	"nightjar/repo/store/storetest"
)

func TestOpenConfig(t *testing.T) {
	other := newPlace(t)
	for name, test := range map[string]struct {
		change func(p *place)
		target error
		text   string
	}{
		"missing":               {func(p *place) { must(0, p.memory.Delete(t.Context(), "config")) }, crypto.ErrIntegrity, "config"},
		"of another repository": {func(p *place) { p.put("config", other.get("config")) }, crypto.ErrIntegrity, "config"},
		"empty":                 {func(p *place) { p.put("config", nil) }, crypto.ErrIntegrity, "config"},
		"truncated":             {func(p *place) { b := p.get("config"); p.put("config", b[:len(b)-1]) }, crypto.ErrIntegrity, "config"},
		"flipped":               {func(p *place) { b := p.get("config"); b[len(b)/2] ^= 1; p.put("config", b) }, crypto.ErrIntegrity, "config"},
		"too large":             {func(p *place) { p.put("config", make([]byte, configMax+1)) }, store.ErrTooLarge, "config"},
		"signed by a host": {func(p *place) {
			p.putConfig(hostKey(), "config", p.configText(p.keys.ID()))
		}, crypto.ErrIntegrity, "unknown key"},
		"of another kind": {func(p *place) {
			p.putConfig(p.root, "archive", p.configText(p.keys.ID()))
		}, crypto.ErrIntegrity, "kind"},
		"newer version": {func(p *place) {
			p.putConfig(p.root, "config", []byte(`{"version":1}`))
		}, versioned.ErrNewer, "config"},
		"names another repository": {func(p *place) {
			p.putConfig(p.root, "config", p.configText(other.keys.ID()))
		}, crypto.ErrIntegrity, "another repository"},
		"bad chunker": {func(p *place) {
			p.putConfig(p.root, "config", bytes.Replace(p.configText(p.keys.ID()), []byte(`"min":524288`), []byte(`"min":-1`), 1))
		}, nil, "config"},
		"no secret": {func(p *place) {
			p.putConfig(p.root, "config", bytes.Replace(p.configText(p.keys.ID()), []byte(`"secret"`), []byte(`"sacred"`), 1))
		}, crypto.ErrIntegrity, "config"},
		"unreadable": {func(p *place) {
			p.faulty.Before = []storetest.Hook{storetest.From(storetest.Get, 1, errFault)}
		}, errFault, "config"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t)
			test.change(p)
			_, err := Open(t.Context(), p.faulty, p.keys, keyring.Held(recoveryKey()), p.options())
			wantError(t, err, test.target, test.text)
		})
	}
}

func FuzzConfig(f *testing.F) {
	p := newPlace(f)
	s := p.open()
	f.Add(p.configText(p.keys.ID()))
	f.Add([]byte(`{"version":0,"secret":"","chunker":{"polynomial":"0x1","min":0,"bits":64,"max":1}}`))
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		object, err := seal(p.metadata, p.root, binding(p.keys.ID(), Config), text, rand.Reader, p.clock)
		if err != nil {
			t.Skip()
		}
		if s.openConfig(object) == nil && (s.config.rule.Validate() != nil || s.config.secret == chunk.Secret{}) {
			t.Errorf("config %q was let in", text)
		}
	})
}
