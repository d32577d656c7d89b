package replay

import (
	"encoding/hex"
	"testing"

	"nightjar/internal/wire"
	"nightjar/mysqldump/binlog"
)

func FuzzSettings(f *testing.F) {
	for _, text := range []string{ // of MariaDB 10.11, 11.8, and MySQL 9.7
		"000000000101000020540000000006037374640400000000000080", "000080000101000020540000000006037374640400090009000981e3e500000000000082",
		"00000000000120000055000000000603737464042d00ff00ff000c0164001142000000000000001200ff00130014001500",
		"0b04726f6f74096c6f63616c686f737480a0860107000005062b30353a333003000a000300", "83010800e008",
	} {
		b, err := hex.DecodeString(text)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, err := parseSettings(b); err == nil && len(s.all)+len(s.maria)+4*len(s.pairs) > 5*len(b)+8 {
			t.Errorf("%d bytes make %d settings", len(b), len(s.all))
		}
	})
}

func FuzzUserVariable(f *testing.F) {
	for _, text := range []string{
		"0100000078" + "00" + "00" + "21000000" + "02000000" + "6162" + "00", "0100000069" + "00" + "02" + "3f000000" + "08000000" + "fbffffffffffffff" + "00",
		"0100000064" + "00" + "04" + "3f000000" + "09000000" + "0e01" + "7ff6ffffffffffff" + "00", "010000006e01",
	} {
		b, err := hex.DecodeString(text)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r := wire.NewReader(b)
		a := applier{collations: map[uint32]collation{33: {"utf8mb3_general_ci", "utf8mb3"}}}
		if text, err := a.userVariable(&r); err == nil && len(text) > 8*len(b)+100 {
			t.Errorf("%d bytes make %d", len(b), len(text))
		}
	})
}

// FuzzUnpack has compressed transactions, and rows that are gathered of what is in them.
func FuzzUnpack(f *testing.F) {
	f.Add([]byte("\x02\x01\xff\x03\x01\x17\x01\x01\x17\x00" + "\x00\x00\x00\x00\x1e\x01\x00\x00\x00\x17\x00\x00\x00\x00\x00\x00\x00\x00\x00" + "\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		raw := append(make([]byte, headerBytes), b...)
		e := binlog.Event{Type: binlog.TransactionPayload, Raw: raw}
		rows := batch{limit: 100}
		_ = unpack(&e, func(inner *binlog.Event) error {
			if inner.Type != binlog.TableMap && !inner.Type.IsRows() {
				return unfit(inner)
			}
			_, err := rows.add(inner, false)
			return err
		})
		rows.take(false)
	})
}

func TestDecimal(t *testing.T) {
	for _, text := range []string{"", "0e04", "0e0481", "040e" + "810dfb38d204d2"} {
		b, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := parseDecimal(b); err == nil {
			t.Errorf("%s: %q", text, got)
		}
	}
	// The example of the servers' decimal2bin: 1234567890.1234 and its negative, of 14 digits, 4 after the point.
	for text, want := range map[string]string{"0e04" + "810dfb38d204d2": "1234567890.1234", "0e04" + "7ef204c72dfb2d": "-1234567890.1234"} {
		b, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := parseDecimal(b); err != nil || got != want {
			t.Errorf("%s: %q, %v, want %q", text, got, err, want)
		}
	}
}
