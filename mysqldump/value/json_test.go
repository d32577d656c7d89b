package value

import (
	"bytes"
	"fmt"
	"testing"
)

func TestExactNumbers(t *testing.T) {
	for text, want := range map[string]string{
		`{"a": [1.10, {"b]": 2.0, "c\\\"": 2.50}], "d": -0}`:       `$."a"[0]=1.10 $."a"[1]."c\\\""=2.50 $."d"=-0e0`,
		`[18446744073709551615, 18446744073709551616, 1e100, 0.1]`: `$[1]=18446744073709551616`,
		`1.10`: `$=1.10`, `"1.10"`: ``, `{}`: ``, `]},`: ``,
	} {
		var got []string
		for _, n := range exactNumbers([]byte(text)) {
			got = append(got, fmt.Sprintf("%s=%s", n.path, n.literal))
		}
		if s := fmt.Sprint(got); s != "["+want+"]" {
			t.Errorf("%s: %s", text, s)
		}
	}
}

// Whatever text the server prints, the literal has it.
func FuzzJSON(f *testing.F) {
	for _, seed := range []string{`{"a": [1.10, {"b]": 2.0}], "c": -0}`, `]`, `"\`, `{"a`, `[[[[`, `-`, `1.1,1.1`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		exact := exactNumbers(text)
		if got := appendJSON(nil, text); len(got) < len(text) || bytes.HasPrefix(got, []byte("JSON_REPLACE(")) != (len(exact) > 0) {
			t.Errorf("%q became %q", text, got)
		}
	})
}
