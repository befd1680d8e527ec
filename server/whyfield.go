package server

import (
	"context"
	"fmt"
	"strings"

	"latchd/latch"
)

// maxClaimants bounds how many accounts a story names that carry one customer's id.
const maxClaimants = 10

// accountField says what an account asks for by its field, "" for nothing.
func (s *Server) accountField(ctx context.Context, id latch.AccountID) (string, error) {
	c, found, err := s.store.ClaimOf(ctx, id)
	switch {
	case err != nil:
		return "", fmt.Errorf("telling what the field of account %s asks for: %w", id, err)
	case !found:
		return "", nil
	case c.Claim.Bad != "":
		return fmt.Sprintf(" The field of salesforce.request_field carries no customer id there, seen since %s: %s.", clock(c.Since), c.Claim.Bad), nil
	}
	return fmt.Sprintf(" The field of salesforce.request_field carries customer %d there, seen since %s.", c.Claim.Customer, clock(c.Since)), nil
}

// customerField says which accounts ask for a customer by their field, "" for none.
func (s *Server) customerField(ctx context.Context, id latch.CustomerID) (string, error) {
	claims, err := s.store.Claimants(ctx, id, maxClaimants+1)
	if err != nil {
		return "", fmt.Errorf("telling which accounts carry customer %d in their field: %w", id, err)
	}
	var names []string
	for _, c := range claims[:min(len(claims), maxClaimants)] {
		account, _ := c.Claim.Account.AccountID() // it is one: it was pulled
		names = append(names, string(account))
	}
	switch {
	case len(claims) == 0:
		return "", nil
	case len(claims) == 1:
		return fmt.Sprintf(" Account %s carries it in the field of salesforce.request_field, seen since %s.", names[0], clock(claims[0].Since)), nil
	case len(claims) > maxClaimants:
		names = append(names, "and more")
	}
	return fmt.Sprintf(" More than one account carries it in the field of salesforce.request_field: %s.", strings.Join(names, ", ")), nil
}
