// Package sftp keeps a repository's objects in a folder of a machine that is
// reached by SSH, of which it asks SFTP alone: no shell, and nothing to install.
//
// An object is a file, as in a directory.Store, and a repository can be moved from one
// to the other with rsync -a. The invariant is that of package store: an object
// is written under another name, synced, and then linked to its own, which fails
// if that is taken. It holds through retries: an answer that was lost after the
// server had made the link is a success if what is there has the same bytes.
//
// A connection that is lost, or silent for too long, is made again, with growing,
// jittered delays and a limit. Nobody is connected to whose host key is not in a
// known_hosts file: there is no trust on first use. What the server lacks of
// fsync@openssh.com, hardlink@openssh.com and posix-rename@openssh.com is told to
// Opening.Warn with what is lost by it, unless Opening.Lacks has it.
//
// The protocol tells times in whole seconds. The package starts no programs
// (ProxyCommand, ProxyJump) and does not ask for passwords.
package sftp

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"sync"
	"time"

	"nightjar/internal/pace"
	"nightjar/repo/store"
	"nightjar/repo/store/sftp/login"
)

// Kind is what a command line knows of this kind of store.
var Kind = store.Kind{
	Schemes: []string{scheme},
	Form:    "sftp://user@host/path",
	Parse:   Parse,
	Paced:   true,
	Settings: []store.Setting{
		{Name: settingKey, Usage: "SSH: file of the private key (default: what the agent has, IdentityFile of the configuration, ~/.ssh/id_ed25519, …); NIGHTJAR_SFTP_KEY"},
		{Name: settingKnown, Usage: "SSH: file with the server's host key (default: UserKnownHostsFile of the configuration, ~/.ssh/known_hosts, /etc/ssh/ssh_known_hosts); NIGHTJAR_SFTP_KNOWN_HOSTS"},
		{Name: settingConfig, Usage: "SSH: configuration file, or none (default: ~/.ssh/config); NIGHTJAR_SFTP_CONFIG"},
	},
	Open: func(ctx context.Context, l store.Location, o store.Opening) (store.Carrier, error) {
		s, err := Open(ctx, l, o)
		if err != nil {
			return nil, err
		}
		return s, nil
	},
	Hints: []store.Hint{
		{Is: login.ErrHostUnknown, Say: "ask whoever runs the server for its host key, and add it to the file: ssh-keyscan -p PORT HOST prints the line, ssh-keygen -lf shows the fingerprint to compare"},
		{Is: login.ErrHostChanged, Say: "somebody may have put a machine in its place; nothing was sent. If the server was made anew, compare its fingerprint, ssh-keygen -R HOST (of another port than 22, '[HOST]:PORT'), and add the new key"},
		{Is: login.ErrPassphrase, Say: "ssh-add KEY gives it to the agent; or set SFTP_PASSPHRASE, or use a key without passphrase that may do nothing but SFTP"},
		{Is: login.ErrKeys, Say: "the server wants a key that it knows in authorized_keys: name it with --sftp-key, or look at ssh-add -l. Passwords are not asked for"},
		{Is: login.ErrConfig, Say: "set what is needed in the URL and with --sftp-key, and say --sftp-config none"},
		{Is: ErrNoSFTP, Say: "the server needs: Subsystem sftp internal-sftp"},
		{Is: ErrDenied, Say: "on the server, the user of the URL may not do that: look there at owner and mode of the folder, and whether the login may only read"},
		{Is: ErrUnreachable, Say: "is the server up, and host and port of the URL right? Run the same command again: what was stored is used"},
		{Is: store.ErrNoStore, Say: "is the path right? It is absolute: sftp://host/~/path begins in the login folder. A new repository is made by nightjar init, a copy by copy --create"},
	},
}

const (
	settingKey    = "sftp-key"
	settingKnown  = "sftp-known-hosts"
	settingConfig = "sftp-config"
)

var (
	// ErrNoSFTP says that the server runs SSH, but no SFTP.
	ErrNoSFTP = errors.New("no SFTP there")
	// ErrDenied says that the server does not let the user who is logged in do that. It is an fs.ErrPermission.
	ErrDenied = errors.New("denied by the server")
	// ErrUnreachable says that the server did not answer, for as long as it was tried. It is a store.ErrUnavailable.
	ErrUnreachable = errors.New("the server is out of reach")
)

// Store is a store.Store in a folder of an SFTP server. Its time is the mtime of
// files, as the server stamps them. Files are made with mode 0600, folders with
// 0700. Below the store's folder no symbolic link is followed.
//
// What is no regular file is no object: under an object's name it is a missing
// one, and Put moves it aside. A Put that is cut off leaves a file whose name
// begins with ".tmp-", which is no valid name, until Sweep removes it.
type Store struct {
	at     address
	root   string // as the server is asked for it: absolute, or relative to the login folder
	reach  *login.Login
	warn   func(error)
	limits limits
	pace   pace.Limits

	dialing chan struct{} // holds one while somebody looks for a connection
	mu      sync.Mutex
	live    *conn // nil: none now
	closed  bool

	lacking lacking
}

var (
	_ store.Carrier   = (*Store)(nil)
	_ store.Clock     = (*Store)(nil)
	_ store.Replacer  = (*Store)(nil)
	_ store.Folder    = (*Store)(nil)
	_ store.Prober    = (*Store)(nil)
	_ store.Cluttered = (*Store)(nil)
	_ store.Sweeper   = (*Store)(nil)
)

// limits bound what a server may ask of us.
type limits struct {
	silence  time.Duration    // of the connection, until it counts as lost
	stall    time.Duration    // of SFTP, while something was asked
	attempts int              // of each call
	backoff  time.Duration    // the longest delay before another attempt
	listed   int64            // bytes of answers to the listing of one folder, all of which are in memory at once
	now      func() time.Time // by which deadlines are set
}

// An outage of about a minute is outlasted.
var defaultLimits = limits{silence: time.Minute, stall: 5 * time.Minute, attempts: 10, backoff: 20 * time.Second, listed: 256 << 20, now: time.Now}

// Open opens the store at a location that Parse returned, ErrNoStore if there is
// no such folder and it is not to be made. The path itself may be a symbolic link.
func Open(ctx context.Context, l store.Location, o store.Opening) (*Store, error) {
	return open(ctx, l, o, defaultLimits)
}

func open(ctx context.Context, l store.Location, o store.Opening, within limits) (*Store, error) {
	at, err := parse(l)
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	s := &Store{at: at, root: at.root(), limits: within, pace: pace.New(o.LimitUpload, o.LimitDownload), warn: o.Warn, dialing: make(chan struct{}, 1)}
	if s.warn == nil {
		s.warn = func(error) {}
	}
	s.lacking.begin(o)
	if s.reach, err = at.login(o); err != nil {
		return nil, fmt.Errorf("open store %s: %w", at, err)
	}
	err = s.do(ctx, func(c *conn) error {
		if o.Create {
			if err := s.makeRoot(c); err != nil {
				return err
			}
		}
		info, err := c.Stat(s.root)
		if err == nil && !info.IsDir() {
			return fmt.Errorf("%w: it is no folder", store.ErrNoStore)
		}
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%w: %w", store.ErrNoStore, err)
		}
		return err
	})
	if err != nil {
		_ = s.Close()
		return nil, fmt.Errorf("open store %s: %w", at, err)
	}
	return s, nil
}

// makeRoot makes the store's folder and what is missing above.
func (s *Store) makeRoot(c *conn) error {
	var missing []string
	for dir := s.root; dir != "/" && dir != "."; dir = path.Dir(dir) {
		_, err := c.Stat(dir)
		if err == nil {
			break
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		missing = append(missing, dir)
	}
	for i := len(missing) - 1; i >= 0; i-- {
		if err := s.mkdir(c, missing[i]); err != nil {
			return fmt.Errorf("make folder %s: %w", missing[i], err)
		}
	}
	return nil
}

// Close ends the connection; the Store is of no use afterwards.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if s.live != nil {
		s.live.cut()
		s.live = nil
	}
	return nil
}

// login finds how the server is reached.
func (a address) login(o store.Opening) (*login.Login, error) {
	setting := o.Setting
	if setting == nil {
		setting = func(string) string { return "" }
	}
	return login.Find(login.Options{
		User: a.user, Host: a.host, Port: a.port, Getenv: o.Getenv,
		Key: setting(settingKey), KnownHosts: setting(settingKnown), Config: setting(settingConfig),
	})
}
