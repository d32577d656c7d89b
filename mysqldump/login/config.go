package login

import (
	"context"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"net"

	"nightjar/internal/bounded"

	"github.com/go-sql-driver/mysql"
)

// Config returns what the driver needs. It holds no password: that is put in when a connection is made, and not in a DSN.
// Its timeout bounds reaching the server; the context of a connection has to bound the login, and every statement.
func (l *Login) Config() (*mysql.Config, error) {
	c := mysql.NewConfig()
	c.User = l.User
	c.Logger = &mysql.NopLogger{}
	c.Timeout = l.ConnectTimeout
	c.MaxAllowedPacket = l.MaxPacket
	c.Addr = l.Address()
	host := ""
	if c.Net = "unix"; l.Socket == "" {
		c.Net, host = "tcp", l.Host
	}
	var err error
	if c.TLS, err = l.TLS.config(host); err != nil {
		return nil, fmt.Errorf("log in at %s: %w", l.Address(), err)
	}
	c.AllowFallbackToPlaintext = l.TLS.Mode == Preferred || host == "" // a socket is as good
	c.AllowCleartextPasswords = l.Cleartext && (l.TLS.Mode >= VerifyCA || host == "")
	if l.ServerKey != "" {
		if c.ServerPubKey, err = registerKey(l.ServerKey); err != nil {
			return nil, fmt.Errorf("log in at %s: %w", l.Address(), err)
		}
	}
	c.DialFunc = l.dial
	password := l.Password
	err = c.Apply(mysql.BeforeConnect(func(_ context.Context, c *mysql.Config) error {
		c.Passwd = password.Reveal()
		return nil
	}))
	return c, err
}

// dial makes connections to servers of this kind only, that do not give the password to whoever says to be the server.
func (l *Login) dial(ctx context.Context, network, address string) (net.Conn, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	first, err := greeting(ctx, conn)
	if err != nil {
		conn.Close()
		return nil, err
	}
	trusted := network == "unix" || l.FetchServerKey || l.ServerKey != ""
	return &guard{socket: conn.(socket), greeting: first, done: trusted}, nil
}

// registerKey makes a server's public key known to the driver, and returns the name that it has there.
func registerKey(path string) (name string, err error) {
	content, err := bounded.ReadFile(path, maxFile)
	if err != nil {
		return "", fmt.Errorf("read the server's public key: %w", err)
	}
	block, _ := pem.Decode(content)
	if block == nil {
		return "", fmt.Errorf("read the server's public key: %s is no PEM file", path)
	}
	parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return "", fmt.Errorf("read the server's public key %s: %w", path, err)
	}
	key, ok := parsed.(*rsa.PublicKey)
	if !ok {
		return "", fmt.Errorf("read the server's public key: %s is no RSA key", path)
	}
	sum := sha256.Sum256(block.Bytes)
	name = "nightjar-" + hex.EncodeToString(sum[:])
	mysql.RegisterServerPubKey(name, key)
	return name, nil
}
