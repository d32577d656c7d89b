// Package framing splits OpenPGP data into packets, and frames packets that are written. It knows the one exact form of a
// header and of a number.
//
// The invariant: no packet reaches beyond the data that holds it. What is in a packet is go-crypto's to parse.
package framing

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/bits"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// Packet tags, RFC 9580 section 5.
const (
	TagSession      = 1
	TagSignature    = 2
	TagSecretKey    = 5
	TagPublicKey    = 6
	TagSecretSubkey = 7
	TagUserID       = 13
	TagPublicSubkey = 14

	TagUserAttribute = 17
)

// ErrMalformed says that data does not begin with a packet as it must be.
var ErrMalformed = errors.New("malformed packet")

// Next splits the first packet off data. Partial and indeterminate
// lengths are refused; body is a part of data.
func Next(data []byte) (tag byte, body, rest []byte, err error) {
	if len(data) < 2 || data[0]&0x80 == 0 {
		return 0, nil, nil, ErrMalformed
	}
	var n, head uint64
	if data[0]&0x40 != 0 {
		tag = data[0] & 0x3f
		switch c := uint64(data[1]); {
		case c < 192:
			n, head = c, 2
		case c < 224 && len(data) >= 3:
			n, head = (c-192)<<8+uint64(data[2])+192, 3
		case c == 255 && len(data) >= 6:
			n, head = uint64(binary.BigEndian.Uint32(data[2:])), 6
		default:
			return 0, nil, nil, ErrMalformed
		}
	} else {
		tag = data[0] >> 2 & 0x0f
		size := 1 << (data[0] & 3)
		if size == 8 || len(data) < 1+size {
			return 0, nil, nil, ErrMalformed
		}
		for _, c := range data[1 : 1+size] {
			n = n<<8 | uint64(c)
		}
		head = uint64(1 + size)
	}
	if n > uint64(len(data))-head {
		return 0, nil, nil, ErrMalformed
	}
	return tag, data[head : head+n], data[head+n:], nil
}

// appendHeader appends a new-format header of minimal length.
func appendHeader(dst []byte, tag byte, n int) []byte {
	dst = append(dst, 0xC0|tag)
	switch {
	case n < 192:
		return append(dst, byte(n))
	case n < 8384:
		return append(dst, byte((n-192)>>8+192), byte(n-192))
	}
	return binary.BigEndian.AppendUint32(append(dst, 0xFF), uint32(n))
}

// Append appends a packet, its header of minimal length.
func Append(dst []byte, tag byte, body []byte) []byte {
	return append(appendHeader(dst, tag, len(body)), body...)
}

// Exact is Next for a packet of one tag in the form that Append writes.
func Exact(data []byte, tag byte) (body, rest []byte, err error) {
	got, body, rest, err := Next(data)
	if err != nil {
		return nil, nil, err
	}
	head := data[:len(data)-len(body)-len(rest)]
	if got != tag || !bytes.Equal(head, appendHeader(nil, tag, len(body))) {
		return nil, nil, ErrMalformed
	}
	return body, rest, nil
}

// Parse has go-crypto parse one packet's body.
func Parse(tag byte, body []byte) (packet.Packet, error) {
	return packet.Read(bytes.NewReader(Append(nil, tag, body)))
}

// ExactMPIs says whether data is exactly n multiprecision integers without
// leading zero bits. Another encoding of the same number would be a second
// form of the same message.
func ExactMPIs(data []byte, n int) bool {
	for ; n > 0; n-- {
		if len(data) < 3 {
			return false
		}
		size := int(binary.BigEndian.Uint16(data))
		data = data[2:]
		want := (size + 7) / 8
		if want > len(data) || want == 0 || (want-1)*8+bits.Len8(data[0]) != size {
			return false
		}
		data = data[want:]
	}
	return len(data) == 0
}
