package job

// Archiving is what jobs have that make archives.
type Archiving struct {
	Common
	Tags        []string `toml:"tags" flag:"tag"`
	Labels      []string `toml:"labels" flag:"label"`
	Compression string   `toml:"compression"`
	Keep        Keep     `toml:"keep" flag:"-"` // given up after each run: nightjar forget of this job alone
}

// Files is nightjar backup of files and folders.
type Files struct {
	Archiving
	Paths             []string `toml:"paths" flag:"-"`
	Exclude           []string `toml:"exclude"`
	ExcludeFrom       []string `toml:"exclude-from"`
	ExcludeCaches     bool     `toml:"exclude-caches"`
	ExcludeLargerThan string   `toml:"exclude-larger-than"`
	OneFileSystem     bool     `toml:"one-file-system"`
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
	SSLMode             string `toml:"ssl-mode"`
	SSLCA               string `toml:"ssl-ca"`
	SSLCert             string `toml:"ssl-cert"`
	SSLKey              string `toml:"ssl-key"`
}

// MySQLDump is nightjar mysql dump.
type MySQLDump struct {
	Archiving
	Login
	Databases    []string `toml:"databases" flag:"-"`
	ExcludeTable []string `toml:"exclude-table"`
	Accounts     bool     `toml:"accounts"`
	Broken       string   `toml:"broken"`
	Lock         string   `toml:"lock"`
	LockAttempt  string   `toml:"lock-attempt"`
	LockWait     string   `toml:"lock-wait"`
	MaxLock      string   `toml:"max-lock"`
	MaxSnapshot  string   `toml:"max-snapshot"`
	DDLRetries   int      `toml:"ddl-retries"`
	Threads      int      `toml:"threads"`
}

// MySQLHot is nightjar mysql hot.
type MySQLHot struct {
	Archiving
	Login
	Datadir  string `toml:"datadir"`
	CloneDir string `toml:"clone-dir"`
	Broken   string `toml:"broken"`
	LockWait string `toml:"lock-wait"`
	MaxLock  string `toml:"max-lock"`
	Mysqld   string `toml:"mysqld"`
	Tool     string `toml:"tool"`
	Threads  int    `toml:"threads"`
}

// Binlog is nightjar mysql binlog.
type Binlog struct {
	Archiving
	Login
	Flush     bool   `toml:"flush"`
	Follow    bool   `toml:"follow"` // a service rather than a scheduled job
	Interval  string `toml:"interval"`
	FromDir   string `toml:"from-dir"`
	KeepSince string `toml:"keep-since"`
}

// EBS is nightjar ebs schedule --run: a set of snapshots, its copies and its retention.
type EBS struct {
	Common
	Login
	Region     string   `toml:"region"`
	Profile    string   `toml:"profile"`
	Endpoint   string   `toml:"endpoint"`
	Class      string   `toml:"class"`
	Instance   string   `toml:"instance" flag:"-"`
	Volumes    []string `toml:"volumes" flag:"-"`
	VolumeTags []string `toml:"volume-tags" flag:"-"`
	Boot       bool     `toml:"boot" flag:"-"`
	Lock       bool     `toml:"lock" flag:"-"`
	MySQL      bool     `toml:"mysql" flag:"-"`
	Freeze     bool     `toml:"freeze" flag:"-"`
	MaxFreeze  string   `toml:"max-freeze" flag:"-"`
	Pre        []string `toml:"pre" flag:"-"`
	Post       []string `toml:"post" flag:"-"`
	ToRegion   string   `toml:"to-region"`
	KMSKey     string   `toml:"kms-key"`
	Keep       Keep     `toml:"keep"`
	CopiesKeep Keep     `toml:"copies-keep" flag:"-"`
}

// Copy is nightjar copy.
type Copy struct {
	Common
	To           string   `toml:"to"`
	Region       string   `toml:"region" flag:"to-region"`
	Profile      string   `toml:"profile" flag:"to-profile"`
	Endpoint     string   `toml:"endpoint" flag:"to-endpoint"`
	PathStyle    bool     `toml:"path-style" flag:"to-path-style"`
	StorageClass []string `toml:"storage-class" flag:"to-storage-class"`
	ObjectLock   string   `toml:"object-lock" flag:"to-object-lock"`
	SSE          string   `toml:"sse" flag:"to-sse"`
	SSEKMSKey    string   `toml:"sse-kms-key" flag:"to-sse-kms-key"`
	LimitUpload  string   `toml:"limit-upload" flag:"to-limit-upload"`
	Create       bool     `toml:"create"`
	Delete       bool     `toml:"delete"`
	Verify       bool     `toml:"verify"`
}

// Forget is nightjar forget, of archives that no job's own keep is for.
type Forget struct {
	Common
	Keep Keep     `toml:"keep"`
	Host string   `toml:"host"`
	Job  string   `toml:"job"`
	Kind []string `toml:"kind"`
	Tags []string `toml:"tags" flag:"tag"`
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
	Sample   string `toml:"sample"`
}

// Drill is nightjar drill.
type Drill struct {
	Common
	Archive string `toml:"archive" flag:"-"` // what is restored; empty: the newest that fits
	Host    string `toml:"host"`
	Job     string `toml:"job"`
	Sample  string `toml:"sample"` // how much of the files: a share such as 5%, or a size such as 2G
	Full    bool   `toml:"full"`
	Scratch string `toml:"scratch"` // the folder below which it is restored
}

// Report is nightjar report.
type Report struct {
	Common
	Output string `toml:"output"`
	Days   int    `toml:"days"`
}
