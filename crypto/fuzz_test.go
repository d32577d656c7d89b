package crypto

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// seedKeys returns the files that gpg made for tests, by name. They protect nothing.
func seedKeys(t testing.TB) map[string][]byte {
	t.Helper()
	names, err := filepath.Glob("testdata/keys/*")
	if err != nil || len(names) < 5 {
		t.Fatalf("seed keys are gone: found %d, %v", len(names), err)
	}
	seeds := make(map[string][]byte)
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		seeds[filepath.Base(name)] = data
	}
	return seeds
}

// fuzzKey is the same in every process, so that seeds open.
func fuzzKey(t testing.TB) *Key {
	t.Helper()
	k, err := ReadKey(seedKeys(t)["secret.asc"])
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func fuzzSealed(f *testing.F, k *Key, plain string) []byte {
	s, err := NewSealer(k, k, theBox, nil, k.cert.Primary().Pub.CreationTime.UTC)
	if err != nil {
		f.Fatal(err)
	}
	o, err := s.Seal([]byte(plain))
	if err != nil {
		f.Fatal(err)
	}
	return o.Object
}

// FuzzOpen gives the opener an object, and then the same bytes as the inside of a well encrypted one.
func FuzzOpen(f *testing.F) {
	k := fuzzKey(f)
	o := NewOpener(k)
	object := fuzzSealed(f, k, "plain")
	f.Add(bytes.Clone(object))
	f.Add(object[:len(object)/2])
	signed, err := Sign(k, []byte("plain"), theBox, k.cert.Primary().Pub.CreationTime)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(signed)
	f.Fuzz(func(t *testing.T, data []byte) {
		_, _ = o.SessionKey(data)
		for _, object := range [][]byte{bytes.Clone(data), wrap(t, k, data)} {
			opened, err := o.Open(object, by(k), theBox, noon)
			if err != nil && opened.Plain != nil {
				t.Error("plaintext beside an error")
			}
			if err == nil && string(opened.Plain) != "plain" {
				t.Errorf("forged %q", opened.Plain)
			}
		}
	})
}

func FuzzVerify(f *testing.F) {
	k := fuzzKey(f)
	signed, err := Sign(k, []byte("plain"), theBox, k.cert.Primary().Pub.CreationTime)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(signed)
	f.Add(signed[:40])
	f.Fuzz(func(t *testing.T, data []byte) {
		before := bytes.Clone(data)
		_, peekErr := PeekUnverified(data)
		opened, err := Verify(data, by(k), theBox, noon)
		if err == nil && (peekErr != nil || string(opened.Plain) != "plain") {
			t.Errorf("forged %q", opened.Plain)
		}
		if err != nil && !errors.Is(err, ErrIntegrity) {
			t.Errorf("another error: %v", err)
		}
		if !bytes.Equal(before, data) {
			t.Error("object was changed")
		}
	})
}

func FuzzDecrypt(f *testing.F) {
	k := fuzzKey(f)
	o := NewOpener(k)
	message, err := EncryptTo([]*Key{k}, []byte("plain"), nil, k.cert.Primary().Pub.CreationTime)
	if err != nil {
		f.Fatal(err)
	}
	body := undo(f, message)
	f.Add(message)
	f.Add(body)
	f.Add(append(bytes.Clone(body[:96]), body...))
	f.Fuzz(func(t *testing.T, data []byte) {
		text, err := armored("PGP MESSAGE", data)
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range [][]byte{data, text} {
			if plain, err := o.Decrypt(x); err == nil && string(plain) != "plain" {
				t.Errorf("forged %q", plain)
			}
		}
	})
}

func FuzzReadKeys(f *testing.F) {
	for _, data := range seedKeys(f) {
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		keys, err := ReadKeys(data)
		if err != nil {
			if keys != nil {
				t.Error("keys beside an error")
			}
			return
		}
		for _, k := range keys {
			again, err := ReadKey(k.Certificate())
			if err != nil {
				t.Fatalf("own certificate: %v", err)
			}
			if again.Fingerprint() != k.Fingerprint() || !bytes.Equal(again.Certificate(), k.Certificate()) {
				t.Error("another key came back")
			}
			if s, err := NewSealer(k, k, theBox, nil, clock); err == nil {
				if _, err := s.Seal([]byte("x")); err != nil {
					t.Logf("seal: %v", err)
				}
			}
			_, _ = EncryptTo([]*Key{k}, []byte("x"), nil, noon)
		}
	})
}
