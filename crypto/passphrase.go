package crypto

import (
	"bytes"
	"errors"
	"fmt"
)

// maxPassphrase is how long a passphrase may be for gpg, in bytes: it cuts off what is more.
const maxPassphrase = 255

// ErrUnfit says that a passphrase protects a key so that stock gpg would not open it.
var ErrUnfit = errors.New("gpg could not be given this passphrase")

// fit returns an ErrUnfit for a passphrase that gpg takes for another. It says nothing of what is in it.
func fit(passphrase []byte) error {
	switch {
	case len(passphrase) > maxPassphrase:
		return fmt.Errorf("%w: it has more than %d bytes", ErrUnfit, maxPassphrase)
	case bytes.ContainsAny(passphrase, "\n\r"):
		return fmt.Errorf("%w: it has more than one line", ErrUnfit)
	case bytes.IndexByte(passphrase, 0) >= 0:
		return fmt.Errorf("%w: it has a zero byte", ErrUnfit)
	}
	return nil
}
