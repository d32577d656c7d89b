package login

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"strings"

	"github.com/skeema/knownhosts"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
	sshknown "golang.org/x/crypto/ssh/knownhosts"
)

// Errors that people can do something about.
var (
	// ErrHostUnknown says that no known_hosts file has a key of the server.
	ErrHostUnknown = errors.New("the host key is not known")
	// ErrHostChanged says that the server has another host key than it should.
	ErrHostChanged = errors.New("the host key is not the one that is known")
	// ErrPassphrase says that a key that was named is under a passphrase.
	ErrPassphrase = errors.New("the SSH key is protected by a passphrase")
	// ErrKeys says that the server takes none of the keys that there are.
	ErrKeys = errors.New("no SSH key is taken")
	// ErrConfig says that the SSH configuration cannot be followed.
	ErrConfig = errors.New("SSH configuration cannot be followed")
)

// ClientConfig says who the server must be and who we are. done releases the agent.
func (r *Login) ClientConfig() (config *ssh.ClientConfig, done func(), err error) {
	config = &ssh.ClientConfig{User: r.User, ClientVersion: "SSH-2.0-nightjar"}
	if err := r.hostKeys(config); err != nil {
		return nil, nil, err
	}
	signers, done, err := r.signers()
	if err != nil {
		return nil, nil, err
	}
	config.Auth = []ssh.AuthMethod{ssh.PublicKeys(signers...)}
	return config, done, nil
}

// hostKeys has the connection fail unless the server has a key that is known.
func (r *Login) hostKeys(config *ssh.ClientConfig) error {
	db, err := knownhosts.NewDB(r.known...)
	if err != nil {
		return fmt.Errorf("read known hosts: %w", err)
	}
	callback := db.HostKeyCallback()
	// Else the server might show one of a kind that is not known, beside the one that is.
	config.HostKeyAlgorithms = db.HostKeyAlgorithms(r.Address)
	config.HostKeyCallback = func(host string, remote net.Addr, key ssh.PublicKey) error {
		err := callback(host, remote, key)
		var wrong *sshknown.KeyError
		var revoked *sshknown.RevokedError
		switch {
		case errors.As(err, &wrong) && len(wrong.Want) == 0:
			return &Error{ErrHostUnknown, fmt.Sprintf("%s has %s %s, which is not in %s", r.Address, key.Type(), ssh.FingerprintSHA256(key), files(r.known))}
		case errors.As(err, &wrong):
			return &Error{ErrHostChanged, fmt.Sprintf("%s has %s %s, %s:%d has %s", r.Address, key.Type(), ssh.FingerprintSHA256(key),
				wrong.Want[0].Filename, wrong.Want[0].Line, ssh.FingerprintSHA256(wrong.Want[0].Key))}
		case errors.As(err, &revoked):
			return &Error{ErrHostChanged, fmt.Sprintf("%s has %s %s, which is revoked", r.Address, key.Type(), ssh.FingerprintSHA256(key))}
		case err != nil && strings.Contains(err.Error(), "no authorities for hostname"):
			return &Error{ErrHostUnknown, fmt.Sprintf("%s has a certificate of an authority that is not in %s", r.Address, files(r.known))}
		case err != nil:
			return &Error{ErrHostChanged, fmt.Sprintf("%s has a key that is not right: %v", r.Address, err)}
		}
		return nil
	}
	return nil
}

func files(names []string) string {
	if len(names) == 0 {
		return "a file of known hosts: there is none"
	}
	text := names[0]
	for _, name := range names[1:] {
		text += ", " + name
	}
	return text
}

// An Error is final: another attempt comes to the same.
type Error struct {
	is   error
	text string
}

func (e *Error) Error() string { return e.is.Error() + ": " + e.text }
func (e *Error) Unwrap() error { return e.is }

// signers returns the keys to try: the one that was named, else those of the agent, then those in files. An error is final.
func (r *Login) signers() (all []ssh.Signer, done func(), err error) {
	done = func() {}
	agents := "there is no agent (SSH_AUTH_SOCK)"
	if r.agent != "" {
		agents = "no agent answers at " + r.agent
		if c, err := net.Dial("unix", r.agent); err == nil {
			agents = "the agent has none"
			done = func() { _ = c.Close() } // nothing was written
			all, _ = agent.NewClient(c).Signers()
		}
	}
	if r.named != "" {
		signers, err := r.file(r.named)
		var protected *ssh.PassphraseMissingError
		if s := held(all, err); s != nil {
			return []ssh.Signer{s}, done, nil
		}
		switch {
		case errors.As(err, &protected):
			err = &Error{ErrPassphrase, r.named}
		case errors.Is(err, x509.IncorrectPasswordError):
			err = &Error{ErrPassphrase, r.named + ", and SFTP_PASSPHRASE is not it"}
		case err != nil:
			err = &Error{ErrKeys, err.Error()}
		}
		if err != nil {
			done()
			return nil, nil, err
		}
		return signers, done, nil
	}
	var locked error
	loaded := all
	if r.only {
		all = nil
	}
	for _, file := range r.identities {
		signers, err := r.file(file)
		switch {
		case err == nil:
			all = append(all, signers...)
		case held(loaded, err) != nil:
			if r.only {
				all = append(all, held(loaded, err))
			}
		case errors.As(err, new(*ssh.PassphraseMissingError)):
			locked = &Error{ErrPassphrase, file}
		case errors.Is(err, x509.IncorrectPasswordError):
			locked = &Error{ErrPassphrase, file + ", and SFTP_PASSPHRASE is not it"}
		case !errors.Is(err, fs.ErrNotExist) && locked == nil:
			locked = &Error{ErrKeys, err.Error()}
		}
	}
	if len(all) == 0 {
		done()
		if locked == nil {
			locked = &Error{ErrKeys, agents + ", and there is no file of one"}
		}
		return nil, nil, locked
	}
	return all, done, nil
}

// held returns what the agent has of a key whose file could not be opened without its passphrase; nil: nothing.
func held(agents []ssh.Signer, err error) ssh.Signer {
	var protected *ssh.PassphraseMissingError
	if !errors.As(err, &protected) || protected.PublicKey == nil {
		return nil
	}
	for _, s := range agents {
		if bytes.Equal(s.PublicKey().Marshal(), protected.PublicKey.Marshal()) {
			return s
		}
	}
	return nil
}

// file reads a key, and the certificate beside it if there is one.
func (r *Login) file(path string) ([]ssh.Signer, error) {
	data, err := readFile(path)
	if err != nil {
		return nil, err
	}
	key, err := ssh.ParsePrivateKey(data)
	var protected *ssh.PassphraseMissingError
	if errors.As(err, &protected) && r.passphrase != "" {
		key, err = ssh.ParsePrivateKeyWithPassphrase(data, []byte(r.passphrase))
	}
	if err != nil {
		return nil, fmt.Errorf("read SSH key %s: %w", path, err)
	}
	data, err = readFile(path + "-cert.pub")
	if err != nil {
		return []ssh.Signer{key}, nil
	}
	public, _, _, _, err := ssh.ParseAuthorizedKey(data)
	certificate, ok := public.(*ssh.Certificate)
	if err != nil || !ok {
		return []ssh.Signer{key}, nil
	}
	certified, err := ssh.NewCertSigner(certificate, key)
	if err != nil {
		return []ssh.Signer{key}, nil
	}
	return []ssh.Signer{certified, key}, nil
}

// Explain gives an error of the handshake a name.
func (r *Login) Explain(err error) error {
	var known *Error
	var none *ssh.AlgorithmNegotiationError
	switch text := err.Error(); {
	case errors.As(err, &known):
		return known
	case strings.Contains(text, "unable to authenticate"), strings.Contains(text, "Too many authentication failures"):
		return &Error{ErrKeys, fmt.Sprintf("user %s at %s: %v", r.User, r.Address, err)}
	case errors.As(err, &none) && strings.Contains(text, "host key"):
		return &Error{ErrHostUnknown, fmt.Sprintf("%s has none of the kinds that are known of it: %v", r.Address, err)}
	}
	return fmt.Errorf("connect to %s: %w", r.Address, err)
}
