package job

import (
	"fmt"
	"net/url"
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
		u, err := url.Parse(v)
		if err != nil || !strings.HasPrefix(v, "https://") && !strings.HasPrefix(v, "http://") || u.Host == "" {
			return Hook{}, fmt.Errorf("read hook %q: a string is an http:// or https:// URL, and a command is a list: [%q]", v, strings.Join(strings.Fields(v), `", "`))
		}
		return Hook{URL: v}, nil
	case []any:
		var command []string
		for _, word := range v {
			s, ok := word.(string)
			if !ok {
				return Hook{}, fmt.Errorf("read hook %v: a command is a list of strings", v)
			}
			command = append(command, s)
		}
		if len(command) == 0 || command[0] == "" {
			return Hook{}, fmt.Errorf("read hook: the command is empty")
		}
		return Hook{Command: command}, nil
	}
	return Hook{}, fmt.Errorf("read hook %v: it is a URL, or a list of strings that is a command", v)
}
