package sftp_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
	"golang.org/x/crypto/ssh/knownhosts"

	"nightjar/internal/sshtest"
	"nightjar/repo/store"
	"nightjar/repo/store/sftp"
	"nightjar/repo/store/sftp/login"
)

// Nobody is connected to who is not known, and nobody gets in with a wrong key; what is wrong is said by name, at once.
func TestWhoIsWho(t *testing.T) {
	t.Parallel()
	server, dir := sshtest.Start(t), t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		must(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	address := knownhosts.Normalize(server.Address)
	public := server.HostKey.PublicKey()
	other := sshtest.NewKey(t, filepath.Join(dir, "other"), "")
	known := knownhosts.Line([]string{address}, public) + "\n"
	for _, c := range []struct {
		name, known, key string
		more             []string
		want             error
	}{
		{name: "known", known: known},
		{name: "hashed", known: strings.Replace(known, address, knownhosts.HashHostname(address), 1)},
		{name: "unknown", known: knownhosts.Line([]string{"elsewhere"}, public), want: login.ErrHostUnknown},
		{name: "nobody known", known: "", want: login.ErrHostUnknown},
		{name: "changed", known: knownhosts.Line([]string{address}, other.PublicKey()), want: login.ErrHostChanged},
		{name: "revoked", known: "@revoked * " + string(ssh.MarshalAuthorizedKey(public)) + known, want: login.ErrHostChanged},
		{name: "wrong key", known: known, key: filepath.Join(dir, "other"), want: login.ErrKeys},
		{name: "no such key", known: known, key: filepath.Join(dir, "none"), want: login.ErrKeys},
		{name: "no key", known: known, key: "-", want: login.ErrKeys},
		{name: "no file of a key", known: known, key: file("text", "hello"), want: login.ErrKeys},
	} {
		t.Run(c.name, func(t *testing.T) {
			key := server.Key
			switch c.key {
			case "":
			case "-":
				key = ""
			default:
				key = c.key
			}
			s, err := sftp.Open(t.Context(), location(t, server.URL(dir)), settings(t, key, file("known", c.known), c.more...)) // which waits for what may pass
			if err == nil {
				s.Close()
			}
			if !errors.Is(err, c.want) {
				t.Errorf("%v, want %v", err, c.want)
			}
		})
	}
}

// A certificate authority of hosts is believed for the hosts that it is for.
func TestHostCertificate(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ca := sshtest.NewKey(t, filepath.Join(dir, "ca"), "")
	certificate := filepath.Join(dir, "host-cert.pub")
	server := sshtest.Start(t, "HostCertificate "+certificate)
	host, _, err := net.SplitHostPort(server.Address)
	must(t, err)
	c := &ssh.Certificate{Key: server.HostKey.PublicKey(), CertType: ssh.HostCert, ValidPrincipals: []string{host}, ValidBefore: ssh.CertTimeInfinity}
	must(t, c.SignCert(rand.Reader, ca))
	must(t, os.WriteFile(certificate, ssh.MarshalAuthorizedKey(c), 0o600))
	server.Stop()
	server.Run()
	for name, want := range map[string]error{knownhosts.Normalize(server.Address): nil, "elsewhere": login.ErrHostUnknown} {
		known := filepath.Join(dir, "known")
		must(t, os.WriteFile(known, []byte("@cert-authority "+name+" "+string(ssh.MarshalAuthorizedKey(ca.PublicKey()))), 0o600))
		s, err := sftp.Open(t.Context(), location(t, server.URL(dir)), settings(t, server.Key, known))
		if err == nil {
			s.Close()
		}
		if !errors.Is(err, want) {
			t.Errorf("an authority of %s: %v, want %v", name, err, want)
		}
	}
}

// Keys come from where ssh has them, too.
func TestKeys(t *testing.T) {
	t.Parallel()
	server, dir := sshtest.Start(t), t.TempDir()
	secret := filepath.Join(dir, "protected")
	signer := sshtest.NewKey(t, secret, "open sesame")
	authorize(t, server, signer)
	socket := filepath.Join(dir, "agent")
	run := exec.Command("ssh-agent", "-D", "-a", socket)
	must(t, run.Start())
	defer func() { _ = run.Process.Kill(); _ = run.Wait() }()
	home := filepath.Join(dir, "home")
	must(t, os.MkdirAll(filepath.Join(home, ".ssh"), 0o700))
	inHome := func(name string, data []byte) { must(t, os.WriteFile(filepath.Join(home, ".ssh", name), data, 0o600)) }
	known, err := os.ReadFile(server.KnownHosts)
	must(t, err)
	inHome("known_hosts", known)
	own, err := os.ReadFile(server.Key)
	must(t, err)

	try := func(what, url string, want error, more ...string) {
		t.Helper()
		s, err := sftp.Open(t.Context(), location(t, url), settings(t, "", "", append([]string{"HOME", home, "sftp-config", ""}, more...)...))
		if err == nil {
			s.Close()
		}
		if !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", what, err, want)
		}
	}
	at := server.URL(dir)
	try("no key", at, login.ErrKeys)
	try("an agent without keys", at, login.ErrKeys, "SSH_AUTH_SOCK", await(t, socket))
	try("a key under a passphrase", at, login.ErrPassphrase, "sftp-key", secret)
	try("its passphrase", at, nil, "sftp-key", secret, "SFTP_PASSPHRASE", "open sesame")
	try("a wrong passphrase", at, login.ErrPassphrase, "sftp-key", secret, "SFTP_PASSPHRASE", "sesame")
	addToAgent(t, socket, secret, "open sesame")
	try("the agent", at, nil, "SSH_AUTH_SOCK", socket)
	try("the agent for the key that is named", at, nil, "SSH_AUTH_SOCK", socket, "sftp-key", secret)
	inHome("id_ed25519", own)
	try("the usual file", at, nil)
	must(t, os.Rename(filepath.Join(home, ".ssh/id_ed25519"), filepath.Join(home, ".ssh/backup")))
	host, port, err := net.SplitHostPort(server.Address)
	must(t, err)
	inHome("config", fmt.Appendf(nil, "Host box\n  HostName %s\n  Port %s\n  User %s\n  IdentityFile ~/.ssh/backup\nHost far\n  ProxyJump box\n", host, port, sshtest.User(t)))
	try("an alias", "sftp://box"+dir, nil)
	try("a jump", "sftp://far"+dir, login.ErrConfig)
	inHome("config", fmt.Appendf(nil, "Host *\n  IdentitiesOnly yes\n  IdentityFile %s\n", secret))
	try("the agent, for the one identity", at, nil, "SSH_AUTH_SOCK", socket)
	inHome("config", []byte("Host *\n  IdentitiesOnly yes\n  IdentityFile ~/.ssh/none\n"))
	try("an agent without the one identity", at, login.ErrKeys, "SSH_AUTH_SOCK", socket)
	inHome("config", []byte("Match exec true\n  User x\n"))
	try("what is not understood", at, login.ErrConfig)
	try("no configuration", at, nil, "sftp-config", "none", "sftp-key", server.Key)
}

// authorize has a server take one more key.
func authorize(t *testing.T, server *sshtest.Server, key ssh.Signer) {
	f, err := os.OpenFile(server.Path("authorized_keys"), os.O_APPEND|os.O_WRONLY, 0)
	must(t, err)
	_, err = f.Write(ssh.MarshalAuthorizedKey(key.PublicKey()))
	must(t, errors.Join(err, f.Close()))
}

func await(t *testing.T, socket string) string {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Minute); ; time.Sleep(time.Millisecond) {
		c, err := net.Dial("unix", socket)
		if err == nil {
			c.Close()
			return socket
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

func addToAgent(t *testing.T, socket, file, passphrase string) {
	t.Helper()
	data, err := os.ReadFile(file)
	must(t, err)
	key, err := ssh.ParseRawPrivateKeyWithPassphrase(data, []byte(passphrase))
	must(t, err)
	c, err := net.Dial("unix", socket)
	must(t, err)
	defer c.Close()
	must(t, agent.NewClient(c).Add(agent.AddedKey{PrivateKey: key}))
}

// Whoever runs SSH without SFTP says so, and is not asked again.
func TestNoSFTP(t *testing.T) {
	t.Parallel()
	server := sshtest.Start(t, "Subsystem other /bin/false")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	_, err := sftp.Open(ctx, location(t, server.URL("/tmp/x")), settings(t, server.Key, server.KnownHosts))
	if !errors.Is(err, sftp.ErrNoSFTP) || !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("%v", err)
	}
}
