package dump

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"nightjar/mysqldump/account"
)

// ErrPrivileges says that the account may not see all that is to be dumped. Servers hide that: it would be missing without a word.
var ErrPrivileges = errors.New("what the account may not see would be missing")

// mayRead returns an error if the server hides something that was asked for. What it refuses aloud is left to the statement that it refuses.
func (a *attempt) mayRead(ctx context.Context) error {
	grants, err := account.ReadGrants(ctx, a.looking)
	if err != nil {
		return fmt.Errorf("read privileges: %w", err)
	}
	chosen := a.run.o.Selection
	if !grants.Has("PROCESS") { // else no table has an identity
		return fmt.Errorf("the account lacks PROCESS on *.*: %w", ErrPrivileges)
	}
	if len(chosen.Databases)+len(chosen.Tables) == 0 {
		return lacks("*.*", func(privilege string) bool { return grants.Has(privilege) }, "SELECT", "TRIGGER", "EVENT")
	}
	if len(chosen.Tables) == 0 {
		for _, d := range a.inventory.Databases {
			on := func(privilege string) bool { return grants.HasOn(privilege, d.Name, "") }
			if err := lacks(d.Name+".*", on, "SELECT", "TRIGGER", "EVENT"); err != nil {
				return err
			}
		}
	}
	for _, t := range a.inventory.Tables {
		on := func(privilege string) bool { return grants.HasOn(privilege, t.Database, t.Name) }
		if err := lacks(t.Database+"."+t.Name, on, "SELECT", "TRIGGER"); err != nil {
			return err
		}
	}
	return nil
}

// lacks returns an error that names those privileges that the account does not have.
func lacks(on string, has func(privilege string) bool, privileges ...string) error {
	var missing []string
	for _, p := range privileges {
		if !has(p) {
			missing = append(missing, p)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return fmt.Errorf("the account lacks %s on %s: %w", strings.Join(missing, ", "), on, ErrPrivileges)
}
