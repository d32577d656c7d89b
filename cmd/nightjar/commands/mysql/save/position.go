package save

import (
	"errors"
	"fmt"

	"nightjar/cmd/nightjar/internal/app"
	"nightjar/cmd/nightjar/internal/dumpfiles"
	"nightjar/cmd/nightjar/internal/outcome"
	"nightjar/cmd/nightjar/internal/show"
	"nightjar/mysqldump"
	"nightjar/repo"
)

// labelPosition says where a backup stands, or that its server keeps no binary log: which is told once, and is a problem where the archive before had a position.
func labelPosition(a *app.App, labels repo.Labels, p mysqldump.Position, previous *repo.Archive) {
	if p.HasPlace() {
		labels["position"] = repo.Text(p.String())
		return
	}
	labels[show.NoPosition] = show.BinaryLogOff
	const lost = "changes after this backup cannot be replayed, and no replica of this server can be made of it. "
	switch {
	case lostPosition(labels, previous):
		a.Problem("position", errors.New("lost: the server's binary log is off, and was on for archive "+show.ShortID(previous)+": "+lost+dumpfiles.TurnOn))
	case previous == nil || previous.Labels[show.NoPosition] == "":
		a.Note("the server keeps no binary log: %s%s. This is not said again", lost, dumpfiles.TurnOn)
	}
}

func lostPosition(labels repo.Labels, previous *repo.Archive) bool {
	return labels[show.NoPosition] != "" && previous != nil && previous.Labels["position"] != ""
}

// madeWithProblems is the error of an archive of a server that was made all the same; nil without problems.
func madeWithProblems(a *app.App, made, previous *repo.Archive) error {
	n, what := a.Problems.Load(), "it is not complete"
	if n == 0 {
		return nil
	}
	if n == 1 && lostPosition(made.Labels, previous) {
		what = "it has no position, as the one before had"
	}
	return outcome.Problems{What: fmt.Sprintf("archive %s was made, but %s: problems: %d", show.ShortID(made), what, n), Damaged: a.Damaged.Load()}
}
