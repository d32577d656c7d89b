package check

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"nightjar/mysqldump/account"
)

func lookAtTLS(ctx context.Context, l *look) ([]Finding, error) {
	tls, err := l.Encrypted(ctx)
	if err != nil || tls || l.loopback() {
		return nil, err
	}
	return one(Warning, "the connection is not encrypted: all rows, and the hashes of all passwords, pass the network in the clear", "in the client option file, below [client]: ssl-mode=VERIFY_IDENTITY (or, of MariaDB's programs, ssl-verify-server-cert), ssl-ca=FILE")
}

// lookAtPlugin says who besides us cannot log in as the account does.
func lookAtPlugin(ctx context.Context, l *look) ([]Finding, error) {
	a, err := account.ReadLogin(ctx, l.Session)
	if errors.Is(err, account.ErrUnknown) {
		return []Finding{{Severity: Note, Object: l.account, Says: err.Error()}}, nil
	}
	if err != nil {
		return nil, err
	}
	tls, err := l.Encrypted(ctx)
	if err != nil {
		return nil, err
	}
	return judgePlugins(l, a.Plugins, tls), nil
}

func judgePlugins(l *look, plugins []string, tls bool) (found []Finding) {
	is := func(names ...string) bool {
		return slices.ContainsFunc(plugins, func(p string) bool { return slices.Contains(names, p) })
	}
	add := func(s Severity, says, do string) {
		found = append(found, Finding{Severity: s, Object: l.account, Says: says, Do: do})
	}
	switch {
	case is("mysql_native_password"):
	case is("unix_socket", "auth_socket"):
		if l.o.is(Replica) {
			add(Warning, "it logs in by its Unix user ("+plugins[0]+"): a replica on another machine cannot", newAccount)
		}
	case is("caching_sha2_password", "sha256_password"):
		overSocket := strings.HasPrefix(l.address, "/") // which is as good for programs on this machine
		if !tls && (l.o.is(Replica) || l.o.is(Binlog, Hot) && !overSocket) {
			add(Warning, "it logs in by "+plugins[0]+": over a connection without TLS, as this one is, replicas and programs are refused (error 2061) until the server has the password in its cache, which each restart empties",
				"use TLS (MASTER_SSL=1 or SOURCE_SSL=1 at the replica), or GET_SOURCE_PUBLIC_KEY=1 there (GET_MASTER_PUBLIC_KEY=1 before MySQL 8.0.23)")
		}
	case is("ed25519", "parsec"):
		if l.o.is(Replica, Binlog, Hot) {
			add(Note, "it logs in by "+plugins[0]+": replicas and programs need MariaDB's client plugin for it", "look that its file is in the folder that plugin_dir names there")
		}
	default:
		add(Warning, "it logs in by "+strings.Join(plugins, " or ")+": programs and replicas need a client plugin for it", newAccount)
	}
	return found
}

const newAccount = "make an account for replicas: CREATE USER `repl`@`%` IDENTIFIED BY '...'; GRANT REPLICATION SLAVE ON *.* TO `repl`@`%`;"

var limits = regexp.MustCompile(`\b(MAX_QUERIES_PER_HOUR|MAX_UPDATES_PER_HOUR|MAX_CONNECTIONS_PER_HOUR|MAX_USER_CONNECTIONS|MAX_STATEMENT_TIME) ([1-9][0-9.]*|0\.[0-9]*[1-9][0-9]*)`)

// lookAtLimits finds what ends the account's nights on a day to come.
func lookAtLimits(ctx context.Context, l *look) (found []Finding, err error) {
	a, err := account.ReadLogin(ctx, l.Session)
	if err != nil {
		if errors.Is(err, account.ErrUnknown) {
			return none() // lookAtPlugin says so
		}
		return nil, err
	}
	account := account.Quote(l.account)
	for _, m := range limits.FindAllStringSubmatch(a.Row, -1) {
		found = append(found, Finding{Severity: Warning, Object: l.account, Says: fmt.Sprintf("the account is limited by %s %s, which a backup may reach in its middle", m[1], m[2]),
			Do: fmt.Sprintf("ALTER USER %s WITH %s 0;", account, m[1])})
	}
	days := l.variables["default_password_lifetime"]
	ends := strings.Contains(a.Row, "PASSWORD EXPIRE INTERVAL")
	if byDefault := !strings.Contains(a.Row, "PASSWORD EXPIRE NEVER") && days != "" && days != "0"; ends || byDefault {
		found = append(found, Finding{Severity: Warning, Object: l.account, Says: "the password runs out by itself, and with it the backups", Do: "ALTER USER " + account + " PASSWORD EXPIRE NEVER;"})
	}
	return found, nil
}
