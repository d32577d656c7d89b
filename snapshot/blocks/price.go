package blocks

import "fmt"

// Calls are calls of the EBS direct APIs that cost money: retries that were answered with a block count, refused ones do not.
type Calls struct {
	Lists  uint64 // pages of lists
	Reads  uint64 // blocks
	Writes uint64 // blocks
}

// Plus returns both together.
func (c Calls) Plus(o Calls) Calls {
	return Calls{c.Lists + o.Lists, c.Reads + o.Reads, c.Writes + o.Writes}
}

// PriceYear is when the prices were looked up, in the page "Pricing for EBS direct APIs" of the EBS user guide.
const PriceYear = 2026

// US dollars of a thousand, as in us-east-1. Other regions differ by some tenths, up to double.
const (
	priceLists  = 0.0006
	priceReads  = 0.003
	priceWrites = 0.006
)

// Price is what calls cost in US dollars, as in us-east-1. Transfer to another region or out of Amazon, and the key service's calls, come on top.
func (c Calls) Price() float64 {
	return (float64(c.Lists)*priceLists + float64(c.Reads)*priceReads + float64(c.Writes)*priceWrites) / 1000
}

// Dollars is a price for people: to the cent, and small ones to their first digits.
func Dollars(price float64) string {
	switch {
	case price == 0:
		return "$0"
	case price < 0.0001:
		return "less than $0.0001"
	case price < 0.10:
		return fmt.Sprintf("$%.4f", price)
	}
	return fmt.Sprintf("$%.2f", price)
}
