package check

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"nightjar/mysqldump/account"
	"nightjar/mysqldump/server"
)

const fromHere = "; it was tried from this machine: whether the replica's own address may log in, and passes firewalls, only the replica can find out"

// lookAtAccount logs in at the source as the replica is to.
func lookAtAccount(ctx context.Context, p pair) (found []Finding, err error) {
	if p.account == nil {
		return none()
	}
	add := func(s Severity, object, says, do string) {
		found = append(found, Finding{Severity: s, Object: object, Says: says, Do: do})
	}
	c, err := p.account.Connect(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return nil, err
		}
		add(Problem, p.account.Address(), "the source does not let the replication account in: "+err.Error()+fromHere, "at the source: CREATE USER `repl`@`%` IDENTIFIED BY '...'; GRANT REPLICATION SLAVE ON *.* TO `repl`@`%`;")
		return found, nil
	}
	defer c.Close()
	row, err := c.Row(ctx, "SELECT CURRENT_USER()")
	if err != nil {
		return nil, err
	}
	name := string(row[0])
	same, err := server.Same(ctx, p.source.Session, c)
	if err != nil {
		return nil, err
	}
	if !same {
		add(Problem, p.account.Address(), "another server than the source answers there", "name the source itself, by a name that is the same for the replica")
		return found, nil
	}
	g, err := account.ReadGrants(ctx, c)
	if err != nil {
		return nil, err
	}
	if !g.Has("REPLICATION SLAVE") {
		add(Problem, name, "the replication account may not read binary logs", "at the source: GRANT REPLICATION SLAVE ON *.* TO "+account.Quote(name)+";")
	}
	if host := name[strings.LastIndexByte(name, '@')+1:]; host != "%" {
		add(Note, name, fmt.Sprintf("the account is for clients from %s%s", host, fromHere), "look that the replica's address is one of them")
	}
	plugins, err := lookAtReplicaPlugin(ctx, p, c, name)
	return append(found, plugins...), err
}

func lookAtReplicaPlugin(ctx context.Context, p pair, c *server.Session, name string) ([]Finding, error) {
	a, err := account.ReadLogin(ctx, c)
	if errors.Is(err, account.ErrUnknown) || server.Denied(err) {
		return []Finding{{Severity: Note, Object: name, Says: account.ErrUnknown.Error()}}, nil
	}
	if err != nil {
		return nil, err
	}
	l := &look{Session: c, account: name, o: Options{For: []Purpose{Replica}}}
	tls, err := l.Encrypted(ctx)
	if err != nil {
		return nil, err
	}
	return judgePlugins(l, a.Plugins, tls), nil
}
