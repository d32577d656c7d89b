package filename

import "testing"

func TestDecode(t *testing.T) {
	for file, want := range map[string]string{
		"plain_1": "plain_1", "d@002d@0p@0023": "d-é#", "t@002f@00400023@8a9e@r1@20ac@1r@0020@005cu0001x": "t/@0023語я€ÿ \\u0001x", "#mysql50#a.b": "a.b",
		"@": "@", "@0": "@0", "a@00": "a@00", "@00zz": "@00zz", "@d83d@de00": "😀",
	} {
		if got := Decode(file); got != want {
			t.Errorf("%q is %q, not %q", file, got, want)
		}
	}
	if n := len(lettersOf()); n != 1511 {
		t.Errorf("%d letters", n)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add("t@002f@0p@8a9e")
	f.Fuzz(func(t *testing.T, file string) { Decode(file) })
}
