package replica

import (
	"context"
	"fmt"
	"strings"

	"nightjar/mysqldump"
	"nightjar/mysqldump/server"
)

// Choose returns which position of a backup holds in the binary log of a source: the backup's own if it was taken there, or that of
// its source if it was taken at a slave. From another server it can only go on by GTIDs, all of which that server must have. What
// is not known is refused, with an error that wraps ErrUnsafe. A zero own is that of a server without a binary log.
func Choose(ctx context.Context, source *server.Server, own mysqldump.Position, sources []mysqldump.Position) (mysqldump.Position, error) {
	none := mysqldump.Position{}
	c, err := source.Connect(ctx)
	if err != nil {
		return none, err
	}
	defer c.Close()
	id, err := c.Identity(ctx)
	if err != nil {
		return none, err
	}
	if own.HasPlace() && (own.ServerID == 0 && own.ServerUUID.IsZero() || isOf(own, id)) {
		return own, nil
	}
	var found []mysqldump.Position
	for _, p := range sources {
		if isOf(p, id) && (len(found) == 0 || !found[0].Equal(p)) {
			found = append(found, p)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return byGTIDs(ctx, c, id, own, sources)
	}
	return none, fmt.Errorf("choose a position at %s: %w", source.Address(), refuse("the backup was taken at a slave that has it as the source of %d channels", len(found)))
}

// isOf reports whether a position was read from a server, or at its slave.
func isOf(p mysqldump.Position, id server.Identity) bool {
	if !p.ServerUUID.IsZero() && !id.ServerUUID.IsZero() {
		return p.ServerUUID == id.ServerUUID
	}
	return p.ServerID != 0 && p.ServerID == id.ServerID
}

// byGTIDs returns the GTIDs from which a server can go on that is neither the backup's nor a source of it.
func byGTIDs(ctx context.Context, c *server.Session, id server.Identity, own mysqldump.Position, sources []mysqldump.Position) (mysqldump.Position, error) {
	now, err := c.Position(ctx)
	if err != nil {
		return mysqldump.Position{}, err
	}
	all := sources
	if own.HasPlace() {
		all = append([]mysqldump.Position{own}, sources...)
	}
	candidates := all
	if len(sources) > 0 { // MariaDB's own GTIDs may be of the slave's own transactions alone
		candidates = sources
	}
	for _, p := range candidates {
		if !p.GTIDs.IsZero() && now.GTIDs.Contains(p.GTIDs) {
			return mysqldump.Position{GTIDs: p.GTIDs, Flavor: own.Flavor, Version: own.Version, Time: own.Time}, nil
		}
	}
	var of []string
	for _, p := range all {
		of = append(of, whose(p.ServerID, p.ServerUUID))
	}
	return mysqldump.Position{}, refuse("the backup has positions of %s; the source is %s, which has not all of their GTIDs", strings.Join(of, " and of "), whose(id.ServerID, id.ServerUUID))
}

func whose(id uint32, uuid mysqldump.UUID) string {
	if uuid.IsZero() {
		return fmt.Sprintf("server_id %d", id)
	}
	return fmt.Sprintf("server_id %d (%s)", id, uuid)
}
