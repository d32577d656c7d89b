// Package quiet makes a database server stand still while its volumes are taken, and finds out whether it has to.
//
// It joins mysqldump, which knows servers, and snapshot, which knows volumes: neither knows the other.
package quiet

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"nightjar/mysqldump"
	"nightjar/mysqldump/crashsafe"
	"nightjar/mysqldump/lock"
	"nightjar/mysqldump/server"
	"nightjar/snapshot"
	"nightjar/snapshot/host"
)

// ErrElsewhere says that a server's files are not on this machine, or under other names.
var ErrElsewhere = errors.New("the server's files are not here")

// A Database is a snapshot.Freezer. It is for one goroutine.
type Database struct {
	Server *server.Server
	// Options say how to lock; Max is given by who freezes.
	Options lock.Options

	stopped *lock.Stopped
}

var _ snapshot.Freezer = (*Database)(nil)

// Freeze is that of snapshot.Freezer. Servers count whole seconds: most is at least one.
func (d *Database) Freeze(ctx context.Context, most time.Duration) (snapshot.Position, error) {
	if d.stopped != nil {
		return snapshot.Position{}, errors.New("the database stands still already")
	}
	o := d.Options
	o.Max = most
	stopped, err := lock.Stop(ctx, d.Server, o)
	if err != nil {
		return snapshot.Position{}, err
	}
	d.stopped = stopped
	return positionOf(stopped.Position), nil
}

// Held is that of snapshot.Freezer.
func (d *Database) Held(ctx context.Context) error {
	if d.stopped == nil {
		return errors.New("the database was not made to stand still")
	}
	return d.stopped.Check(ctx)
}

// Thaw is that of snapshot.Freezer. Its error says that writers were not held back all the time; they are let go in any case.
func (d *Database) Thaw() error {
	if d.stopped == nil {
		return nil
	}
	stopped := d.stopped
	d.stopped = nil
	return stopped.Release()
}

func positionOf(p mysqldump.Position) snapshot.Position {
	out := snapshot.Position{File: p.File, Offset: p.Offset, GTIDs: p.GTIDs.String()}
	if out.GTIDs != "" {
		out.GTIDSum = fmt.Sprintf("%x", sha256.Sum256([]byte(out.GTIDs)))
	}
	switch {
	case p.ServerUUID != (mysqldump.UUID{}):
		out.Server = p.ServerUUID.String()
	case p.ServerID != 0:
		out.Server = strconv.FormatUint(uint64(p.ServerID), 10)
	}
	return out
}

// Durable returns why a server of this machine has to stand still while these devices are taken together, in words. Of none it need not: as after a loss of power, all is there
// that was committed.
func Durable(ctx context.Context, s *server.Server, devices []host.Device, m host.Machine) (faults []string, err error) {
	c, err := s.Connect(ctx)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	r, err := crashsafe.Ask(ctx, c)
	if err != nil {
		return nil, err
	}
	if err := isHere(r); err != nil {
		return nil, err
	}
	faults = r.Faults
	for _, f := range r.Folders {
		n, err := host.NumberOf(f.Path)
		if errors.Is(err, os.ErrNotExist) && f.Variable != "datadir" { // a folder of names that nothing was made in
			n, err = host.NumberOf(filepath.Dir(f.Path))
		}
		if err != nil {
			faults = append(faults, fmt.Sprintf("%s: %v", f.Variable, err))
			continue
		}
		elsewhere := func(n host.Number) bool {
			return !slices.ContainsFunc(devices, func(d host.Device) bool { return d.Has(n) })
		}
		if slices.ContainsFunc(m.Made(n), elsewhere) {
			faults = append(faults, fmt.Sprintf("%s, %s, is on none of the volumes that are taken", f.Variable, f.Path))
		}
	}
	return slices.Compact(faults), nil
}

var uuidLine = regexp.MustCompile(`(?m)^\s*server[-_]uuid\s*=\s*([0-9A-Fa-f-]{36})\s*$`)

// isHere makes sure that the folders that a server names are its own on this machine.
func isHere(r crashsafe.Report) error {
	data := r.Folders[0].Path
	if r.UUID != (mysqldump.UUID{}) {
		f, err := os.Open(filepath.Join(data, "auto.cnf"))
		if err != nil {
			return fmt.Errorf("%w: %w", ErrElsewhere, err)
		}
		defer f.Close()
		text, err := io.ReadAll(io.LimitReader(f, 1<<16))
		if err != nil {
			return err
		}
		if found := uuidLine.FindSubmatch(text); found == nil || !strings.EqualFold(string(found[1]), r.UUID.String()) {
			return fmt.Errorf("%w: %s is of another server", ErrElsewhere, f.Name())
		}
	}
	if r.Log != "" {
		info, err := os.Stat(r.Log)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrElsewhere, err)
		}
		if info.Size() < 0 || uint64(info.Size()) < r.Written {
			return fmt.Errorf("%w: %s is shorter than the server says", ErrElsewhere, r.Log)
		}
	}
	if _, err := os.Stat(data); err != nil {
		return fmt.Errorf("%w: %w", ErrElsewhere, err)
	}
	return nil
}
