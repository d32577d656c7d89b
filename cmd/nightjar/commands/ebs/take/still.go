package take

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"nightjar/cmd/nightjar/internal/app"
	"nightjar/cmd/nightjar/internal/dbflags"
	standstill "nightjar/cmd/nightjar/internal/quiet"
	"nightjar/cmd/nightjar/internal/usage"
	"nightjar/mysqldump/lock"
	"nightjar/mysqldump/server"
	"nightjar/snapshot"
	"nightjar/snapshot/cloud"
	"nightjar/snapshot/freeze"
	"nightjar/snapshot/host"
	"nightjar/snapshot/take"
)

// stillFlags say what stands still while a set is taken.
type stillFlags struct {
	db           dbflags.Flags
	mysql        bool
	lock, freeze bool
}

func (s *stillFlags) flags(c *cobra.Command) {
	f := c.Flags()
	f.BoolVar(&s.mysql, "mysql", false, "ask the database server of this machine whether its files survive as they are at one moment; if not, --lock")
	f.BoolVar(&s.lock, "lock", false, "have the database server stand still, and --freeze; its position goes into the tags")
	f.BoolVar(&s.freeze, "freeze", false, "freeze the file systems on the volumes")
	s.db.Bind(c)
}

func (s *stillFlags) any() bool { return s.mysql || s.lock || s.freeze }

// self makes a choice that names nothing that of this instance, if that is needed, and reports whether it is this instance's volumes that are chosen.
func (t *takeFlags) self(ctx context.Context, c *cloud.Cloud) (id string, err error) {
	named := t.choice.Instance != "" || len(t.choice.Volumes) > 0 || len(t.choice.Tags) > 0
	if named && !t.still.any() {
		return "", nil
	}
	me, err := host.Self(ctx)
	if err != nil {
		return "", usage.Hinted{
			Err:  fmt.Errorf("find out which instance this is: %w", err),
			Hint: "is this an instance of EC2? Else name one with --instance. In a container the default hop limit of 1 keeps metadata from it: run nightjar on the instance itself, or raise the limit to 2",
		}
	}
	if me.Region != c.Region {
		return "", usage.Errorf("this instance, %s, is in %s, not in %s", me.ID, me.Region, c.Region)
	}
	if !named {
		t.choice.Instance = me.ID
	}
	return me.ID, nil
}

// seen is what this machine knows of the volumes that are taken.
type seen struct {
	devices []host.Device
	mounts  []host.Mount
	err     error // why not all of them are known
}

// look finds the devices of volumes and what is mounted of them, and notes that for the tags.
func look(m host.Machine, volumes []snapshot.Volume) (s seen) {
	for i := range volumes {
		v := &volumes[i]
		d, err := m.DeviceOf(v.ID, v.Device)
		if err != nil {
			s.err = errors.Join(s.err, err)
			continue
		}
		s.devices = append(s.devices, d)
		mounts, err := m.MountsOf(d)
		if err != nil {
			s.err = errors.Join(s.err, fmt.Errorf("%s: %w", v.ID, err))
			continue
		}
		s.mounts = append(s.mounts, mounts...)
		for _, found := range mounts {
			if found.Root == "/" {
				v.Mount, v.FS, v.Mode = found.Path, found.FS, modeOf(found.Options)
				break
			}
		}
	}
	return s
}

// modeOf are the options of a mount that are not usual.
func modeOf(options string) string {
	return strings.Join(slices.DeleteFunc(strings.Split(options, ","), func(o string) bool { return o == "rw" || o == "relatime" }), ",")
}

// still has take hold the database and the file systems, as far as that is asked for or needed. What it returns ends that.
func still(ctx context.Context, a *app.App, t *takeFlags, p *take.Plan, here seen) (done func(), err error) {
	done = func() {}
	if !t.still.any() {
		return done, nil
	}
	var srv *server.Server
	if t.still.mysql || t.still.lock {
		if srv, err = databaseServer(ctx, a, &t.still.db); err != nil {
			return done, err
		}
	}
	if t.still.mysql && !t.still.lock {
		if err := ask(ctx, a, t, p, srv, here); err != nil {
			return done, err
		}
	}
	if t.still.lock {
		state, err := a.StateFolder()
		if err != nil {
			return done, err
		}
		t.o.Freezer = &standstill.Database{Server: srv, Options: lock.Options{Directory: state, Unlogged: true, Now: a.Now}}
		t.require(snapshot.Application)
	}
	if t.still.lock || t.still.freeze {
		t.require(snapshot.FileSystem)
		return freezer(ctx, a, t, here)
	}
	return done, nil
}

func databaseServer(ctx context.Context, a *app.App, db *dbflags.Flags) (*server.Server, error) {
	login, err := db.Login(ctx, &a.Settings)
	if err != nil {
		return nil, err
	}
	config, err := login.Config()
	if err != nil {
		return nil, err
	}
	return server.New(config)
}

// require is what is required if the command line says nothing.
func (t *takeFlags) require(c snapshot.Consistency) {
	if t.o.Require == "" {
		t.o.Require = c
	}
}

// ask finds out whether the database has to be locked.
func ask(ctx context.Context, a *app.App, t *takeFlags, p *take.Plan, srv *server.Server, here seen) error {
	faults, err := standstill.Durable(ctx, srv, here.devices, host.Machine{})
	if err != nil {
		return err
	}
	if !p.Together() {
		faults = append(faults, "one call cannot take all volumes together")
	}
	if len(faults) == 0 {
		a.Note("the database needs neither a lock nor a freeze: what is committed survives a loss of power, and one call takes all volumes")
		t.require(snapshot.Crash)
		return nil
	}
	a.Note("the database is locked, and its file systems frozen: %s", strings.Join(faults, "; "))
	t.still.lock = true
	return nil
}

// freezer prepares to freeze the mounts. That this cannot be done counts as a freeze that fails.
func freezer(ctx context.Context, a *app.App, t *takeFlags, here seen) (done func(), err error) {
	done = func() {}
	o, err := FreezeOptions(a)
	if err != nil {
		return done, err
	}
	o.Max = t.o.Most
	var f *freeze.Freeze
	switch {
	case here.err != nil:
		err = here.err
	case len(here.mounts) == 0:
		err = errors.New("no file system on the volumes is mounted here")
	default:
		f, err = freeze.Prepare(ctx, here.mounts, o)
	}
	m := &mounted{f: f, err: err}
	t.o.Mounts = m
	if err != nil {
		return done, nil
	}
	pre := t.o.Pre
	t.o.Pre = func(ctx context.Context) error { // so that less is left to be written while all stand still
		if err := f.Sync(ctx); err != nil {
			return err
		}
		if pre == nil {
			return nil
		}
		return pre(ctx)
	}
	return func() {
		if err := f.Close(); err != nil {
			a.Problem("freeze", err)
		}
	}, nil
}

// mounted are the file systems on the volumes, as take has them.
type mounted struct {
	f      *freeze.Freeze
	err    error // why they cannot be frozen
	report freeze.Report
	thawed bool
}

// Freeze is that of take.Mounts. For how long was said when it was prepared.
func (m *mounted) Freeze(ctx context.Context, _ time.Duration) (take.Frozen, error) {
	if m.err != nil {
		return nil, m.err
	}
	if err := m.f.Sync(ctx); err != nil {
		return nil, err
	}
	m.thawed = false
	return m, m.f.Freeze(ctx)
}

// Thaw is that of take.Frozen.
func (m *mounted) Thaw() (err error) {
	if m.thawed {
		return nil
	}
	m.thawed = true
	m.report, err = m.f.Thaw()
	return err
}

// Lasted is that of take.Frozen.
func (m *mounted) Lasted() time.Duration { return m.report.Frozen }
