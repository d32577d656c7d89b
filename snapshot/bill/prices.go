package bill

import (
	"fmt"
	"maps"
	"math"
	"strconv"
	"strings"
)

// listed has Amazon's list prices of regions, USD for a GiB (which it calls a GB) and month in the standard tier: https://aws.amazon.com/ebs/pricing/, as of 2026. In
// all of them the archive tier costs a quarter. Of other regions none is assumed.
var listed = map[string]float64{
	"us-east-1": 0.05, "us-east-2": 0.05, "us-west-2": 0.05, "eu-west-1": 0.05, "eu-west-2": 0.053, "eu-central-1": 0.054, "ap-northeast-1": 0.05, "ap-northeast-2": 0.05,
}

// Prices are in USD for a GiB and month, by region, and for the archive tier by REGION:archive.
type Prices map[string]float64

// ParsePrices returns the list prices, with those in their place that are given as REGION=USD or REGION:archive=USD.
func ParsePrices(given []string) (Prices, error) {
	p := maps.Clone(Prices(listed))
	for region, usd := range listed {
		p[region+":"+Archive] = usd / 4
	}
	for _, text := range given {
		name, amount, ok := strings.Cut(text, "=")
		usd, err := strconv.ParseFloat(amount, 64)
		region, tier, tiered := strings.Cut(name, ":")
		if !ok || region == "" || tiered && tier != Archive || err != nil || math.IsNaN(usd) || usd < 0 || usd > 1000 {
			return nil, fmt.Errorf("price %q: write REGION=USD or REGION:archive=USD, for a GiB and month, such as sa-east-1=0.068", text)
		}
		p[name] = usd
	}
	return p, nil
}

// Of returns the price of a region's tier, if there is one.
func (p Prices) Of(region, tier string) (usd float64, ok bool) {
	if tier == Archive {
		region += ":" + Archive
	}
	usd, ok = p[region]
	return usd, ok
}
