// Package cloud makes the calls to one region of EC2, and to its EBS direct APIs.
//
// A call is tried again when EC2 throttles or fails, adaptively and within limits, unless Once is asked for: taking and copying have no client
// token, so their callers look for what an attempt has made before they make another.
//
// The invariant: nothing here knows whether it talks to Amazon or to a test server. Only the endpoint differs.
package cloud

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/ec2rolecreds"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"
	"github.com/aws/aws-sdk-go-v2/service/ebs"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/servicequotas"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/logging"
	"github.com/aws/smithy-go/middleware"
)

// Attempts is how often a call is made at most.
const Attempts = 8

// Timeout is how long an attempt takes at most, its answer included, where Options say nothing: a server that hangs holds nobody up for good.
const Timeout = time.Minute

var (
	// ErrRegion says that nothing names a region.
	ErrRegion = errors.New("no region is named")
	// ErrCredentials says that there are no credentials.
	ErrCredentials = errors.New("no credentials")
	// ErrUnheard says that nothing listens where a service is called.
	ErrUnheard = errors.New("nothing listens there")
)

// Options say where to call. The zero value goes by the SDK's own chain: environment, profile, instance metadata.
type Options struct {
	Region   string
	Endpoint string // of all services, such as http://127.0.0.1:8000; empty: the SDK's
	Profile  string
	Timeout  time.Duration // of an attempt, its answer included; 0: Timeout
}

// A Cloud is one region of an account.
type Cloud struct {
	EC2    *ec2.Client
	Blocks *ebs.Client // the EBS direct APIs
	Quotas *servicequotas.Client
	Region string
	Source string // what names the region, for people

	cfg   aws.Config
	calls *calls
}

type calls struct {
	mu    sync.Mutex
	count map[string]uint64
}

// Open reads the SDK's configuration. It makes no call of EC2, but may ask instance metadata for the region.
func Open(ctx context.Context, o Options) (*Cloud, error) {
	metadata, err := metadata(ctx, o)
	if err != nil {
		return nil, err
	}
	options := append(shared(o),
		config.WithEC2IMDSRegion(func(from *config.UseEC2IMDSRegion) { from.Client = metadata }),
		config.WithEC2RoleCredentialOptions(func(from *ec2rolecreds.Options) { from.Client = metadata }),
		config.WithRetryer(func() aws.Retryer {
			return retry.NewAdaptiveMode(func(a *retry.AdaptiveModeOptions) {
				a.StandardOptions = append(a.StandardOptions, func(s *retry.StandardOptions) {
					s.MaxAttempts, s.Backoff = Attempts, unheard{retry.NewExponentialJitterBackoff(20 * time.Second)}
				})
			})
		}),
	)
	if o.Region != "" {
		options = append(options, config.WithRegion(o.Region))
	}
	if o.Endpoint != "" {
		options = append(options, config.WithBaseEndpoint(o.Endpoint))
	}
	cfg, err := config.LoadDefaultConfig(ctx, options...)
	var op *smithy.OperationError
	if errors.As(err, &op) && op.Service() == "ec2imds" { // the last that is asked for a region
		return nil, fmt.Errorf("%w, and no instance's metadata service says one", ErrRegion)
	}
	if err != nil {
		return nil, fmt.Errorf("read the configuration of the AWS SDK: %w", err)
	}
	if cfg.Region == "" {
		return nil, ErrRegion
	}
	chain := cfg.Credentials
	cfg.Credentials = aws.NewCredentialsCache(aws.CredentialsProviderFunc(func(ctx context.Context) (aws.Credentials, error) {
		found, err := chain.Retrieve(ctx)
		if err != nil && ctx.Err() == nil {
			err = fmt.Errorf("%w: %w", ErrCredentials, err)
		}
		return found, err
	}))
	if cfg.HTTPClient == nil { // unless something is configured for it
		cfg.HTTPClient = awshttp.NewBuildableClient()
	}
	if client, ok := cfg.HTTPClient.(*awshttp.BuildableClient); ok {
		cfg.HTTPClient = client.WithTimeout(cmp.Or(o.Timeout, Timeout))
	}
	cfg.HTTPClient = whole{cfg.HTTPClient}
	c := &Cloud{cfg: cfg, calls: &calls{count: map[string]uint64{}}}
	c.cfg.APIOptions = append(c.cfg.APIOptions, c.calls.register)
	c = c.In(cfg.Region)
	c.Source = source(o, cfg.ConfigSources)
	return c, nil
}

// Try reports whether there are credentials, and EC2 takes them and lets them describe snapshots. Nothing is described.
func (c *Cloud) Try(ctx context.Context) error {
	if _, err := c.cfg.Credentials.Retrieve(ctx); err != nil {
		return fmt.Errorf("find credentials: %w", err)
	}
	_, err := c.EC2.DescribeSnapshots(ctx, &ec2.DescribeSnapshotsInput{OwnerIds: []string{"self"}, DryRun: aws.Bool(true)})
	if err == nil || Code(err) == "DryRunOperation" {
		return nil
	}
	return fmt.Errorf("try the credentials in %s: %w", c.Region, err)
}

// shared are the options of whatever reads the configuration.
func shared(o Options) []func(*config.LoadOptions) error {
	options := []func(*config.LoadOptions) error{config.WithLogger(logging.Nop{})}
	if o.Profile != "" {
		options = append(options, config.WithSharedConfigProfile(o.Profile))
	}
	return options
}

// metadata returns what asks instance metadata, by its version 2 alone.
func metadata(ctx context.Context, o Options) (*imds.Client, error) {
	cfg, err := config.LoadDefaultConfig(ctx, shared(o)...)
	if err != nil {
		return nil, fmt.Errorf("read the configuration of the AWS SDK: %w", err)
	}
	return imds.NewFromConfig(cfg, func(o *imds.Options) { o.EnableFallback = aws.FalseTernary }), nil
}

// source says what has named the region.
func source(o Options, from []any) string {
	if o.Region != "" {
		return "--region"
	}
	for _, s := range from {
		switch s := s.(type) {
		case config.EnvConfig:
			if s.Region != "" {
				return "the environment"
			}
		case config.SharedConfig:
			if s.Region != "" {
				return "the AWS configuration"
			}
		}
	}
	return "this instance's metadata"
}

// In returns the same account in another region. Calls are counted together.
func (c *Cloud) In(region string) *Cloud {
	cfg := c.cfg.Copy()
	cfg.Region = region
	return &Cloud{EC2: ec2.NewFromConfig(cfg), Blocks: ebs.NewFromConfig(cfg), Quotas: servicequotas.NewFromConfig(cfg), Region: region, Source: "its name", cfg: c.cfg, calls: c.calls}
}

// Calls returns how often each operation was attempted, retries included, by its name in IAM policies: "ec2:CreateSnapshots".
func (c *Cloud) Calls() map[string]uint64 {
	c.calls.mu.Lock()
	defer c.calls.mu.Unlock()
	return maps.Clone(c.calls.count)
}

func (c *calls) register(s *middleware.Stack) error {
	return s.Finalize.Add(middleware.FinalizeMiddlewareFunc("nightjarCalls", func(ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler) (middleware.FinalizeOutput, middleware.Metadata, error) {
		service := "ec2:"
		switch middleware.GetServiceID(ctx) {
		case ebs.ServiceID:
			service = "ebs:"
		case servicequotas.ServiceID:
			service = "servicequotas:"
		}
		c.mu.Lock()
		c.count[service+middleware.GetOperationName(ctx)]++
		c.mu.Unlock()
		return next.HandleFinalize(ctx, in)
	}), middleware.After) // after the retries' own
}

// Once has a call of EC2 made in one attempt.
func Once(o *ec2.Options) { o.Retryer = aws.NopRetryer{} }

// Code returns EC2's code of an error, such as "InvalidSnapshot.InUse"; empty: it has none.
func Code(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return ""
}
