// Package login finds out how a server is reached by SSH, who it has to be, and
// with which keys one logs in there: from what is named, and else as ssh does it,
// from the configuration, the agent and the usual files.
//
// The invariant: nobody is connected to whose host key is not known. The package
// connects to nobody but the agent, starts no programs, and does not ask for
// passwords.
package login

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strings"

	"github.com/kevinburke/ssh_config"
)

// Options say what is known of a server. Empty fields were not given.
type Options struct {
	User, Host, Port string // Host may be an alias of the configuration
	Key              string // the file of the key
	KnownHosts       string // the file with the server's host key
	Config           string // the configuration file; "none": none is read
	Getenv           func(name string) string
}

// A Login is how a server is reached, once options and SSH configuration are put together.
type Login struct {
	User, Address string   // Address is host:port
	known         []string // files of known hosts that there are
	named         string   // the file of the key that was named; "": none was
	identities    []string // files of keys to try, where no key was named
	agent         string   // the agent's socket; "": there is none
	only          bool     // of the agent, keys that are in identities
	passphrase    string
}

// maxConfig is in bytes, of each file that is read.
const maxConfig = 1 << 20

// Find reads the configuration, and no keys yet.
func Find(o Options) (*Login, error) {
	getenv := o.Getenv
	if getenv == nil {
		getenv = func(string) string { return "" }
	}
	me, _ := user.Current() // nil where nobody knows: then the URL has to say it
	home := getenv("HOME")
	if me == nil {
		me = &user.User{}
	}
	home = cmp.Or(home, me.HomeDir)
	c, err := readConfig(o.Config, home)
	if err != nil {
		return nil, err
	}
	get := func(key string) string {
		value, _ := c.Get(o.Host, key) // errors are of nodes that the parser has not made
		if strings.EqualFold(value, "none") {
			return ""
		}
		return value
	}
	for _, key := range []string{"ProxyCommand", "ProxyJump"} {
		if get(key) != "" {
			return nil, fmt.Errorf("%w: it has %s for %s", ErrConfig, key, o.Host)
		}
	}
	host := strings.ReplaceAll(cmp.Or(get("HostName"), o.Host), "%h", o.Host)
	r := &Login{
		User: cmp.Or(o.User, get("User"), me.Username), Address: net.JoinHostPort(host, cmp.Or(o.Port, get("Port"), "22")),
		named: o.Key, agent: cmp.Or(get("IdentityAgent"), getenv("SSH_AUTH_SOCK")), passphrase: getenv("SFTP_PASSPHRASE"),
	}
	if strings.EqualFold(r.agent, "SSH_AUTH_SOCK") {
		r.agent = getenv("SSH_AUTH_SOCK")
	}
	expand := func(path string) string {
		path = strings.NewReplacer("%d", home, "%h", host, "%r", r.User, "%%", "%").Replace(strings.Trim(path, `"`))
		if below, ok := strings.CutPrefix(path, "~/"); ok {
			path = filepath.Join(home, below)
		}
		return path
	}
	r.agent = expand(r.agent)
	known := []string{"~/.ssh/known_hosts", "~/.ssh/known_hosts2", "/etc/ssh/ssh_known_hosts"}
	if files := get("UserKnownHostsFile"); files != "" {
		known = strings.Fields(files)
	}
	if file := o.KnownHosts; file != "" {
		if _, err := os.Stat(file); err != nil {
			return nil, &Error{ErrHostUnknown, fmt.Sprintf("read known hosts: %v", err)}
		}
		known = []string{file}
	}
	for _, file := range known {
		if _, err := os.Stat(expand(file)); err == nil {
			r.known = append(r.known, expand(file))
		}
	}
	files, _ := c.GetAll(o.Host, "IdentityFile")
	if len(files) == 0 {
		files = []string{"~/.ssh/id_ed25519", "~/.ssh/id_ecdsa", "~/.ssh/id_rsa"}
	}
	for _, file := range files {
		r.identities = append(r.identities, expand(file))
	}
	r.only = strings.EqualFold(get("IdentitiesOnly"), "yes")
	return r, nil
}

// readConfig reads the configuration file that was named, or the user's if there is one.
func readConfig(named, home string) (*ssh_config.Config, error) {
	if named == "none" || named == "" && home == "" {
		return &ssh_config.Config{}, nil
	}
	file := cmp.Or(named, filepath.Join(home, ".ssh", "config"))
	data, err := readFile(file)
	if named == "" && errors.Is(err, fs.ErrNotExist) {
		return &ssh_config.Config{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	c, err := ssh_config.DecodeBytes(data)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrConfig, file, err)
	}
	return c, nil
}

func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxConfig {
		return nil, fmt.Errorf("read %s: no file of at most %d bytes", path, maxConfig)
	}
	return os.ReadFile(path)
}
