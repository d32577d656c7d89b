package definition

import (
	"bytes"
	"context"
	"slices"

	"nightjar/mysqldump/ddl"
	"nightjar/mysqldump/server"
)

// AsPrinted compares text, which the server printed of a table, with the table's definition, create, in the server's own words, since servers
// of different versions print the same in different ones: int(11) and int, utf8 and utf8mb3. The server is let make a temporary table of the
// definition, and prints that. d makes the table, in which database. whole says that they are the same, same that they are at least but for secondary
// keys and constraints, all of which the table lacks. What the server makes no temporary table of is taken for different.
func (d *Definition) AsPrinted(ctx context.Context, s *server.Session, database string, create, text []byte) (whole, same bool, err error) {
	bare, keys, constraints := ddl.SplitKeys(string(create))
	withoutKeys, withKeys, err := d.printed(ctx, s, database, bare, keys)
	if err != nil || withKeys == nil {
		return false, false, err
	}
	rest, hasKeys, hasConstraints := ddl.SplitKeys(string(text))
	if len(hasKeys)+len(hasConstraints) == 0 && ddl.Same([]byte(rest), withoutKeys) {
		return len(keys)+len(constraints) == 0, true, nil
	}
	itsRest, itsKeys, _ := ddl.SplitKeys(string(withKeys))
	whole = ddl.Same([]byte(rest), []byte(itsRest)) && slices.Equal(hasKeys, itsKeys) && slices.Equal(hasConstraints, constraints)
	return whole, whole, nil
}

// printed returns how the server prints a temporary table of a definition, without keys and with them; nil if it makes none.
func (d *Definition) printed(ctx context.Context, s *server.Session, database, create string, keys []string) (without, with []byte, err error) {
	const head = "CREATE TABLE"
	rest, ok := bytes.CutPrefix([]byte(create), []byte(head))
	m, _ := ddl.Makes([]byte(create))
	at := d.Table(m.Name)
	if !ok || at < 0 {
		return nil, nil, nil
	}
	temporary := d.Clone()
	temporary.Statements[at] = append([]byte("CREATE TEMPORARY TABLE"), rest...)
	refused := func(err error) error {
		if server.Number(err) != 0 && !server.Lost(err) {
			return nil // it says that it makes no such table
		}
		return err
	}
	if err := temporary.Run(ctx, s); err != nil {
		return nil, nil, refused(err)
	}
	// From here on the name is that of the temporary table in this session, which keeps whoever has it from the other one.
	defer func() {
		if dropped := s.Exec(ctx, "DROP TEMPORARY TABLE "+server.Quote(database)+"."+server.Quote(m.Name)); err == nil {
			err = dropped
		}
	}()
	show := func() ([]byte, error) {
		text, err := Show(ctx, s, database, m)
		return bytes.Replace(text, []byte("CREATE TEMPORARY TABLE"), []byte(head), 1), err
	}
	if without, err = show(); err != nil {
		return nil, nil, err
	}
	if err := s.Exec(ctx, "SET NAMES utf8mb4"); err != nil {
		return nil, nil, err
	}
	for _, key := range keys {
		if err := s.Exec(ctx, key); err != nil {
			return nil, nil, refused(err)
		}
	}
	with, err = show()
	return without, with, err
}
