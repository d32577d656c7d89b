package global

import (
	"context"
	"strings"

	"nightjar/mysqldump/ddl"
	"nightjar/mysqldump/server"
)

// Show returns the statement that makes a user, as SHOW CREATE USER has it, in a form that every server of its kind takes.
func Show(ctx context.Context, s *server.Session, user, host string) (string, error) {
	row, err := s.Row(ctx, "SHOW CREATE USER "+Account{User: user, Host: host}.Name())
	if err != nil {
		return "", err
	}
	create := withPassword(string(row[0]))
	if !strings.Contains(create, "SUBJECT '") && !strings.Contains(create, "ISSUER '") && !strings.Contains(create, "CIPHER '") {
		return create, nil
	}
	rows, err := s.Rows(ctx, "SELECT x509_subject, x509_issuer, ssl_cipher FROM mysql.user WHERE User="+server.TextLiteral(user)+" AND Host="+server.TextLiteral(host))
	if err != nil {
		return "", err
	}
	for _, row := range rows {
		create = requoteCertificate(create, row)
	}
	return create, nil
}

// withPassword says that an account has an empty password where that is what MySQL means when it prints none: it expires a password
// that a statement does not give.
func withPassword(options string) string {
	all := ddl.Tokens(options)
	for i := 0; i+2 < len(all); i++ {
		if all[i].Is("IDENTIFIED") && all[i+1].Is("WITH") && (i+3 == len(all) || !all[i+3].Is("AS") && !all[i+3].Is("BY")) {
			return options[:all[i+2].To] + " AS ''" + options[all[i+2].To:]
		}
	}
	return options
}

// requoteCertificate corrects what MySQL 5.7 prints of certificates that an account requires, without regard to the quotes in it.
func requoteCertificate(options string, row map[string]string) string {
	for _, c := range []struct{ word, column string }{{"SUBJECT", "x509_subject"}, {"ISSUER", "x509_issuer"}, {"CIPHER", "ssl_cipher"}} {
		if value := row[c.column]; strings.ContainsAny(value, `'\\`) {
			options = strings.Replace(options, c.word+" '"+value+"'", c.word+" "+server.Literal(value), 1)
		}
	}
	return options
}
