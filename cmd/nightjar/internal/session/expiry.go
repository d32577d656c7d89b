package session

import (
	"errors"
	"fmt"
	"time"

	"nightjar/cmd/nightjar/internal/usage"
	"nightjar/crypto"
	"nightjar/repo/keyring"
)

// notice is how long before a key expires every run tells of it.
const notice = 30 * 24 * time.Hour

// warnExpiry tells of recovery keys, and of this machine's key (nil: it has none), that expire soon, as the keyring has them. Of a recovery key that has
// expired it tells, too: the backups go on, but the next change of keys leaves it out.
func (set *Settings) warnExpiry(keys *keyring.Keyring, host *crypto.Key) {
	now := set.Now()
	soon := func(end time.Time) bool { return !end.IsZero() && end.Sub(now) <= notice }
	for _, key := range keys.RecoveryKeys() {
		f := key.Fingerprint()
		if err := key.CanEncrypt(now); err != nil {
			set.Warn(fmt.Errorf("recovery %w: it opens what is there, but nothing any more after the next change of keys; %s", err, renewRecovery(f)))
		} else if _, end := key.Ends(now); soon(end) {
			set.Warn(fmt.Errorf("recovery key %s expires on %s: %s", f, day(end), renewRecovery(f)))
		}
	}
	if host == nil {
		return
	}
	enrolled, err := keys.HostCertificate(host.Fingerprint())
	if err != nil {
		return // which is told of elsewhere
	}
	name, _ := keys.Owner(host.Fingerprint())
	sign, encrypt := enrolled.Ends(now)
	switch {
	case soon(sign):
		set.Warn(fmt.Errorf("the key %s of this host expires on %s, and backups end then: %s", host.Fingerprint(), day(sign), RenewHost(name, host.Fingerprint())))
	case soon(encrypt):
		set.Warn(fmt.Errorf("the key %s of this host can be sealed to until %s only, and after the next change of keys it cannot go on: %s",
			host.Fingerprint(), day(encrypt), RenewHost(name, host.Fingerprint())))
	}
}

func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// RenewHost is the advice what to do about a host's key that expires.
func RenewHost(host string, f crypto.Fingerprint) string {
	return fmt.Sprintf("extend it (gpg --quick-set-expire %s 1y, and again with '*' at the end), say here nightjar key enroll --sign-key %s --certificate FILE, and "+
		"where a recovery key is nightjar key rotate host %s --certificate FILE. Or make another: nightjar key enroll --renew --certificate FILE", f, f, host)
}

func renewRecovery(f crypto.Fingerprint) string {
	return fmt.Sprintf("extend it (gpg --quick-set-expire %s 1y, and again with '*' at the end), and say nightjar key add-recovery %s", f, f)
}

// hostError adds to an error of a host's key what to do about it.
func hostError(err error, keys *keyring.Keyring, f crypto.Fingerprint) error {
	var key *crypto.KeyError
	if !errors.As(err, &key) {
		return err
	}
	name, _ := keys.Owner(f)
	return usage.Hinted{Err: err, Hint: RenewHost(name, f)}
}
