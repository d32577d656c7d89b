package dumpfiles

import (
	"fmt"

	"nightjar/cmd/nightjar/internal/show"
	"nightjar/cmd/nightjar/internal/usage"
	"nightjar/internal/quote"
	"nightjar/mysqldump"
	"nightjar/mysqldump/lock"
	"nightjar/repo"
)

// LabelSources says how far the dump of a slave is with each of its sources that it has something of.
func LabelSources(labels repo.Labels, sources []lock.Source) {
	n, room := 1, mysqldump.MaxText
	for _, s := range sources {
		if text := s.Position.String(); text != "" && len(text) <= room { // else the dump's first file alone has it
			labels[SourceLabel(n)] = repo.Text(text)
			n++
			room -= len(text)
		}
	}
}

// SourceLabel is the label for the position of a slave's source: source-position, source-position-2, ….
func SourceLabel(n int) repo.Text {
	if n == 1 {
		return "source-position"
	}
	return repo.Text(fmt.Sprintf("source-position-%d", n))
}

// PositionOf returns where the dump of an archive was taken; zero if its label does not say.
func PositionOf(archive *repo.Archive) (mysqldump.Position, error) {
	return labelledPosition(archive, "position")
}

// DumpedAt is where a dump was taken, for its restore: of one without a position, by which version.
func DumpedAt(archive *repo.Archive) (mysqldump.Position, error) {
	p, err := PositionOf(archive)
	if err == nil && p.IsZero() {
		p.Version = string(archive.Labels["server-version"])
	}
	return p, err
}

// TurnOn is how a server gets a binary log.
const TurnOn = `log_bin=mysql-bin and server_id=N (a number that no other server of yours has) below [mysqld] in the server's option file, then a restart, turn it on: doc/mysql.md, "Without a binary log"`

// NoPosition is the error of what was to be done after the position of an archive that has none.
func NoPosition(archive *repo.Archive, done string) error {
	why := archive.Labels[show.NoPosition]
	if why == "" {
		return fmt.Errorf("archive %s has no position in a binary log, so that nothing can be %s after it", show.ShortID(archive), done)
	}
	return usage.Hinted{Err: fmt.Errorf("archive %s has no position (%s), so that nothing can be %s after it", show.ShortID(archive), quote.Display(string(why)), done),
		Hint: "nothing was changed. It brings back the moment at which it was taken, and no other. For backups after which more can be done, " + TurnOn}
}

func labelledPosition(archive *repo.Archive, name repo.Text) (mysqldump.Position, error) {
	label := archive.Labels[name]
	if label == "" {
		return mysqldump.Position{}, nil
	}
	p, err := mysqldump.Parse(string(label))
	if err != nil {
		return p, fmt.Errorf("read archive %s: label %s: %w", show.ShortID(archive), name, err)
	}
	return p, nil
}

// SourcePositionsOf returns what the dump of a slave has of each of its sources.
func SourcePositionsOf(archive *repo.Archive) (all []mysqldump.Position, err error) {
	for n := 1; ; n++ {
		p, err := labelledPosition(archive, SourceLabel(n))
		if err != nil || p.IsZero() {
			return all, err
		}
		all = append(all, p)
	}
}
