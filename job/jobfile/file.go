// Package jobfile reads the job file, nightjar's one file of settings and nightly jobs.
//
// The invariant: all that is wrong is told at once, with its line, and what comes with it is what is right. The package opens nothing but the file that it is told to read.
package jobfile

// A File is a job file. Absent settings are zero. Each has the name of the command line's flag, but where a tag `flag` names another; "-" is none.
type File struct {
	Path string `toml:"-"` // where it was read, absolute
	at   map[string]Position

	Repository Repository `toml:"repository"`
	Keys       Keys       `toml:"keys"`
	Folders    Folders    `toml:"folders"`
	Limits     Limits     `toml:"limits"`
	Log        Log        `toml:"log"`
	Metrics    Metrics    `toml:"metrics"`
	Hooks      Hooks      `toml:"hooks"` // of every job, after its own

	// The jobs, by their names, which are unique in the file.
	Files     map[string]*Files     `toml:"files"`
	Stream    map[string]*Stream    `toml:"stream"`
	MySQLDump map[string]*MySQLDump `toml:"mysql-dump"`
	MySQLHot  map[string]*MySQLHot  `toml:"mysql-hot"`
	Binlog    map[string]*Binlog    `toml:"binlog"`
	EBS       map[string]*EBS       `toml:"ebs"`
	Copy      map[string]*Copy      `toml:"copy"`
	Forget    map[string]*Forget    `toml:"forget"`
	Prune     map[string]*Prune     `toml:"prune"`
	Check     map[string]*Check     `toml:"check"`
	Drill     map[string]*Drill     `toml:"drill"`
	Report    map[string]*Report    `toml:"report"`
}

// Repository says where backups are kept, and how that is reached.
type Repository struct {
	URL            string   `toml:"url" flag:"repo" is:"place"`
	Profile        string   `toml:"profile"` // of the AWS configuration
	Region         string   `toml:"region"`
	Endpoint       string   `toml:"endpoint" is:"url"`
	PathStyle      *bool    `toml:"path-style"` // nil: with an endpoint only
	RequesterPays  bool     `toml:"requester-pays"`
	StorageClass   []string `toml:"storage-class"`
	ObjectLock     string   `toml:"object-lock" is:"age"`
	ObjectLockMode string   `toml:"object-lock-mode" is:"governance|compliance"`
	SSE            string   `toml:"sse" is:"AES256|aws:kms|aws:kms:dsse"`
	SSEKMSKey      string   `toml:"sse-kms-key"`
	ServerLacks    []string `toml:"server-lacks"`
	SFTPConfig     string   `toml:"sftp-config"`
	SFTPKey        string   `toml:"sftp-key"`
	SFTPKnownHosts string   `toml:"sftp-known-hosts"`
}

// Keys say which keys are used and where passphrases come from.
type Keys struct {
	Key               string `toml:"key"` // a recovery key: only where nobody else comes, as on a machine for drills
	Kit               string `toml:"kit"`
	Root              string `toml:"root"`
	PassphraseFile    string `toml:"passphrase-file"`
	PassphraseCommand string `toml:"passphrase-command"`
	Passphrase        string `toml:"passphrase" flag:"-"`      // a secret: as the variable PASSPHRASE
	SignPassphrase    string `toml:"sign-passphrase" flag:"-"` // a secret: as SIGN_PASSPHRASE
}

// Folders are those of this machine.
type Folders struct {
	Temp       string `toml:"temp" flag:"tempdir" is:"path"`
	State      string `toml:"state" flag:"state-dir" is:"path"`
	Cache      string `toml:"cache" flag:"cache-dir" is:"path"`
	CacheLimit string `toml:"cache-limit"`
}

// Limits are those of every command.
type Limits struct {
	Upload      string `toml:"upload" flag:"limit-upload" is:"size"`
	Download    string `toml:"download" flag:"limit-download" is:"size"`
	Connections int    `toml:"connections"`
}

// Log says what becomes of messages and records of runs.
type Log struct {
	NoRecords bool   `toml:"no-records" flag:"-"`   // none in the repository
	Format    string `toml:"format" is:"text|json"` // text (the default) or json
	To        string `toml:"to"`                    // stderr (the default), journal, or the absolute path of a file
}

// Metrics says where they are written for Prometheus.
type Metrics struct {
	Textfile string `toml:"textfile" is:"path"` // a file of node_exporter's textfile collector; empty: none
}

// Hooks are run around a job. HooksOf reads each list.
type Hooks struct {
	Before  []any `toml:"before"`  // a failure keeps the job from running
	After   []any `toml:"after"`   // after success
	Failure []any `toml:"failure"` // after failure, and after success with problems
}

// Common is what every job has.
type Common struct {
	Schedule    Schedule `toml:"schedule" flag:"-"`     // empty: only when asked for
	RandomDelay Duration `toml:"random-delay" flag:"-"` // at most so long after the schedule, so that not all hosts begin at once
	CatchUp     Duration `toml:"catch-up" flag:"-"`     // how long after its time a missed run is made up for; zero: until the next is due
	Hooks       Hooks    `toml:"hooks" flag:"-"`
}

// Periods are rules of retention.
type Periods struct {
	Last    int    `toml:"last" flag:"keep-last"`
	Hourly  int    `toml:"hourly" flag:"keep-hourly"`
	Daily   int    `toml:"daily" flag:"keep-daily"`
	Weekly  int    `toml:"weekly" flag:"keep-weekly"`
	Monthly int    `toml:"monthly" flag:"keep-monthly"`
	Yearly  int    `toml:"yearly" flag:"keep-yearly"`
	Within  string `toml:"within" flag:"keep-within" is:"age"`
}

// Keep is what retention keeps of a job.
type Keep struct {
	Periods
	Tags []string `toml:"tags" flag:"keep-tag"`
}

// Empty reports whether no rule keeps anything.
func (k *Keep) Empty() bool { return k.Periods == (Periods{}) && len(k.Tags) == 0 }
