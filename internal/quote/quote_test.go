package quote

import (
	"encoding/json"
	"testing"
)

func TestText(t *testing.T) {
	for in, want := range map[string]string{
		"plain":           "plain",
		"héllo \n":        "héllo \n",
		`back\slash`:      `back\\slash`,
		"bad\xff\xfe":     `bad\xff\xfe`,
		`\xff`:            `\\xff`,
		"half \xe2\x82":   `half \xe2\x82`,
		"\uFFFD is valid": "\uFFFD is valid",
	} {
		if got := Text(in); got != want {
			t.Errorf("Text(%q) = %q, want %q", in, got, want)
		}
	}
	for _, bad := range []string{`\`, `\x`, `\x1`, `\xzz`, `\n`, `a\`} {
		if got, err := Bytes(bad); err == nil {
			t.Errorf("Bytes(%q) = %q", bad, got)
		}
	}
}

func FuzzText(f *testing.F) {
	f.Add("a\\b\xff\x00é")
	f.Fuzz(func(t *testing.T, s string) {
		j, err := json.Marshal(Text(s))
		if err != nil {
			t.Fatal(err)
		}
		var text string
		if err := json.Unmarshal(j, &text); err != nil {
			t.Fatal(err)
		}
		if back, err := Bytes(text); err != nil || back != s {
			t.Fatalf("%q came back as %q, %v", s, back, err)
		}
		if back := Undisplay(Display(s)); back != s {
			t.Fatalf("%q is displayed, and came back as %q", s, back)
		}
		for _, r := range Display(s) {
			if !shown(r) {
				t.Fatalf("Display(%q) shows %q", s, r)
			}
		}
	})
}

func TestDisplay(t *testing.T) {
	for in, want := range map[string]string{
		"a b é":             "a b é",
		"esc\x1b[31m":       `esc\x1b[31m`,
		"line\nbreak":       `line\nbreak`,
		"rtl\u202eoverride": `rtl\u202eoverride`,
		"\xff":              `\xff`,
		`\xff`:              `\\xff`,
	} {
		if got := Display(in); got != want {
			t.Errorf("Display(%q) = %q, want %q", in, got, want)
		}
		if got := Undisplay(want); got != in {
			t.Errorf("Undisplay(%q) = %q, want %q", want, got, in)
		}
	}
	for _, other := range []string{`C:\windows`, `\`, `\u12`, "\xff\\n\\", `'\400`} {
		if got := Undisplay(other); got != other {
			t.Errorf("Undisplay(%q) = %q", other, got)
		}
	}
}
