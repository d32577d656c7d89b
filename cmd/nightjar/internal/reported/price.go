package reported

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"nightjar/internal/human"
	"nightjar/job/report"
)

// Standard is the storage class of objects for which none is chosen.
const Standard = "STANDARD"

// listed has Amazon's list prices, USD for keeping 10⁹ × 1.073741824 bytes (a GiB, which it calls a GB) for a month in us-east-1 and, within a tenth, in eu-west-1:
// https://aws.amazon.com/s3/pricing/, the first 50 TB. Requests and traffic come on top.
var listed = map[string]float64{
	Standard: 0.023, "INTELLIGENT_TIERING": 0.023, "STANDARD_IA": 0.0125, "ONEZONE_IA": 0.01, "GLACIER_IR": 0.004, "GLACIER": 0.0036, "DEEP_ARCHIVE": 0.00099,
}

// Prices say what keeping objects costs.
type Prices struct {
	Class func(kind string) string // the storage class of a kind of objects; empty: Standard
	each  map[string]float64       // by class, USD a GiB and month
	own   bool                     // somebody named some
}

// ParsePrices returns the list prices, with those in their place that are given as CLASS=USD, a GiB and month.
func ParsePrices(given []string, class func(kind string) string) (*Prices, error) {
	p := &Prices{Class: class, each: maps.Clone(listed), own: len(given) > 0}
	for _, text := range given {
		name, amount, ok := strings.Cut(text, "=")
		usd, err := strconv.ParseFloat(amount, 64)
		if !ok || name == "" || err != nil || usd < 0 || math.IsInf(usd, 0) || math.IsNaN(usd) {
			return nil, fmt.Errorf("price %q: write CLASS=USD, for a GiB and month, such as STANDARD_IA=0.0125", text)
		}
		p.each[name] = usd
	}
	return p, nil
}

// of returns what a month costs; nil: a class has no price.
func (p *Prices) of(objects []report.Objects) *report.Cost {
	bytes := map[string]uint64{}
	for _, o := range objects {
		bytes[cmp.Or(p.Class(o.Kind), Standard)] += o.Bytes
	}
	c := &report.Cost{}
	var words []string
	for _, class := range slices.Sorted(maps.Keys(bytes)) {
		price, ok := p.each[class]
		if !ok {
			return nil
		}
		c.Amount += price * float64(bytes[class]) / (1 << 30)
		words = append(words, fmt.Sprintf("%s in %s at %g USD a GiB", human.Size(bytes[class]), class, price))
	}
	source := "Amazon's list prices of 2026, without requests and traffic"
	if p.own {
		source = "the prices that were given, without requests and traffic"
	}
	c.Basis = strings.Join(words, ", ") + "; " + source + "."
	return c
}
