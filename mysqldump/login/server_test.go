package login

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"nightjar/internal/child"
	"nightjar/internal/tempdir"
	"nightjar/mysqldump/optionfile"
	"nightjar/mysqldump/server"
	"nightjar/mysqldump/servertest"
)

// An authority signs certificates in a folder.
type authority struct {
	t    *testing.T
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	last int64
}

func newAuthority(t *testing.T, name string) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, SubjectKeyId: []byte(name),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	must(t, err)
	a := &authority{t: t, dir: t.TempDir(), key: key, last: 1}
	a.cert, err = x509.ParseCertificate(der)
	must(t, err)
	a.write("ca.pem", "CERTIFICATE", der)
	return a
}

func (a *authority) path(name string) string { return filepath.Join(a.dir, name) }

// write makes a PEM file, readable by the server's user too.
func (a *authority) write(name, kind string, der []byte) {
	a.t.Helper()
	must(a.t, os.WriteFile(a.path(name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o644))
}

// issue makes NAME.pem and NAME.key, with an RSA key for the old.
func (a *authority) issue(name, common string, hosts ...string) *x509.Certificate {
	a.t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	must(a.t, err)
	a.last++
	template := &x509.Certificate{SerialNumber: big.NewInt(a.last), Subject: pkix.Name{CommonName: common}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, h)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	must(a.t, err)
	a.write(name+".pem", "CERTIFICATE", der)
	a.write(name+".key", "RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(key))
	cert, err := x509.ParseCertificate(der)
	must(a.t, err)
	return cert
}

// revoke makes a list of the certificates with these numbers.
func (a *authority) revoke(name string, until time.Time, serials ...*big.Int) {
	a.t.Helper()
	list := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: until.Add(-2 * time.Hour), NextUpdate: until}
	for _, s := range serials {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: s, RevocationTime: time.Now()})
	}
	der, err := x509.CreateRevocationList(rand.Reader, list, a.cert, a.key)
	must(a.t, err)
	a.write(name, "X509 CRL", der)
}

// enter logs in by the lines of an option file [client], and returns the cipher that protects the connection, or "".
func enter(t *testing.T, lines ...string) (cipher string, err error) {
	t.Helper()
	l, warnings, err := wants(t, "[client]\nprotocol=tcp\nhost=127.0.0.1\n"+strings.Join(lines, "\n")+"\n")
	if err != nil || len(warnings) > 0 {
		t.Fatal(err, warnings)
	}
	return l.enter(t)
}

func (l *Login) enter(t *testing.T) (cipher string, err error) {
	t.Helper()
	config, err := l.Config()
	if err != nil {
		return "", err
	}
	s, err := server.New(config)
	must(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c, err := s.Connect(ctx)
	if err != nil {
		return "", err
	}
	defer c.Close()
	row, err := c.Row(ctx, "SHOW SESSION STATUS LIKE 'Ssl_cipher'")
	must(t, err)
	return string(row[1]), nil
}

// program runs a program of the server's kind, logged in by the option file that is written for it.
func (l *Login) program(t *testing.T, s *servertest.Server, name string, args ...string) (out string, err error) {
	t.Helper()
	family := MySQL
	if s.Kind.MariaDB() || s.Kind == servertest.MySQL57 { // which takes MariaDB's programs
		family = MariaDB
	}
	dir, err := tempdir.New(t.TempDir())
	must(t, err)
	file, err := l.OptionFile(dir, family)
	must(t, err)
	defer file.Close()
	if left, err := os.ReadDir(dir.Path()); err != nil || len(left) > 0 {
		t.Errorf("the option file has a name: %v, %v", left, err)
	}
	args = append(append(s.Program(name), FileArgument(3)), args...)
	var said bytes.Buffer
	p, err := child.Start(t.Context(), child.Command{Name: name, Args: args, Files: []*os.File{file}, Stderr: &said, Env: dir.Environ(nil)})
	must(t, err)
	defer p.Stop()
	b, err := io.ReadAll(p)
	if err != nil {
		err = fmt.Errorf("%w: %s", err, said.String())
	}
	return string(b), err
}

// client returns what the kind's own client program sees of the connection, or what it says of its failure.
func (l *Login) client(t *testing.T, s *servertest.Server) (user, cipher string) {
	t.Helper()
	out, err := l.program(t, s, "mysql", "--batch", "--skip-column-names", "--execute", "SELECT CURRENT_USER(); SHOW SESSION STATUS LIKE 'Ssl_cipher'")
	if err != nil {
		return err.Error(), ""
	}
	words := strings.Fields(out)
	if len(words) > 2 {
		cipher = words[2]
	}
	return words[0], cipher
}

func TestServers(t *testing.T) {
	ours, others := newAuthority(t, "ours"), newAuthority(t, "others")
	ours.issue("server", "db.example.org", "localhost")
	ours.issue("client", "client")
	both := t.TempDir()
	must(t, os.Symlink(ours.path("ca.pem"), filepath.Join(both, "a.0")))
	must(t, os.Symlink(others.path("ca.pem"), filepath.Join(both, "b.0")))
	ours.revoke("none.crl", time.Now().Add(time.Hour))
	ours.revoke("server.crl", time.Now().Add(time.Hour), big.NewInt(2))
	ours.revoke("old.crl", time.Now().Add(-time.Minute))
	others.revoke("none.crl", time.Now().Add(time.Hour))
	servertest.Each(t, func(t *testing.T, k servertest.Kind) {
		off, on := "--skip-ssl", "--ssl"
		if !k.MariaDB() && k != servertest.MySQL57 {
			off, on = "--tls-version=", "--tls-version=TLSv1.2,TLSv1.3"
		}
		s := servertest.Start(t, k, off)
		testWithoutTLS(t, s)
		flags := []string{on}
		for name, file := range map[string]string{"ca": "ca.pem", "cert": "server.pem", "key": "server.key"} {
			content, err := os.ReadFile(ours.path(file))
			must(t, err)
			must(t, os.WriteFile(filepath.Join(s.Dir, file), content, 0o644)) // where the server can read it
			flags = append(flags, "--ssl-"+name+"="+filepath.Join(s.Dir, file))
		}
		s.Restart(t, flags...)
		quoted := strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(secretText)
		s.Exec(t, "CREATE USER plain IDENTIFIED BY '"+quoted+"'", "CREATE USER secured IDENTIFIED BY '"+quoted+"' REQUIRE X509")
		to := func(user string) string {
			return fmt.Sprintf("port=%d\nuser=%s\npassword=\"%s\"", s.Port, user, strings.ReplaceAll(secretText, `\`, `\\`))
		}
		t.Run("TLS", func(t *testing.T) { testTLS(t, ours, others, both, to) })
		t.Run("socket", func(t *testing.T) { testSocket(t, s, ours, to) })
		t.Run("programs", func(t *testing.T) { testPrograms(t, s, ours, to) })
		if k.MariaDB() {
			testPlugins(t, s, to)
		} else {
			testExposed(t, s, to)
		}
	})
}

func testTLS(t *testing.T, ours, others *authority, both string, to func(string) string) {
	ca, wrong := "ssl-ca="+ours.path("ca.pem"), "ssl-ca="+others.path("ca.pem")
	for _, c := range []struct{ options, want string }{
		{"", "TLS"},
		{"ssl-mode=DISABLED", ""},
		{"ssl", "TLS"},
		{ca, "TLS"},
		{"ssl-capath=" + both, "TLS"},
		{"tls-version=TLSv1.2\nssl-cipher=ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-RSA-AES256-GCM-SHA384"},
		{wrong, "x509: certificate signed by unknown authority"},
		{wrong + "\nssl-mode=REQUIRED", "TLS"},
		{"ssl-verify-server-cert", "x509: certificate signed by unknown authority"},
		{ca + "\nssl-verify-server-cert", "does not name 127.0.0.1"},
		{ca + "\nssl-mode=VERIFY_IDENTITY\nhost=localhost", "TLS"},
		{ca + "\nssl-crl=" + ours.path("none.crl"), "TLS"},
		{ca + "\nssl-crl=" + ours.path("server.crl"), "a certificate is revoked: CN=db.example.org"},
		{ca + "\nssl-crl=" + ours.path("old.crl"), "does not hold at this time"},
		{ca + "\nssl-crl=" + others.path("none.crl"), "no list of revoked certificates"},
	} {
		expect(t, c.options, c.want, to("plain"), c.options)
	}
	expect(t, "no certificate", "Access denied", to("secured"))
	expect(t, "own certificate", "TLS", to("secured"), "ssl-cert="+ours.path("client.pem"), "ssl-key="+ours.path("client.key"))
	expect(t, "wrong password", "Access denied", to("plain"), "password=wrong")
}

// expect logs in and compares: want is a cipher, TLS for any, "" for none, or part of an error.
func expect(t *testing.T, name, want string, lines ...string) {
	t.Helper()
	cipher, err := enter(t, lines...)
	switch {
	case err != nil && (want == "" || !strings.Contains(err.Error(), want)):
		t.Errorf("%s: %v, want %q", name, err, want)
	case err == nil && want != cipher && (want != "TLS" || cipher == ""):
		t.Errorf("%s: cipher %q, want %q", name, cipher, want)
	case err != nil && strings.Contains(err.Error(), secretText[:9]):
		t.Errorf("%s: the password is in %q", name, err)
	}
}

// A socket is protected as it is: TLS is used over it if something is said of TLS, and names are not compared.
func testSocket(t *testing.T, s *servertest.Server, ours *authority, to func(string) string) {
	socket := "host=localhost\nprotocol=socket\nsocket=" + s.Socket
	expect(t, "nothing said", "", to("plain"), socket)
	expect(t, "identity", "TLS", to("plain"), socket, "ssl-mode=VERIFY_IDENTITY", "ssl-ca="+ours.path("ca.pem"))
	expect(t, "socket alone", "", to("plain"), "protocol=", "host=", "socket="+s.Socket)
	expect(t, "no socket there", "no such file", to("plain"), socket+".not")
}

// The servers' own clients get in by the option file that is written for them.
func testPrograms(t *testing.T, s *servertest.Server, ours *authority, to func(string) string) {
	tcp, ca := "[client]\nprotocol=tcp\nhost=127.0.0.1\n"+to("plain"), "ssl-ca="+ours.path("ca.pem")
	for _, c := range []struct {
		options string
		tls     bool
	}{
		{tcp, true},
		{tcp + "\nssl-mode=DISABLED\nget-server-public-key", false},
		{tcp + "\nssl-mode=REQUIRED", true},
		{tcp + "\nhost=localhost\nssl-mode=VERIFY_IDENTITY\n" + ca, true},
		{tcp + "\nssl-mode=REQUIRED\nuser=secured\nssl-cert=" + ours.path("client.pem") + "\nssl-key=" + ours.path("client.key"), true},
		{"[client]\n" + to("plain") + "\nsocket=" + s.Socket + "\nssl-mode=DISABLED", false},
	} {
		l, _, err := wants(t, c.options)
		must(t, err)
		if user, cipher := l.client(t, s); user != l.User+"@%" || (cipher != "") != c.tls {
			t.Errorf("%s\nthe program is %q with cipher %q", c.options, user, cipher)
		}
	}
	l, _, err := wants(t, tcp+"\npassword=wrong")
	must(t, err)
	if said, _ := l.client(t, s); !strings.Contains(said, "Access denied") {
		t.Errorf("with a wrong password: %s", said)
	}
	full := Login{User: "u", Password: NewPassword("p"), Host: "h", Port: 1, ServerKey: "x", FetchServerKey: true, Cleartext: true, Auth: "mysql_native_password",
		TLS: TLS{Mode: VerifyIdentity, CA: "x", CAPath: "x", Cert: "x", Key: "x", CRL: "x", Ciphers: "x", Versions: "TLSv1.2"}}
	for _, name := range []string{"mysql", "mysqldump", "mysqlbinlog", "mariadb-backup"} {
		if s.Program(name) == nil { // MySQL has no mariadb-backup
			continue
		}
		if _, err := full.program(t, s, name, "--help"); err != nil {
			t.Errorf("an option is unknown to %s: %v", name, err)
		}
	}
	s.Exec(t, "GRANT SELECT, PROCESS, REPLICATION SLAVE ON *.* TO plain", "CREATE DATABASE d", "CREATE TABLE d.t (a INT)")
	l, _, err = wants(t, tcp)
	must(t, err)
	if out, err := l.program(t, s, "mysqldump", "--skip-lock-tables", "d"); err != nil || !strings.Contains(out, "CREATE TABLE `t`") {
		t.Errorf("dump: %v\n%s", err, out)
	}
	if out, err := l.program(t, s, "mysqlbinlog", "--read-from-remote-server", "bin.000001"); err != nil || !strings.Contains(out, "Start: binlog") {
		t.Errorf("read a binary log: %v\n%s", err, out)
	}
}

// MariaDB's ways to log in.
func testPlugins(t *testing.T, s *servertest.Server, to func(string) string) {
	s.Exec(t, "INSTALL SONAME 'auth_ed25519'")
	quoted := strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(secretText)
	s.Exec(t, "CREATE USER ed IDENTIFIED VIA ed25519 USING PASSWORD('"+quoted+"')")
	expect(t, "ed25519", "TLS", to("ed"))
	expect(t, "ed25519 without TLS", "", to("ed"), "skip-ssl")
	expect(t, "ed25519 with a wrong password", "Access denied", to("ed"), "password=wrong")
	l, _, err := wants(t, "[client]\nprotocol=tcp\n"+to("ed"))
	must(t, err)
	if user, _ := l.client(t, s); user != "ed@%" {
		t.Errorf("ed25519: the program is %q", user)
	}
	me, err := user.Current()
	must(t, err)
	s.Exec(t, fmt.Sprintf("CREATE OR REPLACE USER '%s'@localhost IDENTIFIED VIA unix_socket", me.Username))
	testUser(t, s, me.Username, me.Username+"@localhost")
}

// testUser logs in over the socket as the user of the operating system, without a password.
func testUser(t *testing.T, s *servertest.Server, name, account string) {
	t.Helper()
	l, _, err := Find(Request{Files: optionfile.Files{None: true}, Explicit: []optionfile.Option{optionfile.Set("socket", s.Socket, "")}, User: name})
	must(t, err)
	if _, err := l.enter(t); err != nil {
		t.Errorf("by the operating system's user: %v", err)
	}
	if user, _ := l.client(t, s); user != account {
		t.Errorf("by the operating system's user: the program is %q", user)
	}
}

// Where MySQL wants the password itself, it gets it encrypted, or not at all.
func testExposed(t *testing.T, s *servertest.Server, to func(string) string) {
	plugin := "caching_sha2_password"
	if s.Kind == servertest.MySQL57 {
		plugin = "sha256_password"
	}
	quoted := strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(secretText)
	s.Exec(t, "CREATE USER sha IDENTIFIED WITH "+plugin+" BY '"+quoted+"'")
	_, err := enter(t, to("sha"), "skip-ssl")
	if !errors.Is(err, ErrExposed) {
		t.Errorf("%s without TLS: %v, want %v", plugin, err, ErrExposed)
	}
	expect(t, plugin+" with the server's key that is asked for", "", to("sha"), "skip-ssl", "get-server-public-key")
	s.Exec(t, "FLUSH PRIVILEGES") // which forgets who has been there
	public := filepath.Join(t.TempDir(), "public_key.pem")
	key, err := os.ReadFile(filepath.Join(s.Datadir, "public_key.pem"))
	must(t, err)
	must(t, os.WriteFile(public, key, 0o644))
	expect(t, plugin+" with the server's key in a file", "", to("sha"), "skip-ssl", "server-public-key-path="+public)
	s.Exec(t, "FLUSH PRIVILEGES")
	expect(t, plugin+" with TLS", "TLS", to("sha"))
	s.Exec(t, "FLUSH PRIVILEGES")
	expect(t, plugin+" with a wrong password", "Access denied", to("sha"), "password=wrong")
	if s.Kind == servertest.MySQL97 { // of 5.7 there is no plugin
		me, err := user.Current()
		must(t, err)
		s.Exec(t, "INSTALL PLUGIN auth_socket SONAME 'auth_socket.so'", "CREATE USER named IDENTIFIED WITH auth_socket AS '"+me.Username+"'")
		testUser(t, s, "named", "named@%")
	}
}

// A server without TLS is used as it is only where that is enough.
func testWithoutTLS(t *testing.T, s *servertest.Server) {
	to := fmt.Sprintf("user=root\nport=%d", s.Port)
	expect(t, "preferred", "", to)
	for _, options := range []string{"ssl", "ssl-mode=REQUIRED", "ssl-verify-server-cert"} {
		expect(t, options, "server does not support TLS", to, options)
	}
	expect(t, "socket", "", to, "ssl\nprotocol=socket\nhost=localhost\nsocket="+s.Socket)
}

// Whatever answers, the driver sees nothing that it does not expect of a server, and nobody waits for ever.
func TestOthers(t *testing.T) {
	x := "\x05\x00\x00\x00\x0b\x08\x05\x1a\x00" // the X protocol's greeting
	for _, c := range []struct{ says, want string }{
		{x, ErrNotServer.Error()},
		{"\x01\x00\x00\x00\x0a", ErrNotServer.Error()},
		{"\x0a\x00\x00\x00\x0a5.5\x00xxxx\x00", ErrNotServer.Error()},
		{"\x03\x00\x00\x00\xff\x10\x04", ErrNotServer.Error()},
		{"\x00\x00\x00\x00", ErrNotServer.Error()},
		{"SSH-2.0-OpenSSH_9.2\r\n", ErrNotServer.Error()},
		{"220 mail ESMTP\r\n", ErrNotServer.Error()},
		{"\x13\x00\x00\x00\xff\x10\x04Too many connections"[:23], "Too many connect"},
		{"\x20\x00\x00\x00\x0a", "no greeting came"},
		{"", "no greeting came"},
		{"silence", "no greeting came: context deadline exceeded"},
	} {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		must(t, err)
		done := make(chan struct{})
		go func() {
			defer close(done)
			if conn, err := listener.Accept(); err == nil {
				if c.says == "silence" {
					_, _ = conn.Read(make([]byte, 1)) // until the other side gives up
				} else {
					_, _ = io.WriteString(conn, c.says)
				}
				conn.Close()
			}
		}()
		timeout := 60
		if c.says == "silence" {
			timeout = 1
		}
		_, err = enter(t, fmt.Sprintf("connect-timeout=%d\nport=%d", timeout, listener.Addr().(*net.TCPAddr).Port))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, want %q", c.says, err, c.want)
		}
		listener.Close()
		<-done
	}
}

func FuzzGreeting(f *testing.F) {
	f.Add([]byte("\x0a5.7.29-log\x00" + strings.Repeat("\x01", 31) + "12345678901\x00mysql_native_password\x00"))
	f.Add([]byte("\xff\x10\x04#08004x"))
	f.Fuzz(func(t *testing.T, body []byte) {
		if len(body) > 1<<15 || !isGreeting(body) {
			return
		}
		client, there := net.Pipe()
		defer there.Close()
		go func() {
			header := []byte{byte(len(body)), byte(len(body) >> 8), 0, 0}
			_, _ = there.Write(append(header, body...))
			there.Close()
		}()
		l := Login{User: "me", Host: "db", Port: 1, ConnectTimeout: time.Minute, TLS: TLS{Mode: Disabled}, MaxPacket: mostPacket}
		config, err := l.Config()
		must(t, err)
		config.DialFunc = func(context.Context, string, string) (net.Conn, error) { return client, nil }
		s, err := server.New(config)
		must(t, err)
		if _, err := s.Connect(t.Context()); err == nil {
			t.Error("somebody is let in by a greeting alone")
		}
	})
}
