package schema

import (
	"strings"

	"nightjar/mysqldump/server"
)

// An Environment is the settings of a session that a definition was made in, and has to be made in again. Empty fields are
// left as they are.
type Environment struct {
	SQLMode             string // always set
	CharacterSetClient  string
	CollationConnection string
	DatabaseCollation   string // of the database when the definition was made
	TimeZone            string // of an event
}

// definition is the environment of what the server keeps as UTF-8.
var definition = Environment{CharacterSetClient: "utf8mb4"}

// Settings returns the statements that give a session the environment. They change its character set: SET NAMES binary
// brings that back. The database's collation is not among them.
func (e Environment) Settings() []string {
	set := []string{"sql_mode=" + server.Literal(e.SQLMode)}
	if e.CharacterSetClient != "" && e.CollationConnection == "" {
		// MySQL 8.4 and newer refuse foreign keys to keys that are not unique, even if it has such.
		return []string{"SET NAMES " + e.CharacterSetClient, "SET SESSION " + set[0] + " /*!80400 , SESSION restrict_fk_on_non_standard_key=0 */"}
	}
	if e.CharacterSetClient != "" {
		set = append(set, "character_set_client="+server.Literal(e.CharacterSetClient), "collation_connection="+server.Literal(e.CollationConnection))
	}
	if e.TimeZone != "" {
		set = append(set, "time_zone="+server.Literal(e.TimeZone))
	}
	return []string{"SET SESSION " + strings.Join(set, ", ")}
}

// Around returns statements to run before and after a definition of a database, beside Settings: they give the database the collation
// that it had when the definition was made, since routines take it for their parameters. There are none if it has it still.
func (e Environment) Around(d Database) (before, after []string) {
	if e.DatabaseCollation == "" || e.DatabaseCollation == d.Collation {
		return nil, nil
	}
	alter := "ALTER DATABASE " + server.Quote(d.Name) + " COLLATE "
	return []string{alter + e.DatabaseCollation}, []string{alter + d.Collation}
}
