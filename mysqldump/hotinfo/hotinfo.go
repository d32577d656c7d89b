// Package hotinfo reads where a hot backup stands from what mariadb-backup or xtrabackup has said of it in files of the backup.
//
// There are two: one has a line with the file and the offset of the binary log and GTIDs, with tabs between, the other
// all that the program knows, a line each. Newer programs of MariaDB have names of their own for both. Sources: the files of
// mariadb-backup 10.11.19 and 11.8.9, and Percona's description "Index of files created by Percona XtraBackup".
//
// The invariant: a position is what a file says; two files that say different ones are an error.
package hotinfo

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"nightjar/mysqldump"
)

// Names of the files, the newer first.
var (
	Names       = []string{"mariadb_backup_info", "xtrabackup_info"}
	BinlogNames = []string{"mariadb_backup_binlog_info", "xtrabackup_binlog_info"}
)

// MaxSize is how many bytes such a file may have.
const MaxSize = 4 << 20

// ErrNone says that a backup does not say its position.
var ErrNone = errors.New("the backup does not say its position")

// Position reads the position out of what is in the two files, of which one may be empty.
func Position(binlog, info string) (p mysqldump.Position, err error) {
	var q mysqldump.Position
	if binlog != "" {
		if p, err = parseBinlog(binlog); err != nil {
			return p, err
		}
	}
	if info != "" {
		if q, err = parseInfo(info); err != nil {
			return q, err
		}
	}
	switch {
	case p.File == "" && p.GTIDs.IsZero():
		p = q
	case q.File == "" && q.GTIDs.IsZero():
	case p.File != q.File || p.Offset != q.Offset || !p.GTIDs.IsZero() && !q.GTIDs.IsZero() && !p.GTIDs.Equal(q.GTIDs):
		return p, fmt.Errorf("the backup says two positions: %v, and %v", p, q)
	}
	if p.File == "" && p.GTIDs.IsZero() {
		return p, ErrNone
	}
	return p, nil
}

// parseBinlog reads FILE<TAB>OFFSET<TAB>GTIDS, of which the last may go over several lines, and be all that there is.
func parseBinlog(text string) (p mysqldump.Position, err error) {
	fields := strings.SplitN(strings.TrimRight(text, "\n"), "\t", 3)
	if len(fields) == 1 { // no file: GTIDs alone
		fields = []string{"", "", fields[0]}
	}
	gtids := ""
	if len(fields) == 3 {
		gtids = fields[2]
	}
	return position(fields[0], fields[1], gtids)
}

var (
	infoLine   = regexp.MustCompile(`(?ms)^binlog_pos = (.*?)(?:^\w+ = |\z)`)
	infoFile   = regexp.MustCompile(`filename '([^']*)'`)
	infoOffset = regexp.MustCompile(`position '([^']*)'`)
	infoGTIDs  = regexp.MustCompile(`(?s)GTID of the last change '([^']*)'`)
)

func parseInfo(text string) (p mysqldump.Position, err error) {
	line := infoLine.FindStringSubmatch(text)
	if line == nil {
		return p, nil
	}
	find := func(r *regexp.Regexp) string {
		if m := r.FindStringSubmatch(line[1]); m != nil {
			return m[1]
		}
		return ""
	}
	return position(find(infoFile), find(infoOffset), find(infoGTIDs))
}

func position(file, offset, gtids string) (p mysqldump.Position, err error) {
	p.File = strings.TrimSpace(file)
	if offset = strings.TrimSpace(offset); offset != "" {
		if p.Offset, err = strconv.ParseUint(offset, 10, 64); err != nil {
			return p, fmt.Errorf("the backup says the position %.40q: %w", offset, err)
		}
	}
	if p.File == "" && p.Offset > 0 {
		return p, fmt.Errorf("the backup says offset %d of no file", p.Offset)
	}
	p.GTIDs, err = mysqldump.ParseGTIDSet(strings.ReplaceAll(gtids, "\n", "")) // MySQL's go over several lines
	return p, err
}
