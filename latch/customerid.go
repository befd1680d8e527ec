package latch

import (
	"fmt"
	"strconv"
)

// CustomerID is the fusebillId of a Stax Bill customer, a positive integer. The
// zero value means "no customer".
type CustomerID int64

// ParseCustomerID reads a customer id: decimal digits only, at least 1, at most
// 2^63-1.
func ParseCustomerID(s string) (CustomerID, error) {
	if s == "" {
		return 0, fmt.Errorf("the customer id is empty")
	}
	for _, c := range s {
		if c < '0' || c > '9' {
			return 0, fmt.Errorf("%q is no customer id: digits only, such as 93132", clip(s, 40))
		}
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%q is no customer id: it is larger than any that Stax Bill gives", clip(s, 40))
	}
	if n == 0 {
		return 0, fmt.Errorf("%q is no customer id: they begin at 1", clip(s, 40))
	}
	return CustomerID(n), nil
}

func (c CustomerID) String() string { return strconv.FormatInt(int64(c), 10) }
