package login

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"nightjar/mysqldump/optionfile"
)

const secretText = "Tr0ub4dor#\"\\ 'x"

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func write(t testing.TB, path, content string) string {
	t.Helper()
	must(t, os.WriteFile(path, []byte(content), 0o600))
	return path
}

// wants returns the login of an option file [client], as somebody called me.
func wants(t testing.TB, content string, explicit ...optionfile.Option) (*Login, []error, error) {
	t.Helper()
	path := write(t, filepath.Join(t.TempDir(), "my.cnf"), content)
	return Find(Request{Files: optionfile.Files{Only: path}, Explicit: explicit, User: "me"})
}

func TestFind(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "own.sock")
	before := sockets
	sockets = []string{"/nonexistent/first.sock", write(t, socket, "")}
	defer func() { sockets = before }()
	for _, c := range []struct{ file, want string }{
		{"", "me@" + socket},
		{"host=localhost\nport=3307", "me@" + socket},
		{"host=localhost\nport=3307\nprotocol=TCP", "me@localhost:3307"},
		{"protocol=tcp", "me@localhost:3306"},
		{"protocol=tcp\nsocket=/s", "me@localhost:3306"},
		{"socket=/s", "me@/s"},
		{"host=db\nsocket=/s", "me@db:3306"},
		{"host=::1\nport=0\nuser=a@b", "a@b@[::1]:3306"},
		{"ho=db\nuse=root", "root@db:3306"},
		{"loose-host=db\nloose-bogus=1\nloose_port=1", "me@db:1"},
		{"[nightjar]\nhost=mine\n[client]\nhost=others", "me@mine:3306"},
		{"bogus=1\nskip-bogus\n=x\nprompt=x\ndisable-auto-rehash", "me@" + socket},
	} {
		l, warnings, err := wants(t, "[client]\n"+c.file)
		if err != nil || l.String() != c.want || len(warnings) > 0 {
			t.Errorf("%q: %v, %v, %v, want %s", c.file, l, warnings, err, c.want)
		}
	}
}

func TestValues(t *testing.T) {
	l, _, err := wants(t, "[client]\npassword=\"a#b\"\nconnect_timeout=3\nmax-allowed-packet=16M\nenable-cleartext-plugin\nget_server_public_key=ON\ndefault-auth=x")
	must(t, err)
	if l.Password.Reveal() != "a#b" || l.ConnectTimeout != 3*time.Second || l.MaxPacket != 16<<20 || !l.Cleartext || !l.FetchServerKey || l.Auth != "x" {
		t.Errorf("%+v", l)
	}
	l, warnings, err := wants(t, "[client]\npassword", optionfile.Set("enable-cleartext-plugin", "off", "--x"))
	must(t, err)
	if l.Password.Reveal() != "" || l.ConnectTimeout != defaultTimeout || l.MaxPacket != mostPacket || l.Cleartext || len(warnings) != 1 {
		t.Errorf("%+v, %v", l, warnings)
	}
}

func TestRefused(t *testing.T) {
	for content, want := range map[string]string{
		"[client]\nport=x":                          "line 2): not a number from 0 to 65535",
		"[client]\nport=65536":                      "not a number",
		"[client]\nport=-1":                         "not a number",
		"[client]\nport":                            "needs a value",
		"[client]\nprotocol=pipe":                   "neither tcp nor socket",
		"[client]\nhost=db\nprotocol=socket":        "serves localhost only",
		"[client]\nssl=perhaps":                     "neither on nor off",
		"[client]\nssl-mode=MAYBE":                  "none of DISABLED, PREFERRED",
		"[client]\nssl-fp=aa":                       "not supported",
		"[client]\nssl-crl=x":                       "without ssl-ca",
		"[client]\nssl-key=x":                       "without ssl-cert",
		"[client]\nmax-allowed-packet=2G":           "not a size from",
		"[client]\nmax-allowed-packet=99999999999G": "not a size",
		"[client]\nmax-allowed-packet=M":            "not a size",
		"[nightjar]\nbogus=1":                       "bogus",
		"[nightjar]\nssl-c=1":                       "stands for ssl-ca and ssl-capath",
		"[nightjar]\nskip-host":                     "cannot be turned",
		"[client]\nconnect-timeout=1e3":             "not a number",
	} {
		if _, _, err := wants(t, content); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", content, err, want)
		}
	}
	if l, warnings, err := wants(t, "[client]\nssl-c=1\nskip-host"); err != nil || l.TLS.Mode != Preferred || len(warnings) != 2 {
		t.Errorf("names in [client] that are unclear: %v, %v", warnings, err)
	}
	if _, _, err := Find(Request{Files: optionfile.Files{None: true}}); err == nil {
		t.Error("nobody logs in")
	}
}

func TestModes(t *testing.T) {
	for content, want := range map[string]Mode{
		"":                                      Preferred,
		"ssl":                                   Required,
		"ssl=0":                                 Disabled,
		"skip-ssl":                              Disabled,
		"skip-ssl=0":                            Required,
		"disable_ssl":                           Disabled,
		"ssl-ca=x":                              VerifyCA,
		"ssl-capath=x":                          VerifyCA,
		"ssl-ca=x\nskip-ssl":                    Disabled,
		"skip-ssl\nssl-ca=x":                    VerifyCA,
		"ssl-cert=x":                            Required,
		"ssl-verify-server-cert":                VerifyIdentity,
		"ssl-verify-server-cert=0":              Preferred,
		"ssl-ca=x\nssl-verify-server-cert=0":    VerifyCA,
		"ssl-mode=required\nssl-ca=x":           Required,
		"ssl-mode=VERIFY_IDENTITY\nskip-ssl":    VerifyIdentity,
		"ssl-mode=VERIFY_CA\nssl-mode=DISABLED": Disabled,
		"loose-ssl-mode=VERIFY_CA\nloose-ssl-x=1": VerifyCA,
	} {
		l, _, err := wants(t, "[client]\n"+content)
		if err != nil || l.TLS.Mode != want {
			t.Errorf("%q: %+v, %v, want %v", content, l, err, want)
		}
	}
}

// Later sources win over earlier ones.
func TestOrder(t *testing.T) {
	path := write(t, filepath.Join(t.TempDir(), "my.cnf"), "[nightjar]\nuser=file\n")
	r := Request{Defaults: []optionfile.Option{optionfile.Set("user", "default", "X"), optionfile.Set("host", "default", "X")}, Files: optionfile.Files{Only: path}, Explicit: []optionfile.Option{optionfile.Set("host", "flag", "--host")}, User: "me"}
	l, _, err := Find(r)
	if err != nil || l.String() != "file@flag:3306" {
		t.Errorf("%v, %v", l, err)
	}
	r.Explicit = append(r.Explicit, optionfile.Set("port", "x", "--port"))
	if _, _, err := Find(r); err == nil || !strings.Contains(err.Error(), "port (--port)") {
		t.Errorf("an error that does not name the flag: %v", err)
	}
}

// No password comes out of what is printed, nor of errors about it or the lines around it.
func TestSecrecy(t *testing.T) {
	l, _, err := wants(t, "[client]\nhost=db\npassword=\""+strings.ReplaceAll(secretText, `\`, `\\`)+"\"")
	must(t, err)
	if l.Password.Reveal() != secretText {
		t.Fatalf("the password is %q", l.Password.Reveal())
	}
	config, err := l.Config()
	must(t, err)
	option := optionfile.Set("password", secretText, "--x")
	files := optionfile.Files{Only: write(t, filepath.Join(t.TempDir(), "x"), "[client]\npassword='"+secretText+"'\n")}
	read, _, err := files.Read()
	must(t, err)
	text, err := json.Marshal([]any{l, option, l.Password, read})
	must(t, err)
	printed := []string{string(text), config.FormatDSN()}
	for _, v := range []any{*l, l, config, *config, option, []optionfile.Option{option}, read, l.Password, &l.Password, struct{ p Password }{l.Password}, Request{Explicit: read}, wanted{Login: *l}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
			printed = append(printed, fmt.Sprintf(verb, v))
		}
	}
	for _, content := range []string{
		"password=" + secretText, "[client]\nport=" + secretText, "[client]\nssl=" + secretText, "[client]\nprotocol=" + secretText,
		"[client]\nssl-mode=" + secretText, "[client\npassword=" + secretText, "[client]\n!include\npassword=" + secretText,
		"[client]\nmax-allowed-packet=" + secretText, "[nightjar]\nport=" + secretText + "\x00",
		"[client]\npassword=" + secretText + strings.Repeat("x", 4094),
	} {
		_, warnings, err := wants(t, content)
		if err == nil {
			t.Errorf("%q is taken", content)
			continue
		}
		printed = append(printed, err.Error(), fmt.Sprint(warnings))
	}
	l.Password = NewPassword(secretText + "\x00")
	if _, err = l.optionFile(MariaDB); err == nil {
		t.Error("a NUL byte is written")
	} else {
		printed = append(printed, err.Error())
	}
	for _, p := range printed {
		if strings.Contains(p, secretText[:9]) || strings.Contains(p, fmt.Sprintf("%x", secretText[:9])) {
			t.Errorf("a secret is in %q", p)
		}
	}
}

func TestPassword(t *testing.T) {
	if p := NewPassword(""); p != (Password{}) || p.Reveal() != "" || fmt.Sprint(p) != "none" || fmt.Sprint(NewPassword("x")) != "(hidden)" {
		t.Errorf("an empty password: %v", p)
	}
}

func TestTLSWords(t *testing.T) {
	if low, high, err := parseVersions("TLSv1.3, TLSv1.1"); err != nil || low != 0x302 || high != 0x304 {
		t.Errorf("versions %x to %x, %v", low, high, err)
	}
	if _, _, err := parseVersions("TLSv1.2,SSLv3"); err == nil {
		t.Error("SSLv3 is a version of TLS")
	}
	ids, err := parseCiphers("ECDHE-RSA-AES128-GCM-SHA256:AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-AES128-SHA:bogus:TLS_AES_128_GCM_SHA256")
	if want := []uint16{0xc02f, 0x009d, 0xcca9, 0xc013, 0x1301}; err != nil || !slices.Equal(ids, want) {
		t.Errorf("ciphers %x, %v, want %x", ids, err, want)
	}
	if _, err := parseCiphers("HIGH:!aNULL"); err == nil {
		t.Error("no cipher is taken for some")
	}
}

func TestFilesThatAreMissing(t *testing.T) {
	for _, l := range []TLS{{Mode: Required, Cert: "/none"}, {Mode: VerifyCA, CA: "/none"}, {Mode: VerifyCA, CAPath: "/none"}, {Mode: VerifyCA, CRL: "/none"}, {Mode: VerifyCA, CA: "/dev/null"}} {
		if _, err := l.config("db"); err == nil {
			t.Errorf("%+v is taken", l)
		}
	}
	if _, err := (&Login{Host: "db", ServerKey: "/none"}).Config(); err == nil {
		t.Error("a server's key that is not there is taken")
	}
}
