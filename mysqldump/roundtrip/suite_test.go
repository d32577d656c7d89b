package roundtrip

import (
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"nightjar/mysqldump/servertest"
)

// suiteFolder is where Debian's package mariadb-test-data puts the suite.
const suiteFolder = "/usr/share/mysql/mysql-test"

var suite = flag.String("suite", "", "patterns of files of MariaDB's regression suite, separated by commas, instead of those that are always tried")

// always are the files that are always tried.
var always = []string{"main/mysqldump*.test"}

func TestSuite(t *testing.T) {
	patterns := always
	if *suite != "" {
		patterns = strings.Split(*suite, ",")
	}
	var files []string
	for _, p := range patterns {
		found, err := filepath.Glob(filepath.Join(suiteFolder, p))
		if err != nil || len(found) == 0 {
			t.Fatalf("find %s in %s, of the package mariadb-test-data: %v", p, suiteFolder, err)
		}
		files = append(files, found...)
	}
	servertest.Each(t, func(t *testing.T, k servertest.Kind) {
		from := servertest.Start(t, k, suiteFlags(k)...)
		p := &player{t: t, s: from}
		defer p.close()
		begun := time.Now()
		for _, file := range files {
			p.play(file)
		}
		t.Logf("%d statements ran, %d were refused, in %v", p.ran, p.refused, time.Since(begun))
		roundTrip(t, from, suiteFlags(k), *suite != "")
	})
}

// suiteFlags start a server so that nothing runs by itself.
func suiteFlags(k servertest.Kind) []string {
	flags := []string{"--event-scheduler=OFF", "--log-bin-trust-function-creators=ON", "--character-set-server=latin1",
		"--innodb-flush-method=nosync"}
	if k.MariaDB() {
		flags = append(flags, "--plugin-maturity=experimental", "--skip-sync-frm")
	}
	return flags
}

// roundTrip dumps a server, loads the dump into another with the server's client, and compares; with both, also into one more by a restore. It
// returns what the dump says it left out.
func roundTrip(t testing.TB, from *servertest.Server, flags []string, both bool) map[string]string {
	t.Helper()
	begun := time.Now()
	want := factsOf(t, from)
	t.Logf("%d facts, in %v", len(want), time.Since(begun))
	begun = time.Now()
	files, result := dumped(t, from, options())
	left := leftOut(result)
	t.Logf("dumped %d tables, %d rows, in %v; left out: %d", result.Tables, result.Rows, time.Since(begun), len(left))
	for name, why := range left {
		if testing.Verbose() {
			t.Logf("left out: %s %s", name, why)
		}
	}
	into := servertest.Start(t, from.Kind, flags...)
	begun = time.Now()
	load(t, files, into)
	t.Logf("loaded in %v", time.Since(begun))
	compare(t, want, factsOf(t, into), left)
	into.Kill()
	if both {
		into = servertest.Start(t, from.Kind, flags...)
		begun = time.Now()
		restored(t, files, into)
		t.Logf("restored in %v", time.Since(begun))
		compare(t, want, factsOf(t, into), left)
	}
	return left
}

// A player runs statements of the suite at a server, whatever comes of each. Nothing is dropped: where a name is taken it goes on
// in another database.
type player struct {
	t            testing.TB
	s            *servertest.Server
	db           *sql.DB
	c            *sql.Conn
	file         string
	database     string
	number       int
	ran, refused int
}

func (p *player) close() {
	if p.db != nil {
		p.c.Close()
		p.db.Close()
	}
}

// open opens a session in the current database.
func (p *player) open() {
	p.close()
	config := p.s.Config()
	config.Timeout, config.AllowNativePasswords = 10*time.Second, true
	connector, err := mysql.NewConnector(config)
	if err != nil {
		p.t.Fatal(err)
	}
	p.db = sql.OpenDB(connector)
	if p.c, err = p.db.Conn(p.t.Context()); err != nil {
		p.t.Fatal(err)
	}
	for _, set := range []string{"SET SESSION lock_wait_timeout=1", "SET SESSION innodb_lock_wait_timeout=1", "SET SESSION max_statement_time=2", "SET SESSION max_execution_time=2000", "SET NAMES latin1",
		"SET SESSION sql_mode='STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION'"} {
		_ = p.exec(set) // what a server does not know
	}
	_ = p.exec("USE " + p.database)
}

func (p *player) exec(statement string) error {
	ctx, cancel := context.WithTimeout(p.t.Context(), 5*time.Second)
	defer cancel()
	_, err := p.c.ExecContext(ctx, statement)
	return err
}

// next goes on in a new database.
func (p *player) next() {
	p.number++
	p.database = fmt.Sprintf("%s_%d", p.file, p.number)
	if err := p.exec("CREATE DATABASE IF NOT EXISTS " + p.database); err != nil {
		p.t.Fatal(err)
	}
	_ = p.exec("USE " + p.database)
}

const perFile = 20 * time.Second

func (p *player) play(path string) {
	statements, err := statementsOf(path)
	if err != nil {
		p.t.Fatal(err)
	}
	base := strings.TrimSuffix(strings.TrimPrefix(path, suiteFolder+"/"), ".test")
	p.file = "m_" + regexp.MustCompile(`[^a-z0-9]+`).ReplaceAllString(strings.ToLower(strings.TrimPrefix(base, "main/")), "_")
	p.number, p.database = 0, "mysql"
	p.open()
	p.next()
	deadline := time.Now().Add(perFile)
	for i, s := range statements {
		if time.Now().After(deadline) {
			p.t.Logf("%s: stopped at %d of %d statements", base, i, len(statements))
			break
		}
		p.run(s)
	}
	_ = p.exec("COMMIT")
}

// What is not run: what makes nothing, what harms the server or the session, and INSERT/*!INTO*/, of which the server keeps INSERTINTO.
var (
	useless = regexp.MustCompile(`(?i)^\s*(drop|select|\(|show|explain|desc|describe|analyze|check|repair|optimize|checksum|help|kill|shutdown|change|start\s+(slave|all|replica)|stop|reset|purge|flush|lock|unlock|install|` +
		`uninstall|backup|handler|cache|binlog|xa|truncate|set\s+(global|@@global|role|password|transaction|gtid|default role)|signal|resignal|do\s+sleep|call\s+mtr|use\s+mysql|with|values)\b`)
	dangerous = regexp.MustCompile(`(?i)@@global\.|\bset\s+global|\bmysql\.|\broot\b|\bget_lock\b|sleep\s*\(|pseudo_|sql_log_bin|gtid_|outfile|dumpfile|general_log|slow_query_log|data\s+directory|index\s+directory|insert/\*!into|current_user\b.*identified|alter\s+user\s+current_user`)
	inTest    = regexp.MustCompile("(?i)(\\b|`)test(`)?\\.")
	useTest   = regexp.MustCompile("(?i)^\\s*use\\s+`?test`?\\s*$")
	makes     = regexp.MustCompile(`(?i)^\s*create\b`)
)

var (
	existsNumbers = []uint16{1050, 1304, 1359, 1537, 4127}
	noNumbers     = []uint16{1146, 1305, 1360, 1539, 1049}
)

func number(err error) uint16 {
	var e *mysql.MySQLError
	if errors.As(err, &e) {
		return e.Number
	}
	return 0
}

func (p *player) run(statement string) {
	if useless.MatchString(statement) || dangerous.MatchString(statement) {
		return
	}
	if useTest.MatchString(statement) {
		statement = "USE " + p.database
	}
	here := inTest.ReplaceAllString(statement, "`"+p.database+"`.")
	p.ran++
	err := p.exec(here)
	if makes.MatchString(statement) && slices.Contains(existsNumbers, number(err)) {
		before := p.database
		p.next()
		err = p.exec(inTest.ReplaceAllString(statement, "`"+p.database+"`."))
		if slices.Contains(noNumbers, number(err)) { // it needs what is in the one before
			p.database = before
			_ = p.exec("USE " + before)
		}
	}
	if err != nil {
		p.refused++
		if number(err) == 0 {
			p.open()
		}
	}
}
