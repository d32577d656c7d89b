package main

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/go-sql-driver/mysql"
)

// instance is a server that runs. Its root has no password, on the socket and on loopback.
type instance struct {
	kind, dir, socket string
	port              int
	db                *sql.DB
	cmd               *exec.Cmd
	ended             chan struct{}
	said              *bytes.Buffer // to be read when it has ended
}

// start makes and starts a server with a new data directory in the folder of that name.
func (b *bench) start(ctx context.Context, name string) (*instance, error) {
	s := &instance{kind: b.server, dir: b.at(name), socket: filepath.Join(b.at(name), "sock"), ended: make(chan struct{}), said: new(bytes.Buffer)}
	credential, err := owner()
	if err != nil {
		return nil, err
	}
	for _, folder := range []string{s.dir, filepath.Join(s.dir, "tmp")} {
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return nil, err
		}
		if credential != nil {
			if err := os.Chown(folder, int(credential.Uid), int(credential.Gid)); err != nil {
				return nil, err
			}
		}
	}
	program, common, err := s.program()
	if err != nil {
		return nil, err
	}
	if err := s.install(ctx, program, common, credential); err != nil {
		return nil, fmt.Errorf("make data directory of %s: %w", name, err)
	}
	if s.port, err = freePort(); err != nil {
		return nil, err
	}
	args := append(common, "--port="+strconv.Itoa(s.port), "--bind-address=127.0.0.1", "--socket="+s.socket, "--pid-file="+filepath.Join(s.dir, "pid"),
		"--server-id="+strconv.Itoa(s.port), "--log-bin="+filepath.Join(s.dir, "data", "bin"), "--binlog-format=ROW", "--relay-log=relay", "--sync-binlog=0",
		"--innodb-flush-log-at-trx-commit=2", "--innodb-log-file-size=256M", fmt.Sprintf("--innodb-buffer-pool-size=%dM", b.pool),
		"--secure-file-priv=", "--local-infile=ON", "--max-allowed-packet=64M", "--table-open-cache=4000", "--open-files-limit=20000")
	if err := s.spawn(program, args, credential); err != nil {
		return nil, err
	}
	if err := s.wait(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: %w", name, err), s.stop())
	}
	return s, nil
}

// owner is user mysql where we are root, else nobody.
func owner() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup("mysql")
	if err != nil {
		return nil, err
	}
	uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
	gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, errors.Join(err1, err2)
}

// program returns the server's program, and the arguments that it always has.
func (s *instance) program() (string, []string, error) {
	common := []string{"--no-defaults", "--datadir=" + filepath.Join(s.dir, "data"), "--tmpdir=" + filepath.Join(s.dir, "tmp")}
	switch s.kind {
	case "mariadb":
		path, err := exec.LookPath("mariadbd")
		if err != nil {
			path, err = exec.LookPath("/usr/sbin/mariadbd")
		}
		return path, append(common, "--gtid-strict-mode=ON"), err
	case "mysql57":
		home, err := filepath.Abs(filepath.Join(".bin", "mysql57", "server"))
		share := filepath.Join(home, "share", "mysql")
		return filepath.Join(home, "mysqld"), append(common, "--basedir="+home, "--lc-messages-dir="+share,
			"--character-sets-dir="+filepath.Join(share, "charsets"), "--explicit-defaults-for-timestamp", "--performance-schema=OFF",
			"--gtid-mode=ON", "--enforce-gtid-consistency", "--log-slave-updates"), err
	}
	return "", nil, fmt.Errorf("no server is called %q", s.kind)
}

func (s *instance) install(ctx context.Context, program string, common []string, credential *syscall.Credential) error {
	cmd := exec.CommandContext(ctx, program, append(common, "--initialize-insecure")...)
	if s.kind == "mariadb" { // as root or as who runs us: the script knows --user
		cmd = exec.CommandContext(ctx, "mariadb-install-db", "--no-defaults", "--datadir="+filepath.Join(s.dir, "data"), "--auth-root-authentication-method=normal", "--skip-test-db")
		if credential != nil {
			cmd.Args = append(cmd.Args, "--user=mysql")
		}
	} else {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: credential}
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	return nil
}

// spawn starts the process, which the kernel ends with us.
func (s *instance) spawn(program string, args []string, credential *syscall.Credential) error {
	s.cmd = exec.Command(program, args...)
	s.cmd.Stdout, s.cmd.Stderr = s.said, s.said
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Credential: credential, Setpgid: true}
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // which the death signal goes by
		err := s.cmd.Start()
		started <- err
		if err == nil {
			_ = s.cmd.Wait()
			close(s.ended)
		}
	}()
	return <-started
}

// wait waits until the server answers.
func (s *instance) wait(ctx context.Context) (err error) {
	config := mysql.NewConfig()
	config.User, config.Net, config.Addr, config.MultiStatements = "root", "unix", s.socket, true
	config.MaxAllowedPacket = 0 // the server's
	config.Logger = &mysql.NopLogger{}
	if s.db, err = sql.Open("mysql", config.FormatDSN()); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	for s.db.PingContext(ctx) != nil {
		select {
		case <-s.ended:
			return fmt.Errorf("it ended: %s", s.said)
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
	return s.exec(ctx, "SET sql_log_bin=0; CREATE USER bench@'127.0.0.1'; GRANT ALL ON *.* TO bench@'127.0.0.1'; SET sql_log_bin=1")
}

func (s *instance) exec(ctx context.Context, text string) error {
	if _, err := s.db.ExecContext(ctx, text); err != nil {
		return fmt.Errorf("%.60s: %w", text, err)
	}
	return nil
}

// stop shuts the server down, and kills it if that takes more than a minute.
func (s *instance) stop() error {
	if s.db != nil {
		s.db.Close()
	}
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-s.ended:
		return nil
	case <-time.After(time.Minute):
	}
	err := s.cmd.Process.Kill()
	<-s.ended
	return err
}

// used returns the CPU time that the server has spent.
func (s *instance) used() (time.Duration, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0, fmt.Errorf("read CPU time of the server: %q", stat)
	}
	user, err1 := strconv.Atoi(fields[11])
	system, err2 := strconv.Atoi(fields[12])
	const tick = time.Second / 100 // USER_HZ, which Linux shows on every machine
	return time.Duration(user+system) * tick, errors.Join(err1, err2)
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	return l.Addr().(*net.TCPAddr).Port, l.Close()
}
