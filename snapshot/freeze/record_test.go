package freeze

import (
	"bytes"
	"strings"
	"testing"
)

func FuzzRecord(f *testing.F) {
	f.Add([]byte(`{"Boot":"1","Targets":[{"Path":"/data","Number":{"Major":259,"Minor":1}}]}`))
	f.Add([]byte(`{"Targets":[{},{}]}`))
	f.Add([]byte("{"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := readRecord(bytes.NewReader(b))
		if len(r.Targets) > maxTargets || err != nil && len(r.Targets) > 0 {
			t.Errorf("%d targets, %v", len(r.Targets), err)
		}
	})
}

func TestHostileRecords(t *testing.T) {
	for _, text := range []string{"", "[]", "{", `{"Targets":[` + strings.Repeat("{},", maxTargets) + `{}]}`, `{"Boot":"` + strings.Repeat("a", maxRecord) + `"}`} {
		if r, err := readRecord(strings.NewReader(text)); err == nil {
			t.Errorf("%.40q: took %+v", text, r)
		}
	}
}
