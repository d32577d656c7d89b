package replica_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// certificates returns the file of an authority that the servers of a test can read, and the flags of a server at 127.0.0.1 that it
// vouches for.
func certificates(t testing.TB) (ca string, flags []string) {
	t.Helper()
	fatal := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	folder, err := os.MkdirTemp("", "nightjar-certificates-")
	fatal(err)
	t.Cleanup(func() { os.RemoveAll(folder) })
	fatal(os.Chmod(folder, 0o755)) // a test's own is closed to the servers' user
	path := func(name string) string { return filepath.Join(folder, name) }
	write := func(name, kind string, content []byte) {
		t.Helper()
		fatal(os.WriteFile(path(name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: content}), 0o644))
	}
	issue := func(name string, template, parent *x509.Certificate, parentKey *ecdsa.PrivateKey) *ecdsa.PrivateKey {
		t.Helper()
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		fatal(err)
		if parentKey == nil {
			parentKey = key
		}
		template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
		certificate, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, parentKey)
		fatal(err)
		write(name+".pem", "CERTIFICATE", certificate)
		private, err := x509.MarshalPKCS8PrivateKey(key)
		fatal(err)
		write(name+"-key.pem", "PRIVATE KEY", private)
		return key
	}
	authority := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	key := issue("ca", authority, authority, nil)
	issue("server", &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "127.0.0.1"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, authority, key)
	return path("ca.pem"), []string{"--ssl-ca=" + path("ca.pem"), "--ssl-cert=" + path("server.pem"), "--ssl-key=" + path("server-key.pem")}
}
