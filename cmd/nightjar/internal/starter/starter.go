// Package starter writes a first job file for a machine: a document to learn from, with jobs for what was found there.
//
// The invariant: what it writes is a job file without a fault, also when every line that begins with # and no space is made part of it. The package finds nothing out by itself.
package starter

import (
	"fmt"
	"strings"
	"text/template"

	"github.com/pelletier/go-toml/v2"
)

// Found is what a machine has.
type Found struct {
	Host       string
	File       string      // where the file is to lie
	Repository [][2]string // keys of [repository] and their values in TOML, as far as they are known
	Keys       [][2]string // likewise
	Folders    [][2]string
	Limits     [][2]string
	Paths      []string // folders that are worth saving
	Server     *Server  // nil: none was found
	Volumes    int      // EBS volumes of this instance; 0: it is none of EC2's, or has none
	Instance   string
	Region     string // of the instance
}

// A Server is a database server that was found.
type Server struct {
	Address string // for people
	Version string // empty: it did not let us in
	Hot     bool   // the program of hot backups is here
	Refused string // why it did not, for people
	LogOff  bool   // it keeps no binary log
}

// File returns the job file.
func File(f *Found) ([]byte, error) {
	var b strings.Builder
	if err := text.Execute(&b, f); err != nil {
		return nil, fmt.Errorf("write job file: %w", err)
	}
	return []byte(b.String()), nil
}

// Value writes a string, a list of strings, a number or a switch as TOML does.
func Value(v any) (string, error) {
	b, err := toml.Marshal(map[string]any{"v": v})
	if err != nil {
		return "", fmt.Errorf("write a value as TOML: %w", err)
	}
	text := strings.TrimSpace(strings.TrimPrefix(string(b), "v = "))
	if !strings.ContainsAny(text, `"\\`) {
		text = strings.ReplaceAll(text, "'", `"`) // as the rest of the file
	}
	return text, nil
}

// comment keeps what comes from outside in its comment.
func comment(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
}

var text = template.Must(template.New("").Funcs(template.FuncMap{"toml": Value, "comment": comment}).Parse(`# The job file of nightjar on {{comment .Host}}: where backups go, and what is done when.
#
# Lines that begin with "# " explain; those that begin with # alone are settings to switch on by taking that away.
# All keys are in doc/job-file.md. "nightjar config check" tells all that is wrong here, with its line, and
# "nightjar config show" what every command goes by, and why.
#
# Keep the mode 0600: only root may write what root runs.

# Where the backups go: s3://bucket/prefix, sftp://user@host/folder, or a folder on another disk. Every command goes by
# it, so that "nightjar list" needs no flags. "nightjar init" makes the repository, once.
[repository]
{{range .Repository}}{{index . 0}} = {{index . 1}}
{{else}}#url = "s3://bucket/{{comment .Host}}"
#region = "eu-west-1"
{{end}}
# Whom to believe, and how keys are opened. A passphrase is better in a file of its own, of mode 0600.
[keys]
{{range .Keys}}{{index . 0}} = {{index . 1}}
{{else}}#passphrase-file = "/etc/nightjar/passphrase"
{{end}}
# Scratch files go to temp and nowhere else. The cache may be deleted at any time, and costs time then; what is in
# state must not get lost.
[folders]
{{range .Folders}}{{index . 0}} = {{index . 1}}
{{else}}#temp = "/var/tmp"
#state = "/var/lib/nightjar"
#cache = "/var/cache/nightjar"
{{end}}
# Bytes a second, for repositories that are elsewhere.
[limits]
{{range .Limits}}{{index . 0}} = {{index . 1}}
{{else}}#upload = "20M"
#download = "50M"
{{end}}
# Where messages of runs go, and figures for Prometheus (node_exporter's textfile collector).
[log]
#format = "json"
#to = "journal"

[metrics]
#textfile = "/var/lib/prometheus/node-exporter/nightjar.prom"

# What is run or called around each job: a list is a command, which no shell reads; a string is a URL.
[hooks]
#failure = [["mail", "-s", "nightjar has failed", "root"]]
#after = ["https://hc-ping.example/8f14e45f"]

# Each job is a command of nightjar, and its keys are that command's flags: [files.system] is
# "nightjar backup --job system". A schedule is five fields as in crontab(5), by this machine's clock; random-delay
# spreads hosts. What keep does not name is given up after each run: nightjar forget.

# The files of this machine: what a new one cannot get from its packages.
[files.system]
schedule = "0 3 * * *"
random-delay = "30m"
paths = {{toml .Paths}}
exclude = ["/home/*/.cache", "/root/.cache"]
exclude-caches = true
#one-file-system = true
#exclude-larger-than = "10G"
keep = { daily = 7, weekly = 5, monthly = 12 }
{{with .Server}}
# The database server at {{comment .Address}}{{if .Version}}: {{comment .Version}}{{end}}. All databases, at one {{if .LogOff}}moment.
# It keeps no binary log: nothing can be replayed after a dump, and no replica be made of one. "nightjar mysql check" says how
# to turn it on.{{else}}position of the binary log.{{end}}
# Who logs in stands in [nightjar] of ~/.my.cnf. "nightjar mysql check" says what would break it, and prints the GRANT.
{{if .Refused}}# It did not let nightjar in just now: {{comment .Refused}}
{{end}}[mysql-dump.databases]
schedule = "0 2 * * *"
random-delay = "15m"
keep = { daily = 7, weekly = 5, monthly = 12 }

# Instead of the dump, or beside it: the server's files, without a lock{{if not .Hot}} (install mariadb-backup first){{end}}. A large server comes back faster so.
#[mysql-hot.server]
#schedule = "30 1 * * *"
#keep = { daily = 3 }

# The binary logs, without which only the moments of dumps come back. {{if .LogOff}}It has to be on for that. {{end}}follow is a service: at most so far behind.
#[binlog.logs]
#follow = true
#interval = "1m"
#keep = { last = 1 }
{{else}}
# No database server was found here. This saves all its databases at one position of the binary log.
#[mysql-dump.databases]
#schedule = "0 2 * * *"
#server = "/run/mysqld/mysqld.sock"
#keep = { daily = 7, weekly = 5, monthly = 12 }

# Instead of the dump, or beside it: the server's files, without a lock. A large server comes back faster so.
#[mysql-hot.server]
#schedule = "30 1 * * *"
#server = "/run/mysqld/mysqld.sock"
#keep = { daily = 3 }

# The binary logs, without which only the moments of dumps come back. follow is a service: at most so far behind.
#[binlog.logs]
#server = "/run/mysqld/mysqld.sock"
#follow = true
#interval = "1m"
#keep = { last = 1 }
{{end}}
# What a program prints, as a file of that name. If it fails, nothing is committed.
#[stream.packages]
#name = "packages.txt"
#command = ["dpkg", "--get-selections"]
#schedule = "10 3 * * *"
#keep = { daily = 7 }

# {{if .Volumes}}This instance, {{.Instance}} in {{.Region}}, has EBS volumes ({{.Volumes}}):{{else}}On an instance of EC2:{{end}} snapshots of all volumes by one call, and copies in another region.
# They cost money, and the credentials need the policy in doc/ebs.md.
#[ebs.volumes]
#schedule = "30 2 * * *"
#keep = { daily = 7, weekly = 4 }
#to-region = "{{if eq .Region "eu-west-1"}}eu-central-1{{else}}eu-west-1{{end}}"
#copies-keep = { daily = 3 }
{{if eq .Volumes 1}}#boot = true
{{else}}#boot = false
{{end}}
# A copy of the repository elsewhere restores by itself, with the same keys. create begins it, the first time.
#[copy.elsewhere]
#schedule = "0 6 * * *"
#to = "s3://bucket-elsewhere/{{comment .Host}}"
#region = "eu-west-1"
#create = true

# The archives of jobs without a keep of their own, as those of a plain crontab, of this host.
#[forget.old]
#schedule = "0 5 * * *"
#host = "{{comment .Host}}"
#keep = { daily = 7, weekly = 5, monthly = 12 }

# Room comes back a grace period after archives were given up. One host of a repository does it, which has the role.
[prune.room]
schedule = "0 7 * * sun"
random-delay = "1h"

# Whether all that the archives need is there; of the packs, some are read each time.
[check.repository]
schedule = "0 8 * * sun"
random-delay = "1h"
sample = "2%"

# Only a restore proves a backup: of the newest archive of each job some files are restored, compared and removed again.
# It takes a recovery key, which this machine has if "nightjar init" made it here.
#[drill.proof]
#schedule = "0 9 1 * *"
#sample = "1G"

# A page to look at, of all jobs of all hosts.
#[report.page]
#schedule = "30 8 * * *"
#output = "/srv/backup.html"
`))
