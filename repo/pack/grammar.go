package pack

import (
	"encoding/binary"
	"errors"

	"github.com/klauspost/compress/zstd"
)

// zero is compared with padding.
var zero [64 << 10]byte

// frameLength returns how long the zstd frame is that b begins with, and its header. A decoder would go on with whatever follows the frame, and pass over foreign frames.
func frameLength(b []byte) (n int, h zstd.Header, err error) {
	if err := h.Decode(b); err != nil {
		return 0, h, err
	}
	if h.Skippable || h.DictionaryID != 0 {
		return 0, h, errors.New("no frame of its own content")
	}
	at := h.HeaderSize
	for last := false; !last; {
		if len(b)-at < 3 {
			return 0, h, errMalformed
		}
		block := int(b[at]) | int(b[at+1])<<8 | int(b[at+2])<<16
		size := block >> 3
		switch block >> 1 & 3 { // as itself, one byte repeated, compressed
		case 1:
			size = 1
		case 3:
			return 0, h, errMalformed
		}
		if at += 3; size > len(b)-at {
			return 0, h, errMalformed
		}
		at, last = at+size, block&1 != 0
	}
	if h.HasCheckSum {
		at += 4
	}
	if at > len(b) {
		return 0, h, errMalformed
	}
	return at, h, nil
}

// oneFrame fails unless b is one zstd frame.
func oneFrame(b []byte) error {
	n, _, err := frameLength(b)
	if err == nil && n != len(b) {
		err = errors.New("more than one frame")
	}
	return err
}

// padded fails unless b is one padding frame of zeros, but for the extra last bytes.
func padded(b []byte, extra int) error {
	if len(b) < skipHeader+extra || binary.LittleEndian.Uint32(b) != magicPadding || int64(binary.LittleEndian.Uint32(b[4:])) != int64(len(b)-skipHeader) {
		return errors.New("no padding to its end")
	}
	for b = b[skipHeader : len(b)-extra]; len(b) > 0; b = b[min(len(b), len(zero)):] {
		if n := min(len(b), len(zero)); string(b[:n]) != string(zero[:n]) {
			return errors.New("padding that is not zero")
		}
	}
	return nil
}
