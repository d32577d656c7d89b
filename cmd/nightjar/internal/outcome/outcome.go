// Package outcome says what an error means to whoever ran the program: an exit code, and what to do about it.
//
// The invariant: every way to fail that people can do something about has a code of its own or a hint. The package prints nothing.
package outcome

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"slices"
	"syscall"

	"nightjar/backup"
	"nightjar/backup/browse"
	"nightjar/backup/restore"
	"nightjar/cmd/nightjar/internal/passphrase"
	"nightjar/cmd/nightjar/internal/place"
	"nightjar/cmd/nightjar/internal/session"
	"nightjar/cmd/nightjar/internal/usage"
	"nightjar/cmd/nightjar/internal/userkeys"
	"nightjar/crypto"
	"nightjar/crypto/gnupg"
	"nightjar/mysqldump/datadir"
	"nightjar/mysqldump/dump"
	"nightjar/mysqldump/hot"
	"nightjar/mysqldump/lock"
	"nightjar/mysqldump/login"
	"nightjar/mysqldump/replica"
	"nightjar/mysqldump/server"
	"nightjar/repo"
	"nightjar/repo/keyring"
	"nightjar/repo/maintain/keycheck"
	"nightjar/repo/maintain/losses"
	"nightjar/repo/maintain/repair"
	"nightjar/repo/maintain/retain"
	"nightjar/repo/mirror"
	"nightjar/repo/statedir"
	"nightjar/repo/store"
	"nightjar/repo/store/s3"
	"nightjar/repo/store/s3/request"
	"nightjar/snapshot/freeze"
	"nightjar/snapshot/host"
)

// The exit codes.
const (
	Done         = 0
	Failed       = 1
	Usage        = 2
	WithProblems = 3
	Archived     = 4
	NoRepository = 10
	Key          = 11
	Integrity    = 12
	Interrupted  = 130
	Unread       = 141
)

// Problems says that the work was done, but for problems that were told of already.
type Problems struct {
	What    string
	Damaged bool // integrity is in question
}

func (e Problems) Error() string { return e.What }

// Told is a failure with an exit code, of which all was told already but for What, if that is not empty.
type Told struct {
	What string
	Exit int
}

func (e Told) Error() string { return e.What }

// words are what exit codes mean.
var words = map[int]string{
	Done: "done", Failed: "failed", Usage: "wrong usage", WithProblems: "done, but with problems", Archived: "content lies in an archive storage class",
	NoRepository: "no repository there", Key: "wrong or missing key or passphrase", Integrity: "signature or integrity failure", Interrupted: "interrupted",
	Unread: "nobody reads what is printed",
}

// Words returns an exit code with what it means.
func Words(code int) string {
	return fmt.Sprintf("exit code %d: %s", code, cmp.Or(words[code], "unknown"))
}

// Code returns the exit code for an error of a run with this context.
func Code(ctx context.Context, err error) int {
	var wrong usage.Error
	var problems Problems
	var told Told
	var key *crypto.KeyError
	switch {
	case err == nil:
		return Done
	case errors.As(err, &told):
		return told.Exit
	case ctx.Err() != nil && !errors.As(err, &problems):
		return Interrupted
	case errors.As(err, &wrong), errors.Is(err, mirror.ErrItself):
		return Usage
	case errors.As(err, &problems) && problems.Damaged:
		return Integrity
	case errors.As(err, &problems):
		return WithProblems
	case errors.Is(err, store.ErrArchived):
		return Archived
	case errors.Is(err, repo.ErrNoRepository), errors.Is(err, store.ErrNoStore), errors.Is(err, mirror.ErrNoCopy):
		return NoRepository
	case errors.Is(err, store.ErrClutter):
		return Integrity
	case errors.Is(err, store.ErrUnread): // which says nothing about integrity
		return Failed
	case errors.Is(err, crypto.ErrIntegrity):
		return Integrity
	case errors.Is(err, crypto.ErrPassphrase), errors.Is(err, crypto.ErrUnfit), errors.Is(err, gnupg.ErrAgent), errors.Is(err, crypto.ErrLocked), errors.Is(err, crypto.ErrNoKey), errors.Is(err, gnupg.ErrNoProgram),
		errors.Is(err, statedir.ErrHostKey), errors.Is(err, passphrase.ErrSource), errors.Is(err, userkeys.ErrGnuPG), errors.Is(err, userkeys.ErrNone), errors.Is(err, userkeys.ErrFile), errors.As(err, &key):
		return Key
	}
	return Failed
}

// hints are looked through in order; the first whose error is there is given.
var hints = []struct {
	is   error
	hint string
}{
	{session.ErrNotConfigured, "set --repo or NIGHTJAR_REPO; or say backup --embedded to keep the backups on this machine"},
	{store.ErrNoStore, "is the disk mounted, and the path right? A new repository is made by nightjar init --repo PATH"},
	{repo.ErrNoRepository, "is the path right? If a repository was there, nightjar check --repair --kit FILE --key KEY puts back what it takes to open it, and --as-of TIME shows a bucket that keeps versions as it stood. A new one is made by nightjar init --repo PATH"},
	{mirror.ErrNoCopy, "is the disk mounted, and the URL right? nightjar copy --create begins a copy in an empty place"},
	{mirror.ErrNoClaim, "nightjar copy --create --key KEY has a recovery key sign that; it changes nothing that is there"},
	{mirror.ErrItself, "nothing was copied: a copy is somewhere else. Name another place with --to"},
	{mirror.ErrOther, "nothing was changed; name an empty place, or that of this repository's copy"},
	{repo.ErrExists, "nothing was changed; name another place, or go on using the repository that is there"},
	{place.ErrNotEmpty, "nothing was changed; name an empty or a new place"},
	{repo.ErrVersion, "use a newer nightjar; nothing was changed"},
	{keyring.ErrRollback, "if you replaced the repository yourself, name its root key with --root FINGERPRINT or --kit FILE; if not, somebody else did"},
	{statedir.ErrPin, "--kit FILE with the recovery kit, or --root FINGERPRINT, has it written anew; the kit has the fingerprint"},
	{statedir.ErrHostKey, "bring the file back, if it was saved. If not, move it away: nightjar key enroll makes a new key, which nightjar key add-host has the repository know where a recovery key is"},
	{repo.ErrForeign, "of the other host's nothing was used. Such an archive is forged, unless it was stored again without its time since nightjar key trust ended for its host: nightjar forget gives it up, and key trust HOST OTHER is for what is built from now on"},
	{repo.ErrDisowned, "where a recovery key is, nightjar key compromised HOST --keep-before TIME has archives count that are from before the theft"},
	{backup.ErrEmpty, "nothing was saved: what should have written it has failed, or wrote nothing. --allow-empty saves it all the same"},
	{repo.ErrNoArchive, "nightjar list shows the archives: name one by 8 digits of its id, or as latest"},
	{repair.ErrLargeLoss, "is the disk mounted, and is all of the repository there? Look with nightjar check, and bring it back, from another copy with --from; until then backups build on what is gone. --accept-loss records it: then the next backup saves again what it still has"},
	{repo.ErrUnreadList, "nothing was sent: what prune is about to take is not known. nightjar check --repair, by a host with the role prune or with a recovery key, ends such a list safely; then backups go on"},
	{retain.ErrGap, "nightjar check says more. nightjar check --repair --from COPY puts it back, and without a copy records that it is lost; nightjar forget ID says that it may be gone"},
	{retain.ErrNeeded, "nothing was given up. Name both, and what needs that in turn: nightjar list --json has of each the label needs"},
	{losses.ErrNotRecorded, "run it as a host with the role prune, or with a recovery key (--key)"},
	{browse.ErrNotFound, "nightjar ls ARCHIVE:PATH shows what is in it"},
	{server.ErrNoBinaryLog, "Debian's MariaDB keeps none as it is installed. Set log_bin=mysql-bin and server_id=N (a number that no other server of yours has) below [mysqld] in the server's option file, and restart the server; nightjar mysql check says what else is in the way"},
	{restore.ErrNotEmpty, "name an empty or new directory, or say --overwrite: if-changed goes on with a restore that stopped; there are always, if-newer and never, too"},
	{passphrase.ErrNone, "set PASSPHRASE (SIGN_PASSPHRASE for the host key), --passphrase-file or --passphrase-command"},
	{passphrase.ErrSource, "the first line of the file, or of what the command prints, is the passphrase. The command is run by /bin/sh, and has to succeed"},
	{gnupg.ErrNoProgram, "a key that is named by its fingerprint is asked of gpg: install it (apt-get install gnupg), or name a file that holds the key, or the recovery kit. Nothing else needs gpg"},
	{gnupg.ErrKeyring, "is the smartcard in? gpg -k lists the keys that gpg has, and gpg -K the secret ones: those of this user, unless GNUPGHOME says where others are. Or name a file that holds the key (gpg --export-secret-keys prints it), or the recovery kit"},
	{gnupg.ErrAgent, "is the package gpg-agent installed? Its socket takes a path of at most 107 bytes: is that of GNUPGHOME longer? gpg -K shows whether gpg works here by itself"},
	{crypto.ErrUnfit, "nothing was made. Choose one of a single line and at most 255 bytes"},
	{crypto.ErrPassphrase, "look at PASSPHRASE, SIGN_PASSPHRASE, --passphrase-file and --passphrase-command: blanks at the ends of the line count, and so does a byte order mark"},
	{userkeys.ErrGnuPG, "does gpg, 2.1 or later, work here by itself? Without a terminal, its agent needs the passphrase: set PASSPHRASE (SIGN_PASSPHRASE for a sign key)"},
	{store.ErrClutter, "nightjar check --repair moves it aside, and puts back what belongs there: --kit FILE what it takes to open the repository, --from COPY all else"},
	{session.ErrOtherKit, "nothing of the repository was used. All kits are called recovery-kit.txt: look for the one that names this repository and its id. If this is the one, something else stands where its repository was"},
	{crypto.ErrIntegrity, "something in the repository is damaged, forged or not as this machine knows it; nothing of it was used. nightjar check says what it is; nightjar check --repair puts back, with --kit FILE, what it takes to open the repository, and with --from COPY all else"},
	{keyring.ErrNotEnrolled, "where a recovery key is, say nightjar key add-host NAME --certificate FILE; nightjar key enroll prints the certificate here"},
	{keyring.ErrFull, "nightjar key remove-host NAME --purge takes out a host that was ended, and of which nothing is left"},
	{keyring.ErrInForce, "nightjar key remove-host NAME ends it; --purge follows when its archives are forgotten and pruned"},
	{keycheck.ErrRemains, "nightjar forget gives up its archives, and nightjar prune, a grace period later, what they needed. Then say --purge again"},
	{keyring.ErrTaken, "nightjar key enroll --renew makes a host another key; a newer certificate of the one that it has is taken by nightjar key rotate host NAME --certificate FILE"},
	{crypto.ErrNoKey, "name a recovery key with --key: its file, the recovery kit, or its fingerprint in your GnuPG keyring"},
	{store.ErrArchived, "say --thaw-tier bulk, standard or expedited to ask for what is needed, which the storage bills; for restore into the same target, --overwrite if-changed too"},
	{request.ErrNoLock, "object lock is switched on when a bucket is made, as init --create-bucket --object-lock does, or later in its settings: doc/s3.md says how. Or leave out --object-lock"},
	{s3.ErrAsOf, "leave out --as-of"},
	{s3.ErrWeaker, "somebody on the way may do that; nothing was stored. If another server has taken its place, say once --server-lacks conditions, or checksums: doc/s3.md says what is lost"},
	{request.ErrDenied, "the credentials are good, but their policy does not allow that: doc/s3.md has policies that suffice"},
	{request.ErrCredentials, "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or give this machine a role"},
	{request.ErrConfiguration, "look at the variable, the profile or the file that is named: environment (AWS_…), ~/.aws/config and ~/.aws/credentials"},
	{request.ErrSignature, "is the secret access key right? So it looks, too, when a proxy on the way changes what was signed"},
	{request.ErrCertificate, "AWS_CA_BUNDLE, or ca_bundle of a profile, names a file with the certificate of who signed the server's; the name in --endpoint has to be the certificate's"},
	{request.ErrEndpoint, "name the server itself with --endpoint, http:// or https:// as it speaks; for a bucket of Amazon's, its --region"},
	{request.ErrExpired, "renew the credentials and run the same command again: what was stored is used"},
	{request.ErrClock, "set the clock of this machine, or of the server: which of them is wrong, the message may help to see"},
	{request.ErrRegion, "name the bucket's region with --region"},
	{request.ErrUnreachable, "is the network up, and --endpoint right? Run the same command again: what was stored is used"},
	{request.ErrAnswer, "something else than the server answered, or the server is broken; nothing of it was believed. Look at --endpoint, and at proxies on the way"},
	{request.ErrRefused, "nothing was given up. Is it a server of S3, and does nothing in between change requests or answers? Look at --endpoint, at proxies on the way, and in the server's log"},
	{request.ErrFailing, "that passes, as a rule. Run the same command again later: what was stored is used"},
	{lock.ErrBusy, "nothing is to be mended: run it again when that has ended"},
	{lock.ErrWait, "writers were never kept waiting for longer than --lock-attempt. A long statement holds the lock up: SHOW FULL PROCESSLIST names it, and nightjar mysql check. Or wait longer with --lock-wait"},
	{lock.ErrSnapshot, "--max-snapshot allows more time, or 0 any; --threads N more sessions"},
	{hot.ErrNoTool, "install it on the server's own machine, in the server's version (apt-get install mariadb-backup), or name it with --tool"},
	{hot.ErrOther, "install the program in the server's version, or name that with --tool"},
	{hot.ErrPacked, "have the program send its files as they are: nightjar compresses and encrypts by itself, and finds nothing unchanged in what is packed"},
	{hot.ErrIncomplete, "nothing was saved as an archive. What the program said last is the reason; nightjar mysql check --for hot says what stands in the way"},
	{lock.ErrTooLong, "--max-lock allows more. Tables that are not of InnoDB are read while the lock is held: nightjar mysql check names them"},
	{freeze.ErrRefused, "nothing was frozen. Have state, cache, temp folder and log elsewhere, or take the set without a freeze: it is then as after a loss of power"},
	{freeze.ErrBusy, "what another one has frozen was left as it is. If nobody is there any more to thaw it, nightjar ebs thaw MOUNT does"},
	{freeze.ErrWatchdog, "only root may freeze. In a container it takes the capabilities CAP_SYS_ADMIN and CAP_IPC_LOCK, and an init process of its own"},
	{host.ErrStacked, "its file systems are on more than this volume. Without a freeze they are taken as after a loss of power, if one call takes all of these volumes"},
	{dump.ErrPrivileges, "nightjar mysql check prints the GRANT that gives it"},
	{datadir.ErrInUse, "nothing was changed. Stop the server first, or name another folder"},
	{datadir.ErrNotEmpty, "nothing was changed. Name an empty or a new folder; what is there may be all that is left, so move it away, and delete nothing"},
	{datadir.ErrUnfinished, "nothing was changed. Go on with that archive, or empty the folder: what is in it is not finished"},
	{datadir.ErrVersion, "nothing was changed. Install the program of that version, of MariaDB's archive of releases if need be, and name it with --tool; a later one of the same series will do"},
	{datadir.ErrUnsafe, "no server should be started on it"},
	{datadir.ErrPosition, "somebody has changed the files or the label: take another archive"},
	{replica.ErrLate, "it replicates, and goes on: SHOW REPLICA STATUS (SHOW SLAVE STATUS) says how far it is. --wait waits for longer"},
	{login.ErrUnnamed, "name it with --source, or in the group [nightjar-source] of an option file"},
	{login.ErrNotServer, "is the port right? 3306 is the servers' own, as a rule; 33060 is that of MySQL's X protocol, which is another"},
	{login.ErrExposed, "protect the connection: ssl-mode=REQUIRED, or better VERIFY_CA with ssl-ca, in an option file. Or give the server's RSA key with server-public-key-path; get-server-public-key asks for it, and trusts whoever answers"},
	{restore.ErrVerify, "doubt the disk or the memory of this machine; nothing in the repository is wrong"},
	{syscall.ENOSPC, "the disk is full; nothing that was there is lost. Make room and run the same command again"},
	{syscall.EDQUOT, "the quota is used up; nothing that was there is lost. Make room and run the same command again"},
	{syscall.EROFS, "mount says what is mounted read-only; the kernel does that, too, to a file system with errors, which dmesg tells of. A service writes to no folders but those that its unit names"},
	{fs.ErrPermission, "run as a user who may do that"},
	{store.ErrUnread, "it may be whole, and nothing was given up: look at the disk and the limits of this machine, and run the same command again"},
}

// keyHint returns what can be done about a key with GnuPG, or "".
func keyHint(key *crypto.KeyError) string {
	switch {
	case errors.Is(key, crypto.ErrExpired):
		return fmt.Sprintf("gpg --quick-set-expire %s 1y extends it, and the same with '*' at its end its subkeys. Then name it again; nightjar key rotate host and "+
			"nightjar key add-recovery take the new certificate of one that is enrolled", key.Fingerprint)
	case errors.Is(key, crypto.ErrWeak):
		return fmt.Sprintf("gpg --cert-digest-algo SHA256 --quick-set-expire %s 0 signs it anew by SHA-2, and the same with '*' at its end its subkeys; a date in the place of 0 has it expire. Then name it again", key.Fingerprint)
	case errors.Is(key, crypto.ErrNoSubkey):
		return fmt.Sprintf("gpg --quick-add-key %s cv25519 encr never gives it a subkey to encrypt to. Then name it again", key.Fingerprint)
	case errors.Is(key, crypto.ErrUnsupported):
		return "gpg --quick-generate-key NAME future-default default never makes one that is"
	case errors.Is(key, crypto.ErrRevoked):
		return "that cannot be taken back: name another key"
	}
	return ""
}

// Hint returns what to do about an error of a command, or "".
func Hint(err error, command string) string {
	var own usage.Hinted
	if errors.As(err, &own) {
		return own.Hint
	}
	var wrong usage.Error
	if errors.As(err, &wrong) {
		return command + " --help says what there is"
	}
	var key *crypto.KeyError
	if errors.As(err, &key) {
		if hint := keyHint(key); hint != "" {
			return hint
		}
	}
	if hint := place.Hint(err); hint != "" {
		return hint
	}
	for _, h := range hints {
		if errors.Is(err, h.is) {
			return h.hint
		}
	}
	return serverHint(err)
}

// serverHint returns what can be done about what a database server answered, or about one that does not answer; or "".
func serverHint(err error) string {
	const lists = "nightjar mysql check prints the GRANT that a backup takes"
	var broken *dump.BrokenError
	if errors.As(err, &broken) && !slices.Contains([]uint16{1142, 1143}, server.Number(err)) {
		return "mend it, or drop it; --broken skip leaves it out, saves the rest and ends with exit code 3"
	}
	switch server.Number(err) {
	case 1045, 1698:
		return "who logs in stands in [nightjar] of ~/.my.cnf (or --defaults-file FILE), mode 0600: user, password, socket or host. For another server than the one to back up: [nightjar-source], [nightjar-replica]. --user and --password-file go before it"
	case 1044, 1142, 1143, 1227, 1370:
		return lists + "; a restore takes an account that may do everything, as root"
	case 1040, 1203, 1226:
		return "the server has no room for more sessions: take less --threads, or raise max_connections"
	case 1129, 1130:
		return "the server does not let this machine in: is the account for its host, as 'backup'@'10.0.0.%'?"
	}
	var connect *server.ConnectError
	var network *net.OpError
	var name *net.DNSError
	switch {
	case !errors.As(err, &connect):
	case errors.As(err, &name):
		return "is the name right? --server HOST, or host in [nightjar] of an option file, says which"
	case errors.As(err, &network) && network.Op == "dial":
		return "does the server run, and listen there? --server [USER@]HOST[:PORT] or the path of its socket says where; so do host, port and socket in [nightjar] of ~/.my.cnf"
	}
	return ""
}
