package hot

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"nightjar/mysqldump"
)

// Names that the tools give to what they say of a backup, in its folder. Newer ones of MariaDB have their own.
var (
	infoNames   = []string{"mariadb_backup_info", "xtrabackup_info"}
	binlogNames = []string{"mariadb_backup_binlog_info", "xtrabackup_binlog_info"}
)

// maxInfo is how large such a file may be.
const maxInfo = 4 << 20

var errNoPosition = errors.New("the backup does not say its position")

// parsePosition reads the position out of what a tool has said of a backup: the file with one line, and that with all it
// knows. One of them may be empty. They must not contradict each other.
func parsePosition(binlog, info string) (p mysqldump.Position, err error) {
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
		return p, errNoPosition
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
	p.GTIDs, err = mysqldump.ParseGTIDSet(gtids)
	return p, err
}
