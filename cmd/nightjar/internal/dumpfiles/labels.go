package dumpfiles

import (
	"fmt"

	"nightjar/cmd/nightjar/internal/show"
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
