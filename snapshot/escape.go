package snapshot

import (
	"errors"
	"fmt"
	"strings"
)

// Characters of tags that all of Amazon's services accept are letters, digits, spaces and + - = . _ : / @. Here @ begins two hexadecimal
// digits, which stand for any other byte, = divides fields of the map of volumes, and + ends each of its entries.

const hexDigits = "0123456789ABCDEF"

func isLetter(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

// Escape returns how s is written as the value of a tag: *, ? and \, which EC2's filters take for patterns, are never part of that.
func Escape(s string) string {
	return escape(s, func(i int) bool {
		c := s[i]
		return isLetter(c) || strings.IndexByte("-._:/+=", c) >= 0 || c == ' ' && i > 0 && i < len(s)-1
	})
}

// escapeField escapes what divides fields besides.
func escapeField(s string) string {
	return escape(s, func(i int) bool { return isLetter(s[i]) || strings.IndexByte("-._:/", s[i]) >= 0 })
}

func escape(s string, keep func(i int) bool) string {
	var b strings.Builder
	for i := range len(s) {
		if keep(i) {
			b.WriteByte(s[i])
			continue
		}
		b.Write([]byte{'@', hexDigits[s[i]>>4], hexDigits[s[i]&15]})
	}
	return b.String()
}

// escapeUpTo cuts s so that it fits escaped.
func escapeUpTo(s string, most int) string {
	s = s[:min(len(s), most)]
	for {
		if e := Escape(s); len(e) <= most {
			return e
		}
		s = s[:len(s)-1]
	}
}

func unescape(value string) (string, error) {
	if len(value) > maxValue {
		return "", fmt.Errorf("%d bytes are too many", len(value))
	}
	return unescapeField(value)
}

func unescapeField(value string) (string, error) {
	if strings.IndexByte(value, '@') < 0 {
		return value, nil
	}
	b := make([]byte, 0, len(value))
	for i := 0; i < len(value); i++ {
		if value[i] != '@' {
			b = append(b, value[i])
			continue
		}
		if i+2 >= len(value) {
			return "", errors.New("it ends amid an escape")
		}
		high, low := strings.IndexByte(hexDigits, value[i+1]), strings.IndexByte(hexDigits, value[i+2])
		if high < 0 || low < 0 {
			return "", errors.New("@ is not followed by two hexadecimal digits")
		}
		b = append(b, byte(high<<4|low))
		i += 2
	}
	return string(b), nil
}

// packVolumes writes entries one after the other, each whole in a value if it fits into one.
func packVolumes(volumes []Volume) []string {
	var values []string
	last := ""
	for _, v := range volumes {
		entry := packVolume(v)
		if len(last)+len(entry) > maxValue && last != "" {
			values = append(values, last)
			last = ""
		}
		for last += entry; len(last) > maxValue; last = last[maxValue:] {
			values = append(values, last[:maxValue])
		}
	}
	if last != "" {
		values = append(values, last)
	}
	return values
}

// packVolume writes volume=device=mount=fs=mode=boot+ without fields at the end that say nothing.
func packVolume(v Volume) string {
	boot := ""
	if v.Boot {
		boot = "boot"
	}
	fields := []string{v.ID, v.Device, v.Mount, v.FS, v.Mode, boot}
	for i, f := range fields {
		fields[i] = escapeField(f)
	}
	return strings.TrimRight(strings.Join(fields, "="), "=") + "+"
}

func unpackVolumes(packed string) ([]Volume, error) {
	if packed == "" {
		return nil, nil
	}
	if !strings.HasSuffix(packed, "+") {
		return nil, errors.New("a part of the map is missing")
	}
	if n := strings.Count(packed, "+"); n > MaxVolumes {
		return nil, fmt.Errorf("%d volumes, and %d is the most", n, MaxVolumes)
	}
	var volumes []Volume
	for entry := range strings.SplitSeq(packed[:len(packed)-1], "+") {
		v, err := unpackVolume(entry)
		if err != nil {
			return nil, err
		}
		volumes = append(volumes, v)
	}
	return volumes, nil
}

func unpackVolume(entry string) (v Volume, err error) {
	boot := ""
	to := []*string{&v.ID, &v.Device, &v.Mount, &v.FS, &v.Mode, &boot}
	fields := strings.SplitN(entry, "=", len(to)+1)
	if len(fields) > len(to) {
		return v, fmt.Errorf("an entry has more than %d fields", len(to))
	}
	for i, f := range fields {
		if *to[i], err = unescapeField(f); err != nil {
			return v, err
		}
	}
	if v.Boot = boot == "boot"; boot != "" && !v.Boot {
		return v, fmt.Errorf("an entry ends in %.20q", boot)
	}
	return v, nil
}
