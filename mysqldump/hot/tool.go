package hot

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"nightjar/internal/child"
	"nightjar/mysqldump"
	"nightjar/mysqldump/program"
	"nightjar/mysqldump/server"
)

// ErrNoTool says that the program which makes hot backups is not there.
var ErrNoTool = errors.New("no program that makes hot backups is installed")

// ErrOther says that a program is made for other servers.
var ErrOther = errors.New("the program is not made for this server")

// A Tool is a program that makes hot backups.
type Tool struct {
	Path    string
	Name    string           // as it calls itself: mariadb-backup, xtrabackup
	Version string           // its own
	Flavor  mysqldump.Flavor // of the servers it is for
	Server  string           // the version of those
}

// Experimental reports whether its streams were never met in a test.
func (t Tool) Experimental() bool { return t.Flavor != mysqldump.MariaDB }

// toolNames are looked for where no program is named.
var toolNames = []string{"mariadb-backup", "mariabackup"}

// FindTool finds the program of a name or path, or the usual one if that is empty, and asks it for its version.
func FindTool(ctx context.Context, name string, env []string) (t Tool, err error) {
	names := toolNames
	if name != "" {
		names = []string{name}
	}
	var printed, said string
	for _, t.Path = range names {
		printed, said, err = program.Say(ctx, t.Path, env)
		if err == nil || errors.Is(err, child.ErrFailed) || ctx.Err() != nil {
			break
		}
	}
	switch {
	case err != nil && (errors.Is(err, child.ErrFailed) || ctx.Err() != nil):
		return t, fmt.Errorf("ask %s for its version: %w: %.500s", t.Path, err, said)
	case err != nil:
		return t, fmt.Errorf("%w: %w", ErrNoTool, err)
	}
	if err := t.parse(printed + said); err != nil { // xtrabackup says it as an error
		return t, fmt.Errorf("ask %s for its version: %w", t.Path, err)
	}
	return t, nil
}

var versionLine = regexp.MustCompile(`([a-z-]+)(?: version (\S+))? based on (MariaDB|MySQL) server (\d[\w.+-]*)`)

func (t *Tool) parse(said string) error {
	m := versionLine.FindStringSubmatch(said)
	if m == nil {
		return fmt.Errorf("it says %.200q, which is none of mariadb-backup or xtrabackup", said)
	}
	t.Name, t.Version, t.Server = m[1], m[2], m[4]
	t.Flavor = mysqldump.MySQL
	if m[3] == "MariaDB" {
		t.Flavor = mysqldump.MariaDB
	}
	if t.Version == "" {
		t.Version = t.Server
	}
	return nil
}

// series returns major and minor version, and the whole number.
func series(version string) (series, number string) {
	number = version
	if i := strings.IndexFunc(version, func(r rune) bool { return r != '.' && (r < '0' || r > '9') }); i >= 0 {
		number = version[:i]
	}
	parts := strings.SplitN(number, ".", 3)
	return strings.Join(parts[:min(2, len(parts))], "."), number
}

// fits returns ErrOther if the tool is of another series than the server, and a warning if it is another of the same.
func (t Tool) fits(id server.Identity) (warning, err error) {
	if id.Flavor != t.Flavor {
		return nil, fmt.Errorf("%w: %s is for servers of %s, and this one is %s", ErrOther, t.Path, t.Flavor, id.Version)
	}
	his, number := series(id.Version)
	ours, own := series(t.Server)
	switch {
	case his != ours:
		return nil, fmt.Errorf("%w: %s is of version %s, and the server %s", ErrOther, t.Path, t.Server, id.Version)
	case number != own:
		return fmt.Errorf("%s is of version %s, and the server %s: was it updated, and not started since?", t.Path, t.Server, id.Version), nil
	}
	return nil, nil
}
