// Package ec2flags gives commands the flags that say where EC2 is called, opens it, and says what to do about its errors.
package ec2flags

import (
	"context"
	"errors"
	"fmt"
	"net"
	"regexp"
	"strings"

	"github.com/aws/smithy-go"

	"nightjar/cmd/nightjar/internal/app"
	"nightjar/cmd/nightjar/internal/session"
	"nightjar/cmd/nightjar/internal/usage"
	"nightjar/snapshot/cloud"
	"nightjar/snapshot/sets"
	"nightjar/snapshot/take"
)

// Flags say where EC2 is called.
type Flags struct {
	cloud.Options
}

// Find finds the region, for a command whose result says where its name comes from.
func (e *Flags) Find(ctx context.Context, a *app.App) (*cloud.Cloud, error) {
	if a.CheckOnly {
		return nil, session.ErrChecked
	}
	return cloud.Open(ctx, e.Options)
}

// Open is Find, and says where its name comes from.
func (e *Flags) Open(ctx context.Context, a *app.App) (*cloud.Cloud, error) {
	c, err := e.Find(ctx, a)
	if err == nil && a.Chatty() && !a.JSON {
		a.Note("region %s, by %s", c.Region, c.Source)
	}
	return c, err
}

// hintsEBS are by EC2's codes, or how they begin.
var hintsEBS = []struct{ code, hint string }{
	{"RequestExpired", "set the clock of this machine, or renew the credentials: EC2 takes neither for the other's fault"},
	{"SignatureDoesNotMatch", "is the secret access key right, and this machine's clock?"},
	{"ExpiredToken", "renew the credentials and run the same command again"},
	{"AuthFailure", "are the credentials right, and enabled in this region? EC2 says so, too, when this machine's clock is wrong"},
	{"InvalidClientTokenId", "are the credentials right, and enabled in this region?"},
	{"OptInRequired", "this region has to be enabled for the account first"},
	{"RequestLimitExceeded", "EC2 throttles the account; nothing is lost. Run the same command again later"},
	{"Throttling", "EC2 throttles the account; nothing is lost. Run the same command again later"},
	{"SnapshotCreationPerVolumeRateExceeded", "a volume can be taken only so often: wait for a quarter of a minute"},
	{"PendingSnapshotLimitExceeded", "wait until snapshots of that volume are completed: nightjar ebs wait"},
	{"ConcurrentSnapshotLimitExceeded", "wait until other snapshots are completed: nightjar ebs wait"},
	{"SnapshotLimitExceeded", "the account's quota of snapshots is used up: nightjar ebs prune, or ask Amazon for more"},
	{"InvalidInstanceID", "is it the right id, and the right --region?"},
	{"InvalidVolume", "is it the right id, and the right --region?"},
	{"InvalidSnapshot", "is it the right id, and the right --region?"},
}

var deniedAction = regexp.MustCompile(`not authorized to perform: ([A-Za-z0-9-]{1,40}:[A-Za-z0-9]{1,80})`)

// Advise has an error say what to do about it.
func Advise(err error) error {
	var hinted usage.Hinted
	if err == nil || errors.As(err, &hinted) {
		return err
	}
	code := cloud.Code(err)
	switch {
	case errors.Is(err, cloud.ErrRegion):
		return usage.Hinted{Err: err, Hint: "name it with --region, AWS_REGION or the AWS configuration"}
	case errors.Is(err, cloud.ErrCredentials):
		return usage.Hinted{Err: err, Hint: "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, name a --profile, or give this instance a role"}
	case errors.Is(err, cloud.ErrUnheard), errors.As(err, new(*net.DNSError)):
		return usage.Hinted{Err: err, Hint: "is the network up, and --endpoint, --region and AWS_ENDPOINT_URL right?"}
	case errors.Is(err, take.ErrUnknown):
		return usage.Hinted{Err: err, Hint: "is it the right id, and the right --region?"}
	case errors.Is(err, take.ErrWeaker):
		return usage.Hinted{Err: err, Hint: "--require says what is enough"}
	case errors.Is(err, sets.ErrNone):
		return usage.Hinted{Err: err, Hint: "nightjar ebs list shows the sets of a --region"}
	case code == "UnauthorizedOperation" || code == "AccessDenied" || code == "AccessDeniedException":
		return usage.Hinted{Err: err, Hint: "the policy of these credentials has to allow " + action(err) + ": doc/ebs.md has one that suffices"}
	}
	for _, h := range hintsEBS {
		if strings.HasPrefix(code, h.code) {
			return usage.Hinted{Err: err, Hint: h.hint}
		}
	}
	return err
}

// action names what was denied as policies do.
func action(err error) string {
	if found := deniedAction.FindStringSubmatch(err.Error()); found != nil {
		return found[1]
	}
	var op *smithy.OperationError
	if errors.As(err, &op) {
		return fmt.Sprintf("%s:%s", strings.ToLower(op.Service()), op.Operation())
	}
	return "it"
}
