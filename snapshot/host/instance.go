package host

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"
	"github.com/aws/smithy-go/logging"
)

// An Instance is which instance of EC2 this machine is, as its metadata says.
type Instance struct {
	ID      string `json:"instanceId"`
	Region  string `json:"region"`
	Zone    string `json:"availabilityZone"`
	Type    string `json:"instanceType"`
	Account string `json:"accountId"`
}

// In bounds of what instance metadata may say.
const (
	maxDocument = 64 << 10
	maxMetadata = 15 * time.Second
)

var (
	instanceID = regexp.MustCompile(`^i-[0-9a-f]{8,17}$`)
	shortName  = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{0,63}$`)
	accountID  = regexp.MustCompile(`^[0-9]{12}$`)
)

// Self asks instance metadata which instance this is: by its version 2 alone, at the endpoint that the SDK's environment variables name
// (AWS_EC2_METADATA_SERVICE_ENDPOINT and its _MODE). The error is ErrMetadata if it does not answer.
func Self(ctx context.Context) (Instance, error) {
	ctx, cancel := context.WithTimeout(ctx, maxMetadata)
	defer cancel()
	cfg, err := config.LoadDefaultConfig(ctx, config.WithLogger(logging.Nop{}))
	if err != nil {
		return Instance{}, fmt.Errorf("read the configuration of the AWS SDK: %w", err)
	}
	client := imds.NewFromConfig(cfg, func(o *imds.Options) { o.EnableFallback = aws.FalseTernary })
	answer, err := client.GetDynamicData(ctx, &imds.GetDynamicDataInput{Path: "instance-identity/document"})
	if err != nil {
		return Instance{}, fmt.Errorf("%w: %w", ErrMetadata, err)
	}
	defer answer.Content.Close()
	document, err := io.ReadAll(io.LimitReader(answer.Content, maxDocument+1))
	if err != nil {
		return Instance{}, fmt.Errorf("%w: %w", ErrMetadata, err)
	}
	instance, err := parseInstance(document)
	if err != nil {
		return Instance{}, fmt.Errorf("%w: %w", ErrMetadata, err)
	}
	return instance, nil
}

func parseInstance(document []byte) (i Instance, err error) {
	if len(document) > maxDocument {
		return Instance{}, fmt.Errorf("the instance's identity has more than %d bytes", maxDocument)
	}
	if json.Unmarshal(document, &i) != nil {
		return Instance{}, errors.New("the instance's identity is no document of EC2")
	}
	for _, field := range []struct {
		name, value string
		form        *regexp.Regexp
	}{
		{"instanceId", i.ID, instanceID}, {"region", i.Region, shortName}, {"availabilityZone", i.Zone, shortName},
		{"instanceType", i.Type, shortName}, {"accountId", i.Account, accountID},
	} {
		if !field.form.MatchString(field.value) {
			return Instance{}, fmt.Errorf("the instance's identity has the %s %.80q", field.name, field.value)
		}
	}
	return i, nil
}
