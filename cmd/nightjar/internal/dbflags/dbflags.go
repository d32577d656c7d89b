// Package dbflags gives a command the flags that say how one gets onto a database server, and makes a login of them.
//
// Client option files are the main way, so there are few flags: everything else is a line of such a file. The invariant
// of package login holds: passwords come from files, programs and the environment, never from arguments. The
// environment enters through session.Settings alone.
package dbflags

import (
	"cmp"
	"context"
	"errors"
	"net"
	"os/user"
	"strings"

	"github.com/spf13/cobra"

	"nightjar/cmd/nightjar/internal/session"
	"nightjar/cmd/nightjar/internal/usage"
	"nightjar/internal/secret"
	"nightjar/mysqldump/login"
	"nightjar/mysqldump/optionfile"
	"nightjar/mysqldump/server"
)

// Flags are what a command line says of one server. The zero value is for the server that the command is about.
type Flags struct {
	other string // what the server is to the command: "source"; empty: the one that it is about

	server, user                  string
	passwordFile, passwordCommand string
	defaultsFile, suffix          string
	tls                           [len(tlsFlags)]string
}

// tlsFlags are called as the options are.
var tlsFlags = [...]struct{ name, use string }{
	{"ssl-mode", "how much TLS protects: DISABLED, PREFERRED, REQUIRED, VERIFY_CA, VERIFY_IDENTITY"},
	{"ssl-ca", "`FILE` with the certificate of who signed the server's"},
	{"ssl-cert", "`FILE` with a certificate to log in with"},
	{"ssl-key", "`FILE` with its key"},
}

// Bind gives a command the flags for the server that it is about.
func (d *Flags) Bind(c *cobra.Command) { d.bind(c, "server", "", "", "the database server") }

// BindOther gives a command the flags for another server, which is named by what it is: --source, --source-user, ….
// Options for it stand in groups of their own, [nightjar-source], or in a file of its own.
func (d *Flags) BindOther(c *cobra.Command, what string) {
	d.other = what
	d.bind(c, what, what+"-", "the "+what+": ", "the database server that is the "+what)
}

// BindReplication gives a command the flags for how a replica reaches its source, as those of BindOther: --replication, ….
func (d *Flags) BindReplication(c *cobra.Command) {
	d.other = "replication"
	d.bind(c, d.other, d.other+"-", "the replication account: ", "the source as the replica reaches it, and the account that replicates")
}

func (d *Flags) bind(c *cobra.Command, server, prefix, of, it string) {
	f := c.Flags()
	f.StringVar(&d.server, server, "", it+", `[USER@]HOST[:PORT]` or the path of its socket (default: as the option files say)")
	f.StringVar(&d.user, prefix+"user", "", of+"who logs in (default: as the option files say, or the user of the operating system)")
	f.StringVar(&d.passwordFile, prefix+"password-file", "", of+"`FILE` whose first line is the password ("+d.variable("_FILE")+")")
	f.StringVar(&d.passwordCommand, prefix+"password-command", "", of+"shell command that prints the password")
	groups := "of MySQL's and MariaDB's clients, with [client] and [nightjar] (default: the clients' usual ones)"
	if prefix != "" {
		groups = "with [client] and [nightjar] (default: [" + d.group() + "] of the clients' usual ones)"
	}
	f.StringVar(&d.defaultsFile, prefix+"defaults-file", "", of+"the one option `FILE` to read, "+groups)
	f.StringVar(&d.suffix, prefix+"defaults-group-suffix", "", of+"read groups whose names end so too")
	for i, t := range tlsFlags {
		f.StringVar(&d.tls[i], prefix+t.name, "", of+t.use)
	}
}

// variable returns the name of the variable for the password itself, or with _FILE for its file.
func (d *Flags) variable(end string) string {
	return "NIGHTJAR_" + strings.ToUpper(cmp.Or(d.other, "mysql")) + "_PASSWORD" + end
}

// Named reports whether a flag names the server, whatever option files say.
func (d *Flags) Named() bool { return d.server != "" }

func (d *Flags) group() string { return "nightjar-" + d.other }

// Login returns the login that flags, environment and option files mean, and warns of what it ignored.
func (d *Flags) Login(ctx context.Context, set *session.Settings) (*login.Login, error) {
	getenv := set.Getenv
	if getenv == nil {
		getenv = func(string) string { return "" }
	}
	explicit, err := d.explicit()
	if err != nil {
		return nil, err
	}
	if set.CheckOnly {
		return nil, session.ErrChecked
	}
	password, err := d.password(ctx, set, getenv)
	if err != nil {
		return nil, err
	}
	if password != nil {
		explicit = append(explicit, optionfile.Set("password", string(password), "of the command line or the environment"))
	}
	r := login.Request{
		Explicit: explicit,
		Files: optionfile.Files{
			Only: d.defaultsFile, Home: getenv("HOME"), ServerHome: cmp.Or(getenv("MARIADB_HOME"), getenv("MYSQL_HOME")),
			Suffix: cmp.Or(d.suffix, getenv("MYSQL_GROUP_SUFFIX")),
		},
	}
	if me, err := user.Current(); err == nil {
		r.User, r.Files.Home = me.Username, cmp.Or(r.Files.Home, me.HomeDir)
	}
	if d.other == "" {
		r.Defaults = clientVariables(getenv)
	} else {
		r.Named = true
		if d.defaultsFile == "" {
			r.Files.Groups = []string{d.group()} // [client] is about this machine, its password too
		}
	}
	l, warnings, err := login.Find(r)
	for _, w := range warnings {
		set.Warn(w)
	}
	return l, err
}

// clientVariables returns what the clients take from the environment where nothing else is said.
func clientVariables(getenv func(string) string) (options []optionfile.Option) {
	for _, v := range [][2]string{{"MYSQL_HOST", "host"}, {"MYSQL_TCP_PORT", "port"}, {"MYSQL_UNIX_PORT", "socket"}, {"MYSQL_PWD", "password"}} {
		if value := getenv(v[0]); value != "" {
			options = append(options, optionfile.Set(v[1], value, v[0]))
		}
	}
	return options
}

func (d *Flags) password(ctx context.Context, set *session.Settings, getenv func(string) string) ([]byte, error) {
	s := secret.Source{Name: "password", File: d.passwordFile, Command: d.passwordCommand, Environ: set.Environ, Stderr: set.Stderr}
	switch {
	case s.File != "" && s.Command != "":
		return nil, usage.Errorf("a password's file and a command that prints it cannot both be given")
	case s.File == "" && s.Command == "":
		s.File, s.Value = getenv(d.variable("_FILE")), getenv(d.variable(""))
	}
	return s.Get(ctx)
}

// explicit returns what the flags say as options.
func (d *Flags) explicit() (options []optionfile.Option, err error) {
	add := func(name, value, flag string) {
		if value != "" {
			options = append(options, optionfile.Set(name, value, "--"+flag))
		}
	}
	flag, prefix := "server", ""
	if d.other != "" {
		flag, prefix = d.other, d.other+"-"
	}
	if d.server != "" {
		s, err := parseServer(d.server)
		if err != nil {
			return nil, usage.Errorf("--%s: %w", flag, err)
		}
		add("user", s.user, flag)
		add("host", s.host, flag)
		add("port", s.port, flag)
		add("socket", s.socket, flag)
		add("protocol", s.protocol, flag)
	}
	add("user", d.user, prefix+"user")
	for i, t := range tlsFlags {
		add(t.name, d.tls[i], prefix+t.name)
	}
	return options, nil
}

type address struct{ user, host, port, socket, protocol string }

// parseServer reads [USER@]HOST[:PORT] or [USER@]/PATH. localhost without a port leaves the protocol to the option files.
func parseServer(text string) (a address, err error) {
	rest := text
	if i := strings.LastIndexByte(text, '@'); i >= 0 && !strings.HasPrefix(text, "/") {
		a.user, rest = text[:i], text[i+1:]
		switch {
		case a.user == "":
			return a, errors.New("no user before @")
		case strings.Contains(a.user, ":"): // it is not repeated
			return a, errors.New("a colon before @: everybody sees a password that is an argument. Say it in a file")
		}
	}
	if strings.HasPrefix(rest, "/") {
		a.host, a.socket, a.protocol = "localhost", rest, "socket"
		return a, nil
	}
	a.host = rest
	bracketed := strings.HasPrefix(rest, "[")
	if bracketed || strings.Count(rest, ":") == 1 {
		if inside, ok := strings.CutSuffix(rest, "]"); ok && bracketed {
			a.host = inside[1:]
		} else if a.host, a.port, err = net.SplitHostPort(rest); err != nil {
			return a, err
		} else if a.port == "" {
			return a, errors.New("no port after the colon")
		}
	}
	if a.host == "" || strings.ContainsAny(a.host, "[]/ ") {
		return a, errors.New("no name of a host, no address, and no path")
	}
	if a.port != "" || a.host != "localhost" {
		a.protocol = "tcp"
	}
	return a, nil
}

// Server returns the server that the flags name, as Login has it. Nothing is connected yet.
func (d *Flags) Server(ctx context.Context, set *session.Settings) (*server.Server, error) {
	l, err := d.Login(ctx, set)
	if err != nil {
		return nil, err
	}
	config, err := l.Config()
	if err != nil {
		return nil, err
	}
	return server.New(config)
}
