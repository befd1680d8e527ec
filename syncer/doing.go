package syncer

import (
	"fmt"
	"strings"

	"latchd/sfclient"
	"latchd/staxbill"
)

// doing says what was being done when err came. An error of a service says that
// itself: where it begins with the same word, nothing is said twice.
func doing(what string, err error) error {
	op := ""
	switch e := err.(type) {
	case *sfclient.Error:
		op = e.Error()
	case *staxbill.Error:
		op = strings.TrimPrefix(e.Error(), "Stax Bill: ")
	}
	if verb, _, _ := strings.Cut(what, " "); strings.HasPrefix(op, verb+" ") {
		return err
	}
	return fmt.Errorf("%s: %w", what, err)
}
