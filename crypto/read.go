package crypto

import (
	"fmt"

	"nightjar/crypto/internal/cert"
)

// ReadKey reads the one key that data holds.
func ReadKey(data []byte) (*Key, error) {
	keys, err := ReadKeys(data)
	if err != nil {
		return nil, err
	}
	if len(keys) != 1 {
		return nil, fmt.Errorf("read key: found %d keys instead of one", len(keys))
	}
	return keys[0], nil
}

// ReadKeys reads version 4 keys, binary or in armored blocks with any text
// around them, at most 1 MiB. A key that is there with and without its secret half counts once, with it.
// Whether a key can be used is not asked here. There is at least one, or an error.
func ReadKeys(data []byte) ([]*Key, error) {
	certs, err := cert.Read(data)
	if err != nil {
		return nil, fmt.Errorf("read keys: %w", err)
	}
	keys := make([]*Key, len(certs))
	for i, c := range certs {
		keys[i] = &Key{c}
	}
	return keys, nil
}

// ReadCertificate reads a certificate that somebody who is believed vouches for, among thousands perhaps: what its self-signatures say is verified when
// it is first asked for. With one of which that fails nothing can be done.
func ReadCertificate(data []byte) (*Key, error) {
	c, err := cert.ReadLater(data)
	if err != nil {
		return nil, fmt.Errorf("read certificate: %w", err)
	}
	return &Key{c}, nil
}

// PeekFingerprint returns the fingerprint of the one key that data holds, without asking what its signatures are worth: it serves to
// learn whose certificate somebody shows before any work is spent on it.
func PeekFingerprint(data []byte) (Fingerprint, error) {
	raw, err := cert.Peek(data)
	if err != nil {
		return "", fmt.Errorf("read key: %w", err)
	}
	return fingerprint(raw), nil
}
