package crypto

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// A passphrase that gpg takes for another one never protects a key; of the longest, gpg opens it.
func TestUnfitPassphrase(t *testing.T) {
	k, err := Generate("unfit", time.Now(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for what, p := range map[string]string{"two lines": "a\nb", "a line's end": "a\n", "a return": "a\r", "zero": "a\x00b", "long": strings.Repeat("x", 256)} {
		if _, err := k.ArmorSecret([]byte(p)); !errors.Is(err, ErrUnfit) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for what, p := range map[string]string{"none": "", "a space at its end": "a ", "the longest": strings.Repeat("x", 255)} {
		if err := fit([]byte(p)); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}
