package dbflags

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"nightjar/cmd/nightjar/internal/session"
	"nightjar/cmd/nightjar/internal/usage"
	"nightjar/mysqldump/login"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestParseServer(t *testing.T) {
	for text, want := range map[string]address{
		"db":              {host: "db", protocol: "tcp"},
		"db:3307":         {host: "db", port: "3307", protocol: "tcp"},
		"root@db":         {user: "root", host: "db", protocol: "tcp"},
		"a@b@db:1":        {user: "a@b", host: "db", port: "1", protocol: "tcp"},
		"localhost":       {host: "localhost"},
		"localhost:3306":  {host: "localhost", port: "3306", protocol: "tcp"},
		"::1":             {host: "::1", protocol: "tcp"},
		"[::1]":           {host: "::1", protocol: "tcp"},
		"x@[::1]:3307":    {user: "x", host: "::1", port: "3307", protocol: "tcp"},
		"/run/a@b.sock":   {host: "localhost", socket: "/run/a@b.sock", protocol: "socket"},
		"root@/run/s":     {user: "root", host: "localhost", socket: "/run/s", protocol: "socket"},
		"127.0.0.1:13306": {host: "127.0.0.1", port: "13306", protocol: "tcp"},
	} {
		if got, err := parseServer(text); err != nil || got != want {
			t.Errorf("%q: %+v, %v, want %+v", text, got, err, want)
		}
	}
	for _, text := range []string{"@db", "db:", ":3306", "root@", "[::1", "[::1]x", "root:secret@db", "a b", "run/sock", "[]"} {
		if got, err := parseServer(text); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
}

// A line is a command line in an environment with a home of its own.
type line struct {
	home     string
	env      map[string]string
	other    string // the server that is meant
	args     []string
	warnings []error
}

func (l *line) login(t *testing.T) (*login.Login, error) {
	t.Helper()
	var it, source Flags
	c := &cobra.Command{}
	it.Bind(c)
	source.BindOther(c, "source")
	must(t, c.ParseFlags(l.args))
	set := &session.Settings{
		Getenv: func(name string) string {
			if name == "HOME" {
				return l.home
			}
			return l.env[name]
		},
		Warn:    func(err error) { l.warnings = append(l.warnings, err) },
		TempDir: t.TempDir(),
	}
	if l.other == "source" {
		return source.Login(t.Context(), set)
	}
	return it.Login(t.Context(), set)
}

func TestLogin(t *testing.T) {
	home := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(home, name)
		must(t, os.WriteFile(path, []byte(content), 0o600))
		return path
	}
	file(".my.cnf", "[client]\nhost=local\nuser=owner\npassword=local\n[clientX]\nhost=x\n[nightjar-source]\nhost=far\nuser=repl\n[nightjar-sourceX]\nport=9\n")
	empty, other := file("empty.cnf", ""), file("other.cnf", "[client]\nhost=other\nuser=o\n[nightjar]\npassword=n\n")
	password := file("password", "filed\nx\n")
	only := "--defaults-file=" + empty
	for _, c := range []struct {
		name           string
		line           line
		want, password string
	}{
		{"home", line{}, "owner@local:3306", "local"},
		{"suffix", line{args: []string{"--defaults-group-suffix=X"}}, "owner@x:3306", "local"},
		{"suffix of the environment", line{env: map[string]string{"MYSQL_GROUP_SUFFIX": "X"}}, "owner@x:3306", "local"},
		{"server", line{args: []string{"--server=me@db:1"}}, "me@db:1", "local"},
		{"user", line{args: []string{"--server=me@db:1", "--user=you"}}, "you@db:1", "local"},
		{"socket", line{args: []string{"--server=/s"}}, "owner@/s", "local"},
		{"password's file", line{args: []string{"--password-file=" + password}, env: map[string]string{"NIGHTJAR_MYSQL_PASSWORD": "x"}}, "owner@local:3306", "filed"},
		{"password's command", line{args: []string{"--password-command=echo commanded"}, env: map[string]string{"NIGHTJAR_MYSQL_PASSWORD_FILE": password}}, "owner@local:3306", "commanded"},
		{"variable", line{env: map[string]string{"NIGHTJAR_MYSQL_PASSWORD": "said", "MYSQL_PWD": "x"}}, "owner@local:3306", "said"},
		{"variable's file", line{env: map[string]string{"NIGHTJAR_MYSQL_PASSWORD_FILE": password, "NIGHTJAR_MYSQL_PASSWORD": "x"}}, "owner@local:3306", "filed"},
		{"clients' variables are weaker", line{env: map[string]string{"MYSQL_PWD": "x", "MYSQL_HOST": "x"}}, "owner@local:3306", "local"},
		{"clients' variables", line{args: []string{only, "--user=u"}, env: map[string]string{"MYSQL_PWD": "w", "MYSQL_HOST": "h", "MYSQL_TCP_PORT": "7"}}, "u@h:7", "w"},
		{"clients' socket", line{args: []string{only, "--user=u"}, env: map[string]string{"MYSQL_UNIX_PORT": "/s"}}, "u@/s", ""},
		{"source", line{other: "source", env: map[string]string{"MYSQL_PWD": "x", "MYSQL_HOST": "x", "NIGHTJAR_MYSQL_PASSWORD": "x"}, args: []string{"--server=x", "--user=x"}}, "repl@far:3306", ""},
		{"source's suffix", line{other: "source", args: []string{"--source-defaults-group-suffix=X"}}, "repl@far:9", ""},
		{"source's file", line{other: "source", args: []string{"--source-defaults-file=" + other}}, "o@other:3306", "n"},
		{"source's flags", line{other: "source", args: []string{"--source=a@b:1", "--source-password-file=" + password}}, "a@b:1", "filed"},
		{"source's variable", line{other: "source", env: map[string]string{"NIGHTJAR_SOURCE_PASSWORD": "said"}}, "repl@far:3306", "said"},
	} {
		c.line.home = home
		l, err := c.line.login(t)
		if err != nil || l.String() != c.want || l.Password.Reveal() != c.password || len(c.line.warnings) > 0 {
			t.Errorf("%s: %v, %v, warnings %v, want %s", c.name, l, err, c.line.warnings, c.want)
		}
	}
	l, err := (&line{home: home, args: []string{"--ssl-mode=verify_ca", "--ssl-ca=a", "--ssl-cert=b", "--ssl-key=c"}}).login(t)
	if want := (login.TLS{Mode: login.VerifyCA, CA: "a", Cert: "b", Key: "c"}); err != nil || l.TLS != want {
		t.Errorf("TLS: %+v, %v", l, err)
	}
}

func TestRefused(t *testing.T) {
	home := t.TempDir()
	empty := filepath.Join(home, "empty.cnf")
	must(t, os.WriteFile(empty, nil, 0o600))
	var wrong usage.Error
	for _, args := range [][]string{{"--server=@x"}, {"--password-file=x", "--password-command=y"}} {
		if _, err := (&line{home: home, args: args}).login(t); !errors.As(err, &wrong) {
			t.Errorf("%q: %v", args, err)
		}
	}
	for _, args := range [][]string{{"--password-file=" + empty}, {"--password-command=true"}, {"--server=db:x"}, {"--ssl-mode=x"}, {"--defaults-file=" + home}} {
		if _, err := (&line{home: home, args: args}).login(t); err == nil {
			t.Errorf("%q is taken", args)
		}
	}
	for _, args := range [][]string{nil, {"--source-user=x"}, {"--source-defaults-file=" + empty}} {
		if _, err := (&line{home: home, other: "source", args: args}).login(t); !errors.Is(err, login.ErrUnnamed) {
			t.Errorf("a source that nobody names: %v", err)
		}
	}
	must(t, os.WriteFile(filepath.Join(home, ".my.cnf"), nil, 0o600))
	must(t, os.Chmod(filepath.Join(home, ".my.cnf"), 0o666))
	l := &line{home: home}
	if _, err := l.login(t); err != nil || len(l.warnings) != 1 {
		t.Errorf("a file that everybody may write: %v, %v", l.warnings, err)
	}
}

// The flags stand beside those that all commands have.
func TestNames(t *testing.T) {
	c := &cobra.Command{}
	var it, source Flags
	it.Bind(c)
	source.BindOther(c, "source")
	for _, taken := range []string{"host", "key", "kit", "root", "repo", "job", "kind", "tag", "label", "at", "connections"} {
		if c.Flags().Lookup(taken) != nil {
			t.Errorf("--%s is taken by nightjar itself", taken)
		}
	}
	for _, name := range []string{"server", "user", "password-file", "defaults-file", "source", "source-user", "source-ssl-ca"} {
		if c.Flags().Lookup(name) == nil {
			t.Errorf("there is no --%s", name)
		}
	}
}
