package revive

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path"
	"regexp"
	"strings"

	"nightjar/mysqldump/datadir"
)

// ErrProgram says that there is no server here that may recover the data.
var ErrProgram = errors.New("no server's program fits the data")

// findProgram returns the program of a server of the data's own product and series: another would change the files, or could not read their log.
func findProgram(ctx context.Context, d *datadir.Dir, n *note, o Options) (string, error) {
	names := []string{"mysqld", "/usr/sbin/mysqld", "/usr/libexec/mysqld"}
	if d.Flavor() {
		names = []string{"mariadbd", "/usr/sbin/mariadbd", "/usr/libexec/mariadbd", "mysqld", "/usr/sbin/mysqld"}
	}
	if o.Program != "" {
		names = []string{o.Program}
	}
	recorded := n.Server
	for _, file := range []string{"mariadb_upgrade_info", "mysql_upgrade_info"} {
		if recorded != "" {
			break
		}
		text, err := d.Text(file)
		if err != nil {
			return "", err
		}
		recorded = strings.TrimSpace(text)
	}
	var why error
	for _, name := range names {
		tool, err := datadir.FindTool(ctx, name, o.Temp)
		if err == nil && recorded != "" {
			_, err = tool.Fits(strings.TrimPrefix(recorded, "5.5.5-"))
		}
		if err == nil {
			return tool.Program, nil
		}
		why = cmp.Or(why, err)
	}
	return "", fmt.Errorf("%w: %w", ErrProgram, why)
}

// lastBinlog is what InnoDB of MariaDB, and of MySQL 5.7, says at its start.
var lastBinlog = []*regexp.Regexp{
	regexp.MustCompile(`Last binlog file '([^'\n]{1,255})', position ([0-9]{1,20})`),
	regexp.MustCompile(`Last MySQL binlog file position 0 ([0-9]{1,20}), file name ([^\s]{1,255})`),
}

// innoDB returns where InnoDB says that it stood, FILE:OFFSET; empty: it does not say.
func innoDB(said string) string {
	if m := lastBinlog[0].FindStringSubmatch(said); m != nil {
		return path.Base(m[1]) + ":" + m[2]
	}
	if m := lastBinlog[1].FindStringSubmatch(said); m != nil {
		return path.Base(m[2]) + ":" + m[1]
	}
	return ""
}
