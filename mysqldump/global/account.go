package global

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"nightjar/mysqldump/ddl"
	"nightjar/mysqldump/server"
)

// An Account is a user, or a role of MariaDB; MySQL's roles are users. The statements have hashes of passwords in them. To load
// accounts that grant each other roles, first all are made, then all get their grants, then their defaults. Each statement may be run twice.
//
// An account that exists is left by running nothing of it. It is replaced by Drop before Create, or, if it is the one that loads, by
// Alter, which takes no grant away. Of a role that it makes, the account that loads becomes an administrator, as it must be to grant it.
type Account struct {
	User, Host string
	Role       bool // of MariaDB: it has no host
	Create     []string
	Alter      []string
	Drop       []string
	Grants     []string // for databases, tables and routines that have been loaded
	ViewGrants []ViewGrant
	Defaults   []string // such as default roles
}

// A ViewGrant is a grant on a view that has been loaded. Views that use that view may need it: servers open it as its definer.
type ViewGrant struct {
	Database, View string
	Grant          string
}

// Name returns the account as statements name it.
func (a Account) Name() string {
	switch {
	case a.public():
		return a.User
	case a.Role:
		return server.Quote(a.User)
	}
	return server.Quote(a.User) + "@" + server.Quote(a.Host)
}

// public reports whether it is MariaDB's role that all have, and that nobody makes.
func (a Account) public() bool { return a.Role && a.User == "PUBLIC" }

// System reports whether an account is the server's own, which every server makes for itself.
func System(user, host string) bool {
	switch user {
	case "mariadb.sys", "mysql.session", "mysql.sys", "mysql.infoschema":
		return host == "localhost"
	}
	return false
}

func (r *reader) readAccounts(ctx context.Context) error {
	rows, err := r.s.Rows(ctx, "SELECT * FROM mysql.user")
	if n := server.Number(err); n == tableDenied || n == columnDenied {
		r.left("accounts", "all", err.Error())
		return nil
	}
	if err != nil {
		return err
	}
	var accounts []Account
	for _, row := range rows {
		a := Account{User: row["User"], Host: row["Host"], Role: row["is_role"] == "Y"}
		if System(a.User, a.Host) || a.public() {
			continue
		}
		accounts = append(accounts, a)
		if strings.Contains(row["User_attributes"], `"additional_password"`) {
			r.left("second password", a.Name(), "no statement of the server tells it")
		}
	}
	slices.SortFunc(accounts, func(a, b Account) int { return strings.Compare(a.User+"\x00"+a.Host, b.User+"\x00"+b.Host) })
	if len(rows) > 0 && rows[0]["is_role"] != "" {
		accounts = append(accounts, Account{User: "PUBLIC", Role: true})
	}
	r.accounts = accounts
	for _, a := range accounts {
		if err := r.readAccount(ctx, a); err != nil {
			return err
		}
	}
	return nil
}

func (r *reader) readAccount(ctx context.Context, a Account) error {
	err := r.readCreateAccount(ctx, &a)
	if err == nil {
		err = r.readGrants(ctx, &a)
	}
	switch {
	case err == nil:
	case !ofObject(err):
		return err
	case a.public():
		return nil // a server that has no such role
	default:
		r.left("account", a.Name(), err.Error())
		return nil
	}
	if !a.public() || len(a.Grants)+len(a.ViewGrants) > 0 {
		r.found = append(r.found, a)
	}
	return nil
}

// saysOf notes a statement with which the server tells of an account.
func (r *reader) saysOf(a *Account, statement string) {
	if r.said == nil {
		r.said = map[string][]string{}
	}
	r.said[a.Name()] = append(r.said[a.Name()], statement)
}

func (r *reader) readCreateAccount(ctx context.Context, a *Account) error {
	switch {
	case a.public():
		return nil
	case a.Role:
		a.Create, a.Drop = []string{"CREATE ROLE IF NOT EXISTS " + a.Name()}, []string{"DROP ROLE IF EXISTS " + a.Name()}
		return nil
	}
	create, err := Show(ctx, r.s, a.User, a.Host)
	if err != nil {
		return err
	}
	r.saysOf(a, create)
	options, ok := strings.CutPrefix(create, "CREATE USER ")
	if !ok {
		return fmt.Errorf("read account %s: the server answers with another statement", a.Name())
	}
	options, roles := cutDefaultRole(options)
	a.Create, a.Drop = []string{"CREATE USER IF NOT EXISTS " + options}, []string{"DROP USER IF EXISTS " + a.Name()}
	a.Alter = []string{"ALTER USER " + options}
	if roles != "" {
		a.Defaults = []string{"ALTER USER " + a.Name() + " " + roles}
	}
	return nil
}

// cutDefaultRole takes MySQL's DEFAULT ROLE out of a user's options: the roles have to be granted first.
func cutDefaultRole(options string) (rest, roles string) {
	all := ddl.Tokens(options)
	for i, t := range all {
		if !t.Is("DEFAULT") || i+1 >= len(all) || !all[i+1].Is("ROLE") {
			continue
		}
		end := i + 2
		for end < len(all) && all[end].Kind != ddl.Word {
			end++
		}
		until := len(options)
		if end < len(all) {
			until = all[end].From
		}
		return options[:t.From] + options[until:], strings.TrimSpace(options[t.From:until])
	}
	return options, ""
}

func (r *reader) readGrants(ctx context.Context, a *Account) error {
	err := r.s.Texts(ctx, "SHOW GRANTS FOR "+a.Name(), func(row []string) error {
		r.saysOf(a, row[0])
		grant := r.requote(row[0], *a)
		all := tokensOf(grant)
		switch to := grantee(grant, all); {
		case len(all) > 0 && all[0].Is("SET"):
			a.Defaults = append(a.Defaults, grant)
		case to != "" && !strings.HasPrefix(strings.ReplaceAll(to, "'", "`"), strings.ReplaceAll(a.Name(), "'", "`")):
			// of a role that this one has
		default:
			r.sortGrant(a, grant, all)
		}
		return nil
	})
	slices.Sort(a.Grants)               // MariaDB's have no order; a REVOKE, of MySQL, stays behind
	a.Grants = slices.Compact(a.Grants) // MariaDB shows a proxy of all hosts twice that two statements made
	a.Grants = inOracleMode(a.Grants)
	return err
}

// inOracleMode puts grants on packages, whose words MariaDB knows in that mode only, between statements that set it and take it back.
func inOracleMode(grants []string) (all []string) {
	for _, grant := range grants {
		if strings.HasPrefix(grant, "GRANT EXECUTE ON PACKAGE ") {
			all = append(all, "SET SESSION sql_mode='ORACLE'", grant, "SET SESSION sql_mode=''")
		} else {
			all = append(all, grant)
		}
	}
	return all
}

// kept returns a grant in a form that can be loaded, or names it as left out.
func (r *reader) kept(grant string, a Account) []string {
	loadable, whole := r.loadableGrant(grant)
	if !whole {
		r.left("grant", a.Name(), "what it is for is not there, or left out: "+grant)
	}
	if loadable == "" {
		return nil
	}
	return []string{loadable}
}

// raw is the account as MySQL 5.7 prints it in grants: in quotes, without regard to the quotes in it.
func (a Account) raw() string { return "'" + a.User + "'@'" + a.Host + "'" }

// Requote corrects to whom a grant of MySQL 5.7 is.
func (a Account) Requote(grant string) string {
	if i := strings.LastIndex(grant, " TO "+a.raw()); i >= 0 {
		return grant[:i] + " TO " + a.Name() + grant[i+4+len(a.raw()):]
	}
	return grant
}

// requote corrects a grant of MySQL 5.7 to an account.
func (r *reader) requote(grant string, a Account) string {
	grant = a.Requote(grant)
	for _, other := range r.accounts {
		if rest, ok := strings.CutPrefix(grant, "GRANT PROXY ON "+other.raw()+" TO "); ok {
			return "GRANT PROXY ON " + other.Name() + " TO " + rest
		}
	}
	return grant
}

// grantee returns the rest of a GRANT after TO, or of a REVOKE after FROM; "" if there is none.
func grantee(grant string, all []ddl.Token) string {
	for i := len(all) - 2; i > 0; i-- {
		if all[i].Is("TO") || all[i].Is("FROM") {
			return grant[all[i+1].From:]
		}
	}
	return ""
}

// sortGrant adds a grant to an account's, if it can be given again.
func (r *reader) sortGrant(a *Account, grant string, all []ddl.Token) {
	view, isView := r.onView(all)
	for _, kept := range r.kept(grant, *a) {
		if isView {
			a.ViewGrants = append(a.ViewGrants, ViewGrant{view[0], view[1], kept})
		} else {
			a.Grants = append(a.Grants, kept)
		}
	}
}

// onView returns the view that a grant is on.
func (r *reader) onView(all []ddl.Token) (view [2]string, ok bool) {
	for i, t := range all {
		if t.Is("ON") && i+3 < len(all) && all[i+2].Is(".") {
			view = [2]string{all[i+1].Name(), all[i+3].Name()}
			return view, r.IsView(view[0], view[1])
		}
	}
	return view, false
}

// GrantsOn returns the account's grants on views that are some.
func (a Account) GrantsOn(some func(database, view string) bool) (grants []string) {
	for _, g := range a.ViewGrants {
		if some(g.Database, g.View) {
			grants = append(grants, g.Grant)
		}
	}
	return grants
}
