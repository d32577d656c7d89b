package login

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"time"

	"nightjar/internal/bounded"
)

// A verifier decides whether a server's certificate is believed.
type verifier struct {
	roots   *x509.CertPool         // nil: the operating system's
	host    string                 // that it must name; empty: any
	revoked []*x509.RevocationList // empty: nothing is asked about
	now     func() time.Time
}

func (v *verifier) verify(c tls.ConnectionState) error {
	if len(c.PeerCertificates) == 0 {
		return errors.New("the server shows no certificate")
	}
	leaf := c.PeerCertificates[0]
	between := x509.NewCertPool()
	for _, cert := range c.PeerCertificates[1:] {
		between.AddCert(cert)
	}
	chains, err := leaf.Verify(x509.VerifyOptions{Roots: v.roots, Intermediates: between, CurrentTime: v.now()})
	if err != nil {
		return err
	}
	if v.host != "" && !names(leaf, v.host) {
		return fmt.Errorf("the server's certificate does not name %s: %w", v.host, leaf.VerifyHostname(v.host))
	}
	if len(v.revoked) == 0 {
		return nil
	}
	for _, chain := range chains {
		if err = v.unrevoked(chain); err == nil {
			return nil
		}
	}
	return err
}

// names reports whether a certificate is for a host. As with the clients, the common name counts where there is no other.
func names(cert *x509.Certificate, host string) bool {
	if len(cert.DNSNames)+len(cert.IPAddresses)+len(cert.EmailAddresses)+len(cert.URIs) == 0 {
		return strings.EqualFold(cert.Subject.CommonName, host)
	}
	return cert.VerifyHostname(host) == nil
}

// unrevoked wants a list that holds now from the issuer of the server's certificate, and no certificate of the chain in
// a list of its issuer.
func (v *verifier) unrevoked(chain []*x509.Certificate) error {
	listed := false
	for i := 0; i+1 < len(chain); i++ {
		for _, l := range v.revoked {
			if l.CheckSignatureFrom(chain[i+1]) != nil {
				continue
			}
			if now := v.now(); now.Before(l.ThisUpdate) || !l.NextUpdate.IsZero() && now.After(l.NextUpdate) {
				return errors.New("the list of revoked certificates does not hold at this time")
			}
			for _, e := range l.RevokedCertificateEntries {
				if e.SerialNumber.Cmp(chain[i].SerialNumber) == 0 {
					return fmt.Errorf("a certificate is revoked: %s", chain[i].Subject)
				}
			}
			listed = listed || i == 0
		}
	}
	if !listed {
		return errors.New("no list of revoked certificates comes from the issuer of the server's certificate")
	}
	return nil
}

// loadCRLs returns the lists of revoked certificates in a PEM file.
func loadCRLs(path string) ([]*x509.RevocationList, error) {
	content, err := bounded.ReadFile(path, maxFile)
	if err != nil {
		return nil, fmt.Errorf("read revoked certificates: %w", err)
	}
	var lists []*x509.RevocationList
	for {
		var block *pem.Block
		if block, content = pem.Decode(content); block == nil {
			break
		}
		if block.Type != "X509 CRL" {
			continue
		}
		l, err := x509.ParseRevocationList(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("read revoked certificates %s: %w", path, err)
		}
		lists = append(lists, l)
	}
	if len(lists) == 0 {
		return nil, fmt.Errorf("read revoked certificates: %s holds no list", path)
	}
	return lists, nil
}
