package prune

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/servicequotas"

	"nightjar/snapshot/cloud"
)

// The quota of snapshots per region, as Service Quotas names it, and what an account has that never asked for more.
const (
	quotaService = "ebs"
	quotaCode    = "L-309BACF6"
	DefaultQuota = 100_000
)

// A Usage is how much of the region's quota of snapshots the account has used.
type Usage struct {
	Used, Quota int
	Assumed     error // why Quota is DefaultQuota; nil: it is the account's
}

// High reports whether it is time to do something about it: at 80%.
func (u Usage) High() bool { return u.Used*5 >= u.Quota*4 }

// Measure counts all snapshots of the account in the region, whoever made them, a call for each thousand.
func Measure(ctx context.Context, c *cloud.Cloud) (Usage, error) {
	u := Usage{Quota: DefaultQuota}
	out, err := c.Quotas.GetServiceQuota(ctx, &servicequotas.GetServiceQuotaInput{ServiceCode: aws.String(quotaService), QuotaCode: aws.String(quotaCode)})
	switch {
	case ctx.Err() != nil:
		return u, ctx.Err()
	case err != nil:
		u.Assumed = fmt.Errorf("ask for the quota of snapshots in %s: %w", c.Region, err)
	case out.Quota == nil || aws.ToFloat64(out.Quota.Value) < 1:
		u.Assumed = fmt.Errorf("ask for the quota of snapshots in %s: the answer has none", c.Region)
	default:
		u.Quota = int(aws.ToFloat64(out.Quota.Value))
	}
	pages := ec2.NewDescribeSnapshotsPaginator(c.EC2, &ec2.DescribeSnapshotsInput{OwnerIds: []string{"self"}, MaxResults: aws.Int32(pageSize)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return u, fmt.Errorf("count the snapshots of %s: %w", c.Region, err)
		}
		u.Used += len(page.Snapshots)
	}
	return u, nil
}
