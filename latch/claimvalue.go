package latch

import (
	"crypto/sha256"
	"encoding/hex"
	"math"
	"strconv"
	"strings"
)

// Why a value is no customer id; none quotes it, since it can be anything that a
// person typed.
const (
	badForm     = "it is no whole number"
	badFraction = "it is a number with a fraction"
	badSign     = "it is not above 0"
	badSize     = "it is larger than any customer id"
	badPrecise  = "it is larger than a Number field holds exactly; use a Text field"
	badType     = "it is neither text nor a number"
)

// maxExact is the largest whole number up to which a float64 holds each one.
const maxExact = 1 << 53

// ReadClaim reads what an account's field carries: a customer id as text or as a
// number, white space around it aside; nil and blank text are an empty field.
// Anything else is a claim that is Bad.
func ReadClaim(account PackedAccountID, value any) Claim {
	c := Claim{Account: account}
	switch v := value.(type) {
	case nil:
	case string:
		c.Customer, c.Bad = claimText(strings.TrimSpace(v))
		c.mark(v)
	case float64:
		c.Customer, c.Bad = claimNumber(v)
		c.mark(strconv.FormatFloat(v, 'g', -1, 64))
	default:
		c.Bad = badType
	}
	return c
}

// mark keeps by what a bad value is known again.
func (c *Claim) mark(value string) {
	if c.Bad != "" {
		sum := sha256.Sum256([]byte(value))
		c.Value = hex.EncodeToString(sum[:8])
	}
}

func claimText(text string) (CustomerID, string) {
	if text == "" {
		return 0, ""
	}
	if id, err := ParseCustomerID(text); err == nil {
		return id, ""
	}
	digits := strings.TrimLeft(text, "+-")
	whole, fraction, dotted := strings.Cut(digits, ".")
	switch {
	case !onlyDigits(whole) || dotted && !onlyDigits(fraction) || len(text)-len(digits) > 1:
		return 0, badForm
	case strings.HasPrefix(text, "-") || strings.Trim(digits, "0.") == "":
		return 0, badSign
	case dotted && strings.Trim(fraction, "0") != "":
		return 0, badFraction
	case !dotted && digits == text:
		return 0, badSize
	}
	return 0, badForm // "+5" and "5.0" are how another thing writes it, not a person
}

func onlyDigits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

func claimNumber(n float64) (CustomerID, string) {
	switch {
	case math.IsNaN(n) || n <= 0:
		return 0, badSign
	case n >= math.MaxInt64:
		return 0, badSize
	case n != math.Trunc(n):
		return 0, badFraction
	case n > maxExact-1:
		return 0, badPrecise
	}
	return CustomerID(n), ""
}
