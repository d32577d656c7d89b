package app

import (
	"fmt"
	"time"

	"nightjar/internal/calendar"
)

// SecretVariables are those that no program but nightjar itself is given.
var SecretVariables = []string{"PASSPHRASE", "SIGN_PASSPHRASE", "NIGHTJAR_MYSQL_PASSWORD", "NIGHTJAR_SOURCE_PASSWORD", "NIGHTJAR_REPLICA_PASSWORD", "NIGHTJAR_REPLICATION_PASSWORD"}

// variables are those that go before the job file, by the flags that they stand for, and in their stead the AWS SDK's.
var variables = map[string][]string{
	"config": {"NIGHTJAR_CONFIG"}, "repo": {"NIGHTJAR_REPO"}, "state-dir": {"NIGHTJAR_STATE_DIR"}, "cache-dir": {"NIGHTJAR_CACHE_DIR"}, "cache-limit": {"NIGHTJAR_CACHE_LIMIT"}, "tempdir": {"TMPDIR"},
	"sftp-config": {"NIGHTJAR_SFTP_CONFIG"}, "sftp-key": {"NIGHTJAR_SFTP_KEY"}, "sftp-known-hosts": {"NIGHTJAR_SFTP_KNOWN_HOSTS"},
	"profile": {"AWS_PROFILE", "AWS_DEFAULT_PROFILE"}, "region": {"AWS_REGION", "AWS_DEFAULT_REGION"}, "endpoint": {"AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"},
}

// Variable returns the variable that says something for a flag, or "".
func (a *App) Variable(flag string) string {
	for _, name := range variables[flag] {
		if a.Getenv != nil && a.Getenv(name) != "" {
			return name
		}
	}
	return ""
}

// WarnOfZone warns where TZ names no zone: schedules are by UTC then.
func (a *App) WarnOfZone() {
	if _, known := calendar.ZoneName(a.Getenv("TZ"), time.Local); !known {
		a.Warn(fmt.Errorf("TZ=%s names no time zone of this machine, and UTC is taken: write a name such as Europe/Berlin (the package tzdata has them)", a.Getenv("TZ")))
	}
}
