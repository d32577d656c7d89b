package jobfile

// Archiving is what jobs have that make archives.
type Archiving struct {
	Common
	Tags        []string `toml:"tags" flag:"tag"`
	Labels      []string `toml:"labels" flag:"label"`
	Compression string   `toml:"compression" is:"fastest|default|better"`
	Keep        Keep     `toml:"keep" flag:"-"` // given up after each run: nightjar forget of this job alone
}

// Files is nightjar backup of files and folders.
type Files struct {
	Archiving
	Paths             []string `toml:"paths" flag:"-"`
	Exclude           []string `toml:"exclude"`
	ExcludeFrom       []string `toml:"exclude-from"`
	ExcludeCaches     bool     `toml:"exclude-caches"`
	ExcludeNoDump     bool     `toml:"exclude-nodump"`
	ExcludeLargerThan string   `toml:"exclude-larger-than" is:"size"`
	OneFileSystem     bool     `toml:"one-file-system"`
	Rehash            bool     `toml:"rehash"`
}

// Stream is nightjar backup --stdin NAME -- COMMAND.
type Stream struct {
	Archiving
	Name       string   `toml:"name" flag:"stdin"`
	Command    []string `toml:"command" flag:"-"`
	AllowEmpty bool     `toml:"allow-empty"`
}

// Login says how a database server is reached.
type Login struct {
	Server              string `toml:"server"`
	User                string `toml:"user"`
	PasswordFile        string `toml:"password-file"`
	PasswordCommand     string `toml:"password-command"`
	DefaultsFile        string `toml:"defaults-file"`
	DefaultsGroupSuffix string `toml:"defaults-group-suffix"`
	SSLMode             string `toml:"ssl-mode" is:"DISABLED|PREFERRED|REQUIRED|VERIFY_CA|VERIFY_IDENTITY"`
	SSLCA               string `toml:"ssl-ca"`
	SSLCert             string `toml:"ssl-cert"`
	SSLKey              string `toml:"ssl-key"`
}

// MySQLDump is nightjar mysql dump.
type MySQLDump struct {
	Archiving
	Login
	Databases    []string `toml:"databases" flag:"-"` // and tables, as DATABASE.TABLE; empty: all
	ExcludeTable []string `toml:"exclude-table"`
	Accounts     *bool    `toml:"accounts"` // nil: where no databases are chosen
	Broken       string   `toml:"broken" is:"fail|skip"`
	Lock         string   `toml:"lock" is:"auto|none"`
	LockAttempt  string   `toml:"lock-attempt" is:"duration"`
	LockWait     string   `toml:"lock-wait" is:"duration"`
	MaxLock      string   `toml:"max-lock" is:"duration"`
	MaxSnapshot  string   `toml:"max-snapshot" is:"duration"`
	DDLRetries   *int     `toml:"ddl-retries"` // nil: the command's own number
	Threads      int      `toml:"threads"`

	RequirePosition bool `toml:"require-position"`
}

// MySQLHot is nightjar mysql hot.
type MySQLHot struct {
	Archiving
	Login
	Datadir  string `toml:"datadir" is:"path"`
	CloneDir string `toml:"clone-dir" is:"path"`
	Broken   string `toml:"broken" is:"fail|skip"`
	LockWait string `toml:"lock-wait" is:"duration"`
	MaxLock  string `toml:"max-lock" is:"duration"`
	Mysqld   string `toml:"mysqld"`
	Tool     string `toml:"tool"`
	Threads  int    `toml:"threads"`

	RequirePosition bool `toml:"require-position"`
}

// Binlog is nightjar mysql binlog.
type Binlog struct {
	Archiving
	Login
	Flush     bool   `toml:"flush"`
	Follow    bool   `toml:"follow"` // a service rather than a scheduled job
	Interval  string `toml:"interval" is:"duration"`
	FromDir   string `toml:"from-dir" is:"path"`
	KeepSince string `toml:"keep-since"`
}

// EBS is nightjar ebs schedule --run: a set of snapshots, its copies and its retention. Flags of tags `after` stand after its --, for ebs take, and so does the login.
type EBS struct {
	Common
	Login              `flag:"-"`
	Region             string   `toml:"region"`
	Profile            string   `toml:"profile"`
	Endpoint           string   `toml:"endpoint" is:"url"`
	Host               string   `toml:"host"` // whose sets are meant, where another instance's volumes are taken
	Class              string   `toml:"class"`
	Instance           string   `toml:"instance" flag:"-" after:"instance"`
	Volumes            []string `toml:"volumes" flag:"-" after:"volume"`
	VolumeTags         []string `toml:"volume-tags" flag:"-" after:"volume-tag"`
	ExcludeVolumes     []string `toml:"exclude-volumes" flag:"-" after:"exclude-volume"`
	Boot               bool     `toml:"boot" flag:"-" after:"boot"`
	Lock               bool     `toml:"lock" flag:"-" after:"lock"`
	MySQL              bool     `toml:"mysql" flag:"-" after:"mysql"`
	Freeze             bool     `toml:"freeze" flag:"-" after:"freeze"`
	MaxFreeze          string   `toml:"max-freeze" flag:"-" after:"max-freeze" is:"duration"`
	Require            string   `toml:"require" flag:"-" after:"require" is:"crash|filesystem|application"`
	Pre                string   `toml:"pre" flag:"-" after:"pre"`   // a command of the shell, as ebs take has it
	Post               string   `toml:"post" flag:"-" after:"post"` // likewise
	ToRegion           string   `toml:"to-region"`
	KMSKey             string   `toml:"kms-key"`
	CompletionDuration string   `toml:"completion-duration" is:"duration"`
	Concurrent         int      `toml:"concurrent"`
	CountBlocks        bool     `toml:"count-blocks"`
	Price              []string `toml:"price"`
	Keep               Periods  `toml:"keep"`
	CopiesKeep         Periods  `toml:"copies-keep" flag:"-"`
}

// Copy is nightjar copy.
type Copy struct {
	Common
	To             string   `toml:"to" is:"place"`
	Region         string   `toml:"region" flag:"to-region"`
	Profile        string   `toml:"profile" flag:"to-profile"`
	Endpoint       string   `toml:"endpoint" flag:"to-endpoint" is:"url"`
	PathStyle      *bool    `toml:"path-style" flag:"to-path-style"` // nil: with an endpoint only
	RequesterPays  bool     `toml:"requester-pays" flag:"to-requester-pays"`
	StorageClass   []string `toml:"storage-class" flag:"to-storage-class"`
	ObjectLock     string   `toml:"object-lock" flag:"to-object-lock" is:"age"`
	ObjectLockMode string   `toml:"object-lock-mode" flag:"to-object-lock-mode" is:"governance|compliance"`
	SSE            string   `toml:"sse" flag:"to-sse" is:"AES256|aws:kms|aws:kms:dsse"`
	SSEKMSKey      string   `toml:"sse-kms-key" flag:"to-sse-kms-key"`
	ServerLacks    []string `toml:"server-lacks" flag:"to-server-lacks"`
	SFTPConfig     string   `toml:"sftp-config" flag:"to-sftp-config"`
	SFTPKey        string   `toml:"sftp-key" flag:"to-sftp-key"`
	SFTPKnownHosts string   `toml:"sftp-known-hosts" flag:"to-sftp-known-hosts"`
	LimitUpload    string   `toml:"limit-upload" flag:"to-limit-upload" is:"size"`
	Create         bool     `toml:"create"`
	Delete         bool     `toml:"delete"`
	Verify         bool     `toml:"verify"`
	Host           string   `toml:"host"`
	Job            string   `toml:"job"`
	Kind           []string `toml:"kind"`
	Tags           []string `toml:"tags" flag:"tag"`
	Labels         []string `toml:"labels" flag:"label"`
}

// Forget is nightjar forget, of archives that no job's own keep is for.
type Forget struct {
	Common
	Keep   Keep     `toml:"keep"`
	Host   string   `toml:"host"`
	Job    string   `toml:"job"`
	Kind   []string `toml:"kind"`
	Tags   []string `toml:"tags" flag:"tag"`
	Labels []string `toml:"labels" flag:"label"`
}

// Prune is nightjar prune.
type Prune struct {
	Common
	Repack bool `toml:"repack"`
}

// Check is nightjar check.
type Check struct {
	Common
	ReadData bool   `toml:"read-data"`
	Sample   string `toml:"sample" is:"share"`
}

// Drill is nightjar drill.
type Drill struct {
	Common
	Archive  string   `toml:"archive" flag:"-"` // what is restored; empty: the newest that fits
	Host     string   `toml:"host"`
	Job      string   `toml:"job"`
	Kind     []string `toml:"kind"`
	Tags     []string `toml:"tags" flag:"tag"`
	Labels   []string `toml:"labels" flag:"label"`
	Random   bool     `toml:"random"` // of each job not the newest archive
	Sample   string   `toml:"sample"` // how much of the files: a share such as 5%, a size such as 2G, or a number
	Full     bool     `toml:"full"`
	Scratch  string   `toml:"scratch" is:"path"` // the folder below which it is restored
	Until    string   `toml:"until" is:"latest"` // of what is of a database: replay the binary logs after it, too
	Mysqld   string   `toml:"mysqld"`
	Tool     string   `toml:"tool"`
	Options  []string `toml:"server-options" flag:"server-option"`
	ThawTier string   `toml:"thaw-tier" is:"bulk|standard|expedited"`
}

// Report is nightjar report.
type Report struct {
	Common
	Output  string   `toml:"output"`
	Days    int      `toml:"days"`
	Changes int      `toml:"changes"`
	Price   []string `toml:"price"`
	Host    string   `toml:"host"`
}
