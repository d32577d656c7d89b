package cert

import (
	"bytes"
	"errors"
	"slices"

	"nightjar/crypto/internal/framing"
)

// Merge returns a certificate that says what k's and a later certificate of the same key say together. That they are of one key is the
// caller's to check.
func (k *Key) Merge(later *Key) (*Key, error) {
	both, err := splitKeys(append(k.Certificate(), later.Certificate()...))
	if err != nil {
		return nil, err
	}
	if len(both) != 2 {
		return nil, errors.New("not two of them")
	}
	return both[0].with(both[1]).key()
}

func (r rawKey) with(later rawKey) rawKey {
next:
	for _, p := range later {
		for i := range r {
			if bytes.Equal(r[i].body, p.body) {
				r[i].add(p.follows)
				continue next
			}
		}
		r = append(r, p)
	}
	return r
}

// add adds what follows the same key elsewhere, each signature once.
func (r *rawPart) add(follows []rawPacket) {
	for _, f := range follows {
		same := func(x rawPacket) bool { return x.tag == f.tag && bytes.Equal(x.body, f.body) }
		if f.tag != framing.TagSignature || !slices.ContainsFunc(r.follows, same) {
			r.follows = append(r.follows, f)
		}
	}
}
