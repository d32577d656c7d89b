package sum

import "testing"

func TestText(t *testing.T) {
	var s Sum
	s.Add([][]byte{[]byte("1"), nil, {}}, nil)
	s.Add([][]byte{nil}, nil)
	for _, want := range []Sum{{}, s} {
		if got, err := Parse(want.String()); err != nil || got != want {
			t.Errorf("%v became %v: %v", want, got, err)
		}
	}
	for _, text := range []string{"", "1-2", "01-2-00000003", "1-2-3", "1-2-00000003-", "-1-2-00000003", "1-2-0000000G"} {
		if _, err := Parse(text); err == nil {
			t.Errorf("%q is parsed", text)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("3-7438291023-9f3a01bc")
	f.Fuzz(func(t *testing.T, text string) {
		if s, err := Parse(text); err == nil && s.String() != text {
			t.Errorf("%q became %q", text, s)
		}
	})
}
