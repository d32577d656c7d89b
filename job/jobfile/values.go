package jobfile

import (
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"nightjar/internal/calendar"
	"nightjar/internal/human"
)

// A Schedule is an expression of cron by this machine's clock. The zero value is never due.
type Schedule struct {
	Cron  calendar.Cron
	Given bool
}

// UnmarshalText reads an expression as calendar.ParseCron does.
func (s *Schedule) UnmarshalText(text []byte) (err error) {
	s.Cron, err = calendar.ParseCron(string(text))
	s.Given = err == nil
	return err
}

// MarshalText returns the expression.
func (s Schedule) MarshalText() ([]byte, error) { return []byte(s.Cron.String()), nil }

// A Duration is an age as nightjar writes them: 90s, 30m, 12h, 7D.
type Duration time.Duration

// UnmarshalText reads an age.
func (d *Duration) UnmarshalText(text []byte) error {
	age, err := human.ParseAge(string(text))
	*d = Duration(age)
	return err
}

// A Hook is a command with its arguments, or a URL that is called. No shell reads it.
type Hook struct {
	URL     string
	Command []string
}

// HooksOf reads the hooks that a setting lists.
func HooksOf(list []any) ([]Hook, error) {
	var hooks []Hook
	for _, v := range list {
		h, err := hookOf(v)
		if err != nil {
			return nil, err
		}
		hooks = append(hooks, h)
	}
	return hooks, nil
}

// hookOf reads a hook of the file: a list is a command, a string is a URL.
func hookOf(v any) (Hook, error) {
	switch v := v.(type) {
	case string:
		if !isURL(v) {
			return Hook{}, fmt.Errorf(`read hook: a string is an http:// or https:// URL, and a command is a list: [["systemctl", "reload", "nginx"]]`)
		}
		return Hook{URL: v}, nil
	case []any:
		var command []string
		for _, word := range v {
			s, ok := word.(string)
			if !ok || strings.ContainsRune(s, 0) {
				return Hook{}, fmt.Errorf("read hook: a command is a list of strings")
			}
			command = append(command, s)
		}
		if len(command) == 0 || command[0] == "" {
			return Hook{}, fmt.Errorf("read hook: the command is empty")
		}
		return Hook{Command: command}, nil
	}
	return Hook{}, fmt.Errorf("read hook: it is a URL, or a list of strings that is a command")
}

// wrongValue returns what is wrong with a string: by a field's tag it is an age, a size, a share, a duration as flags have it, a path, a URL, a place of repositories, or one of
// several words.
func wrongValue(s, is string) string {
	var err error
	switch is {
	case "":
	case "age":
		_, err = human.ParseAge(s)
	case "size":
		_, err = human.ParseSize(s)
	case "share":
		_, err = human.ParseShare(s)
	case "duration":
		if d, wrong := time.ParseDuration(s); wrong != nil || d < 0 {
			return fmt.Sprintf(`duration "%s": write it like 100ms, 30s, 5m or 1h30m`, short(s))
		}
	case "path":
		if !filepath.IsAbs(s) {
			return fmt.Sprintf(`path "%s": it has to begin with a slash, since no folder is the current one here`, short(s))
		}
	case "url":
		if !isURL(s) {
			return "it is no http:// or https:// URL" // which may hold a password
		}
	case "place":
		if kind, rest, ok := strings.Cut(s, "://"); !filepath.IsAbs(s) && (!ok || kind == "" || rest == "") {
			return "it is neither an absolute path nor a URL such as s3://bucket/prefix"
		}
	default:
		words := strings.Split(is, "|")
		if !slices.Contains(words, s) {
			return fmt.Sprintf(`"%s" is none of %s`, short(s), strings.Join(words, ", ")) + meant(s, words, nil)
		}
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

func isURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (strings.HasPrefix(s, "http://") || strings.HasPrefix(s, "https://")) && u.Host != ""
}
