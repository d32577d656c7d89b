package login

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"nightjar/internal/bounded"
)

const (
	maxFile    = 1 << 20 // bytes of keys or certificates
	maxEntries = 10000   // of a folder of certificates
)

// A Mode says how much TLS has to protect a connection. Each protects more than those before it.
type Mode int

const (
	Disabled       Mode = iota
	Preferred           // TLS if the server has it, whoever it is: no protection from somebody between us and the server
	Required            // TLS, whoever the server is
	VerifyCA            // and its certificate comes from the authority
	VerifyIdentity      // and names the host; a socket has none, so there it is VerifyCA
)

var modes = []string{"DISABLED", "PREFERRED", "REQUIRED", "VERIFY_CA", "VERIFY_IDENTITY"}

// String returns the mode as MySQL's option ssl-mode has it.
func (m Mode) String() string { return modes[m] }

func parseMode(text string) (*Mode, error) {
	for m, name := range modes {
		if strings.EqualFold(name, text) {
			mode := Mode(m)
			return &mode, nil
		}
	}
	return nil, fmt.Errorf("none of %s", strings.Join(modes, ", "))
}

// TLS says how a connection is protected. Paths are of PEM files; all but Mode may be empty.
type TLS struct {
	Mode       Mode
	CA, CAPath string // authorities: a file, a folder; with neither the operating system's
	Cert, Key  string // the client's own
	CRL        string // of the authority that signs the servers' certificates
	Ciphers    string // of TLS 1.2 and before, as OpenSSL names them, with colons between
	Versions   string // "TLSv1.2,TLSv1.3"; empty: these
}

// wantedTLS is what the options say so far.
type wantedTLS struct {
	TLS
	mode     *Mode // ssl-mode, which goes before all others
	asked    bool  // some option was about TLS
	off      bool
	identity bool
}

func (w *wantedTLS) on(on bool) { w.asked, w.off = w.asked || on, !on }

// decide makes one mode of MySQL's and MariaDB's options.
func (w *wantedTLS) decide() (TLS, error) {
	t := w.TLS
	switch {
	case w.mode != nil:
		t.Mode = *w.mode
	case w.off:
		t.Mode = Disabled
	case w.identity:
		t.Mode = VerifyIdentity
	case t.CA != "" || t.CAPath != "":
		t.Mode = VerifyCA
	case w.asked:
		t.Mode = Required
	default:
		t.Mode = Preferred
	}
	if t.Key != "" && t.Cert == "" {
		return t, errors.New("a key without a certificate (ssl-key without ssl-cert)")
	}
	if t.CRL != "" && t.Mode != Disabled && t.Mode < VerifyCA {
		return t, errors.New("revoked certificates are found only where certificates are verified (ssl-crl without ssl-ca)")
	}
	return t, nil
}

// config returns what the driver needs for a host, or for a socket if it is ""; nil: no TLS.
func (t *TLS) config(host string) (*tls.Config, error) {
	if t.Mode == Disabled || t.Mode == Preferred && host == "" {
		return nil, nil
	}
	c := &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12} // below are the clients' rules instead
	if net.ParseIP(host) == nil {
		c.ServerName = host
	}
	var err error
	if t.Versions != "" {
		if c.MinVersion, c.MaxVersion, err = parseVersions(t.Versions); err != nil {
			return nil, err
		}
	}
	if t.Ciphers != "" {
		if c.CipherSuites, err = parseCiphers(t.Ciphers); err != nil {
			return nil, err
		}
	}
	if t.Cert != "" {
		pair, err := t.pair()
		if err != nil {
			return nil, err
		}
		c.Certificates = []tls.Certificate{pair}
	}
	if t.Mode < VerifyCA {
		return c, nil
	}
	v := &verifier{now: time.Now}
	if t.Mode == VerifyIdentity {
		v.host = host
	}
	if v.roots, err = t.authorities(); err != nil {
		return nil, err
	}
	if t.CRL != "" {
		if v.revoked, err = loadCRLs(t.CRL); err != nil {
			return nil, err
		}
	}
	c.VerifyConnection = v.verify
	return c, nil
}

// pair returns the client's certificate, with its key, which may be in the same file.
func (t *TLS) pair() (tls.Certificate, error) {
	cert, err := bounded.ReadFile(t.Cert, maxFile)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("read certificate: %w", err)
	}
	key, name := cert, t.Cert
	if t.Key != "" {
		name = t.Key
		if key, err = bounded.ReadFile(name, maxFile); err != nil {
			return tls.Certificate{}, fmt.Errorf("read key of certificate: %w", err)
		}
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return pair, fmt.Errorf("read certificate %s with key %s: %w", t.Cert, name, err)
	}
	return pair, nil
}

// authorities returns whom to believe; nil: whom the operating system does.
func (t *TLS) authorities() (*x509.CertPool, error) {
	if t.CA == "" && t.CAPath == "" {
		return nil, nil
	}
	pool := x509.NewCertPool()
	if t.CA != "" {
		pem, err := bounded.ReadFile(t.CA, maxFile)
		if err != nil {
			return nil, fmt.Errorf("read certificates of authorities: %w", err)
		}
		if !pool.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("read certificates of authorities: %s holds none", t.CA)
		}
	}
	if t.CAPath != "" {
		if err := addFolder(pool, t.CAPath); err != nil {
			return nil, fmt.Errorf("read certificates of authorities: %w", err)
		}
	}
	return pool, nil
}

// addFolder adds the certificates of a folder's files; what holds none is passed over.
func addFolder(pool *x509.CertPool, dir string) error {
	names, err := bounded.Names(dir, maxEntries)
	if err != nil {
		return err
	}
	found := false
	for _, name := range names {
		path := filepath.Join(dir, name)
		if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
			continue
		}
		pem, err := bounded.ReadFile(path, maxFile)
		if err != nil {
			return err
		}
		found = pool.AppendCertsFromPEM(pem) || found
	}
	if !found {
		return fmt.Errorf("%s holds none", dir)
	}
	return nil
}

var versions = map[string]uint16{"TLSv1": tls.VersionTLS10, "TLSv1.0": tls.VersionTLS10, "TLSv1.1": tls.VersionTLS11, "TLSv1.2": tls.VersionTLS12, "TLSv1.3": tls.VersionTLS13}

// parseVersions returns the lowest and the highest version of a list.
func parseVersions(text string) (lowest, highest uint16, err error) {
	for name := range strings.SplitSeq(text, ",") {
		v := versions[strings.TrimSpace(name)]
		if v == 0 {
			return 0, 0, fmt.Errorf("tls-version: %q is no version of TLS", name)
		}
		if lowest == 0 || v < lowest {
			lowest = v
		}
		highest = max(highest, v)
	}
	return lowest, highest, nil
}

// parseCiphers returns those of a list that Go has. Those of TLS 1.3 cannot be chosen.
func parseCiphers(text string) ([]uint16, error) {
	known := map[string]uint16{}
	for _, s := range append(tls.CipherSuites(), tls.InsecureCipherSuites()...) {
		known[s.Name], known[openSSLName(s.Name)] = s.ID, s.ID
	}
	var ids []uint16
	for name := range strings.FieldsFuncSeq(text, func(r rune) bool { return strings.ContainsRune(":, ", r) }) {
		if id, ok := known[name]; ok {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		return nil, fmt.Errorf("ssl-cipher: none of %q can be had", text)
	}
	return ids, nil
}

// openSSLName translates TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 to ECDHE-RSA-AES128-GCM-SHA256.
func openSSLName(name string) string {
	name = strings.TrimPrefix(name, "TLS_")
	name = strings.TrimPrefix(name, "RSA_WITH_")
	return strings.NewReplacer("_WITH_", "-", "AES_", "AES", "_CBC_", "-", "POLY1305_SHA256", "POLY1305", "_", "-").Replace(name)
}
