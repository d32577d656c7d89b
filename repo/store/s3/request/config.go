package request

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"regexp"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go/logging"
)

// Endpoint returns the URL of the server that a store with these options is on, by whatever names it: the options, the environment or a profile of the
// SDK's configuration. It is "" for Amazon's, and asks nobody. Two spellings of one URL are the same.
func Endpoint(ctx context.Context, o Options) (string, error) {
	cfg, err := load(ctx, &o)
	return aws.ToString(cfg.BaseEndpoint), err
}

// load reads the SDK's configuration, which decides what o leaves open. A profile that o names goes before the environment, which is another store's.
func load(ctx context.Context, o *Options) (aws.Config, error) {
	options := []func(*config.LoadOptions) error{config.WithHTTPClient(httpClient(*o)), config.WithLogger(logging.Nop{})}
	env, err := config.NewEnvConfig()
	if err != nil {
		return aws.Config{}, misconfigured("%v", err)
	}
	bundle := env.CustomCABundle
	var own config.SharedConfig
	if o.Profile != "" {
		if own, err = profile(ctx, o.Profile, &env); err != nil {
			return aws.Config{}, misconfigured("%v", err)
		}
		options = append(options, config.WithSharedConfigProfile(o.Profile), config.WithRegion(own.Region))
		if own.CustomCABundle != "" {
			bundle = own.CustomCABundle
			pem, err := os.ReadFile(bundle)
			if err != nil {
				return aws.Config{}, misconfigured("ca_bundle of profile %s: %v", o.Profile, err)
			}
			options = append(options, config.WithCustomCABundle(bytes.NewReader(pem)))
		}
	}
	cfg, err := config.LoadDefaultConfig(ctx, options...)
	var path *fs.PathError
	switch {
	case err != nil && bundle != "" && (errors.As(err, &path) && path.Path == bundle || strings.Contains(err.Error(), "CA bundle")):
		return aws.Config{}, misconfigured("the CA file %s (AWS_CA_BUNDLE, or ca_bundle of a profile): %v", bundle, err)
	case err != nil:
		return aws.Config{}, misconfigured("%v", err)
	case cfg.RetryMaxAttempts < 0:
		return aws.Config{}, misconfigured("AWS_MAX_ATTEMPTS or max_attempts is %d", cfg.RetryMaxAttempts)
	}
	cfg.Region = cmp.Or(o.Region, cfg.Region)
	if cfg.Region != "" && !regionName.MatchString(cfg.Region) {
		return aws.Config{}, misconfigured("%q is no region (--region, AWS_REGION, AWS_DEFAULT_REGION, or region of a profile)", cfg.Region)
	}
	endpoint := o.Endpoint
	if endpoint == "" {
		endpoint = configuredEndpoint(ctx, cfg, o.Profile == "")
		if err := checkEndpoint(endpoint); err != nil {
			return aws.Config{}, misconfigured("AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, or endpoint_url of a profile: %v", err)
		}
	} else if err := checkEndpoint(endpoint); err != nil {
		return aws.Config{}, err
	}
	cfg.BaseEndpoint = nil
	if endpoint != "" {
		cfg.BaseEndpoint = aws.String(normal(endpoint))
	}
	return cfg, nil
}

// profile reads one profile, from the files that the environment names.
func profile(ctx context.Context, name string, env *config.EnvConfig) (config.SharedConfig, error) {
	return config.LoadSharedConfigProfile(ctx, name, func(o *config.LoadSharedConfigOptions) {
		if env.SharedConfigFile != "" {
			o.ConfigFiles = []string{env.SharedConfigFile}
		}
		if env.SharedCredentialsFile != "" {
			o.CredentialsFiles = []string{env.SharedCredentialsFile}
		}
	})
}

// configuredEndpoint is what the SDK's configuration names, in the order that Amazon documents: the environment first, each for S3 before each for all
// services. Of a profile that was named it is what that says, since the environment is about another store.
func configuredEndpoint(ctx context.Context, cfg aws.Config, environment bool) string {
	if ignored, found, err := config.GetIgnoreConfiguredEndpoints(ctx, cfg.ConfigSources); err == nil && found && ignored {
		return ""
	}
	var env config.EnvConfig
	var own config.SharedConfig
	for _, source := range cfg.ConfigSources {
		switch x := source.(type) {
		case config.EnvConfig:
			env = x
		case config.SharedConfig:
			own = x
		}
	}
	if environment {
		if endpoint, found, _ := env.GetServiceBaseEndpoint(ctx, s3.ServiceID); found { // it never fails
			return endpoint
		}
		if env.BaseEndpoint != "" {
			return env.BaseEndpoint
		}
	}
	if endpoint, found, _ := own.GetServiceBaseEndpoint(ctx, s3.ServiceID); found {
		return endpoint
	}
	return own.BaseEndpoint
}

// normal writes the same URL always in the same way.
func normal(endpoint string) string {
	u, err := url.Parse(endpoint)
	if err != nil {
		return endpoint
	}
	u.Host = strings.ToLower(u.Host)
	if port := u.Port(); port == "80" && u.Scheme == "http" || port == "443" && u.Scheme == "https" {
		u.Host = strings.TrimSuffix(u.Host, ":"+port)
	}
	u.Path = strings.TrimRight(u.Path, "/")
	return u.String()
}

var regionName = regexp.MustCompile(`^[a-zA-Z0-9-]{1,63}$`)

func misconfigured(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrConfiguration, clean(fmt.Sprintf(format, args...)))
}

// Configure returns the SDK's configuration for a server, and makes sure that there are credentials before anything is asked with
// them. It sets what o leaves open. No region is set where none is named: see DefaultRegion.
func Configure(ctx context.Context, o *Options) (aws.Config, error) {
	if err := o.setDefaults(); err != nil {
		return aws.Config{}, err
	}
	cfg, err := load(ctx, o)
	if err != nil {
		return cfg, err
	}
	o.MaxAttempts = cmp.Or(o.MaxAttempts, cfg.RetryMaxAttempts, defaultAttempts)
	cfg.Retryer = func() aws.Retryer { return retryer(*o) }
	chain := cfg.Credentials
	// The SDK's own cache stands before it, and refreshes what expires.
	cfg.Credentials = aws.CredentialsProviderFunc(func(ctx context.Context) (aws.Credentials, error) {
		c, err := chain.Retrieve(ctx)
		if err != nil && ctx.Err() == nil {
			err = fmt.Errorf("%w: %s", ErrCredentials, clean(err.Error()))
		}
		return c, err
	})
	_, err = cfg.Credentials.Retrieve(ctx)
	return cfg, err
}
