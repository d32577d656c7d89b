package record

import "nightjar/internal/quote"

// A Text is bytes in a record, where they may be invalid UTF-8.
type Text string

// MarshalText escapes what is not UTF-8.
func (t Text) MarshalText() ([]byte, error) { return []byte(quote.Text(string(t))), nil }

// UnmarshalText undoes MarshalText.
func (t *Text) UnmarshalText(b []byte) error {
	s, err := quote.Bytes(string(b))
	*t = Text(s)
	return err
}
