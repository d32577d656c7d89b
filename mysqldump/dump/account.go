package dump

import (
	"slices"

	"nightjar/mysqldump/global"
	"nightjar/mysqldump/schema"
	"nightjar/mysqldump/script"
)

// accountSteps are the files of accounts, in whose order they are loaded: each may need all accounts of the step before.
var accountSteps = []struct {
	name string
	of   func(a global.Account) []string
}{
	{"1-made", func(a global.Account) []string { return a.Create }},
	{"2-granted", func(a global.Account) []string { return a.Grants }},
	{"3-defaults", func(a global.Account) []string { return a.Defaults }},
}

func (a *attempt) writeAccounts() error {
	if !a.run.o.Accounts {
		if len(a.inventory.Accounts) > 0 {
			a.result.Left = append(a.result.Left, schema.LeftOut{What: "accounts", Name: "all", Why: "they were not asked for"})
		}
		return nil
	}
	for _, step := range accountSteps {
		for _, account := range a.accounts() {
			err := a.writeAccount(script.Accounts, script.Name(script.Accounts, step.name, account.Name(), -1), account, step.of(account))
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// writeAccount writes a file of statements about an account, unless there are none.
func (a *attempt) writeAccount(kind script.Kind, name string, account global.Account, statements []string) error {
	if len(statements) == 0 {
		return nil
	}
	return a.write(name, "account "+account.Name(), "", objectNotes(kind, "", account.Name()), func(s *script.Writer) {
		for _, statement := range statements {
			s.Statement(statement)
		}
	})
}

// writeViews writes the views and the grants on them. Servers open the views that a new one uses as their definers: those may need
// grants on views before it.
func (a *attempt) writeViews() error {
	number := 0
	waiting := map[schema.Name]bool{} // views whose grants are not written
	within := func(database, view string) bool { return waiting[schema.Name{Database: database, Name: view}] }
	for _, v := range a.inventory.Views {
		if slices.ContainsFunc(v.Uses, func(used schema.Name) bool { return waiting[used] }) {
			for _, account := range a.accounts() {
				grants := account.GrantsOn(within)
				if err := a.writeAccount(script.Grants, script.Name(script.Views, "grants", account.Name(), number), account, grants); err != nil {
					return err
				}
				number += min(len(grants), 1)
			}
			clear(waiting)
		}
		err := a.object(script.Views, v.Database, v.Name, number, func(s *script.Writer) { a.define(s, v.Environment, v.Database, v.Create) })
		if err != nil {
			return err
		}
		number++
		waiting[schema.Name{Database: v.Database, Name: v.Name}] = true
	}
	for _, account := range a.accounts() {
		if err := a.writeAccount(script.Grants, script.Name(script.Grants, account.Name(), "", -1), account, account.GrantsOn(within)); err != nil {
			return err
		}
	}
	return nil
}

// accounts returns the accounts to write.
func (a *attempt) accounts() []global.Account {
	if !a.run.o.Accounts {
		return nil
	}
	return a.inventory.Accounts
}
