package datadir

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"

	"nightjar/internal/child"
	"nightjar/internal/tempdir"
	"nightjar/mysqldump/server"
)

// StartOptions say how a private server is started.
type StartOptions struct {
	Tool Tool // mariadb-backup, which is a server too, of the version that the files are of
	// Program is another server's, which is started in the place of Tool: mysqld, of the version that the files are of.
	Program string
	Flags   []string // more of the server's flags, which win over those that all get
	Temp    tempdir.Dir
	Owner   Owner         // as whom the server runs; it has to own the files
	Limit   time.Duration // how long the server may take until it answers; 0: 10 minutes
	Now     func() time.Time
	Login   func(*mysql.Config) // says who logs in, where Flags have the server know accounts; nil: root, without a password
}

// A Private is a server that nobody but this process reaches: it has no network, and a socket in a folder of its own. Everybody who
// reaches it may do everything. It replicates nothing, runs no events and writes no binary log.
type Private struct {
	*server.Server
	process *child.Process
	said    *tail
	ended   chan struct{} // closed when the process has, and failure is set
	failure error
	remove  func() error
}

// longest is how many bytes the path of a socket may have.
const longest = 107

// Start starts a private server on a prepared data directory, and waits until it answers. The server changes its files, as servers do.
func Start(ctx context.Context, dir string, o StartOptions) (_ *Private, err error) {
	if o.Limit == 0 {
		o.Limit = 10 * time.Minute
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	p := &Private{said: &tail{}}
	scratch, remove, err := o.Temp.MkdirTemp("server-*")
	if err != nil {
		return nil, err
	}
	p.remove = remove
	defer func() {
		if err != nil {
			err = fmt.Errorf("start a private server on %q: %w", dir, errors.Join(err, p.Stop()))
		}
	}()
	if err := giveFolder(scratch, o.Owner); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	set, err := settings(root)
	if err != nil {
		return nil, err
	}
	options, err := optionFile(o.Temp, "mysqld", set)
	if err != nil {
		return nil, err
	}
	defer options.Close()
	socket := filepath.Join(scratch, "s")
	if len(socket) > longest {
		return nil, fmt.Errorf("the path of its socket, %s, is longer than the kernel takes: name another --tempdir", socket)
	}
	config := mysql.NewConfig()
	config.User, config.Net, config.Addr = "root", "unix", socket
	if o.Login != nil {
		o.Login(config)
	}
	if p.Server, err = server.New(config); err != nil {
		return nil, err
	}
	program := []string{o.Program}
	if o.Program == "" {
		mode, err := o.Tool.serverMode(ctx, o.Temp)
		if err != nil {
			return nil, err
		}
		program = []string{o.Tool.Program, mode}
	}
	p.process, err = child.Start(ctx, child.Command{
		Name: "a private server", Args: o.arguments(program, dir, scratch, socket), Env: o.Temp.Environ(nil), Stderr: p.said, Files: []*os.File{options}, Grace: time.Minute,
	})
	if err != nil {
		return nil, err
	}
	p.ended = make(chan struct{})
	go func() {
		if _, p.failure = io.Copy(io.Discard, p.process); p.failure == nil {
			p.failure = errors.New("it ended")
		}
		close(p.ended)
	}()
	return p, p.answers(ctx, o)
}

// serverMode finds out by which argument the tool is a server: it has one for its own use, to export tables.
func (t Tool) serverMode(ctx context.Context, temp tempdir.Dir) (string, error) {
	for _, mode := range []string{"--mariadbd", "--mysqld"} {
		out, err := child.Output(ctx, child.Command{Args: []string{t.Program, mode, "--version"}, Env: temp.Environ(nil), Stderr: &tail{}}, maxSaid)
		if err == nil && strings.Contains(string(out), "  Ver ") { // the tool itself says "based on"
			return mode, nil
		}
	}
	return "", fmt.Errorf("%s is no server, too, as mariadb-backup is", t.Program)
}

func (o *StartOptions) arguments(program []string, dir, scratch, socket string) []string {
	args := slices.Clone(program)
	args = append(append(args,
		"--defaults-file=/proc/self/fd/3", "--datadir="+dir, "--socket="+socket, "--pid-file="+filepath.Join(scratch, "pid"),
		"--tmpdir="+scratch, "--skip-networking", "--skip-grant-tables", "--loose-skip-slave-start", "--loose-skip-replica-start", "--skip-log-bin", "--event-scheduler=DISABLED",
		"--server-id="+strconv.Itoa(os.Getpid()), "--innodb-buffer-pool-load-at-startup=0", "--innodb-buffer-pool-dump-at-shutdown=0", "--innodb-fast-shutdown=1",
		"--general-log=0", "--slow-query-log=0", "--secure-file-priv="+scratch,
	), o.Flags...)
	if os.Geteuid() == 0 {
		args = append(args, "--user="+strconv.Itoa(o.Owner.UID))
	}
	return args
}

// Recover starts a private server on files that no tool has to prepare, such as a clone's: the server itself makes them whole. Look asks it what
// it has recovered. Folders of the backup that a server misses are made first.
func (d *Dir) Recover(ctx context.Context, o StartOptions, look func(ctx context.Context, c *server.Session) error) error {
	if err := d.recover(ctx, o, look); err != nil {
		return fmt.Errorf("recover data directory %q: %w", d.path, err)
	}
	return nil
}

func (d *Dir) recover(ctx context.Context, o StartOptions, look func(ctx context.Context, c *server.Session) error) error {
	if err := d.enter(Preparing); err != nil {
		return err
	}
	if err := d.makeFolders(); err != nil {
		return err
	}
	if err := d.own(o.Owner, &Finished{}); err != nil {
		return err
	}
	p, err := Start(ctx, d.path, o)
	if err != nil {
		return err
	}
	c, err := p.Connect(ctx)
	if err == nil {
		err = look(ctx, c)
		c.Close()
	}
	if err := errors.Join(err, p.Stop()); err != nil {
		return err
	}
	return d.enter(Prepared)
}

// answers waits until the server can be connected to.
func (p *Private) answers(ctx context.Context, o StartOptions) error {
	deadline, pause := o.Now().Add(o.Limit), time.NewTicker(20*time.Millisecond)
	defer pause.Stop()
	for {
		c, err := p.Connect(ctx)
		if err == nil {
			return c.Close()
		}
		if o.Now().After(deadline) {
			return fmt.Errorf("it does not answer: %w", err)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-p.ended:
			return fmt.Errorf("%w: %s", p.failure, p.said.errors())
		case <-pause.C:
		}
	}
}

// Stop shuts the server down.
func (p *Private) Stop() error {
	if p.process != nil {
		p.process.Stop()
		<-p.ended
		p.process = nil
	}
	remove := p.remove
	p.remove = func() error { return nil }
	return remove()
}

// giveFolder gives a folder to its owner.
func giveFolder(path string, o Owner) error {
	if os.Geteuid() != 0 {
		return nil
	}
	return os.Lchown(path, o.UID, o.GID)
}

// Said is the end of what the server has said since it was started.
func (p *Private) Said() string { return p.said.String() }
