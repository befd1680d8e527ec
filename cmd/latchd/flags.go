package main

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"latchd/server"
)

// asFlag calls what latchd finds wrong with a parameter by the name that it has on
// the command line: the API has since, a command --since.
func asFlag(cmd *cobra.Command, err error) error {
	var remote *server.Error
	if !errors.As(err, &remote) || remote.Kind != server.KindUsage {
		return err
	}
	name, _, found := strings.Cut(remote.Message, " wants ")
	if !found || strings.Contains(name, " ") || cmd.Flags().Lookup(name) == nil {
		return err
	}
	named := *remote
	named.Message = "--" + remote.Message
	return &named
}

var badFlag = regexp.MustCompile(`^invalid argument .* for "(?:-., )?--([a-z-]+)" flag: `)

// flagText says what is wrong with a flag, in words that are not a library's.
func flagText(cmd *cobra.Command, err error) string {
	var bad interface{ GetValue() string }
	name := badFlag.FindStringSubmatch(err.Error())
	if !errors.As(err, &bad) || name == nil {
		return err.Error()
	}
	wants := ""
	switch cmd.Flags().Lookup(name[1]).Value.Type() {
	case "int":
		wants = "a whole number"
	case "uint64":
		wants = "a whole number from 0 on"
	case "bool":
		wants = "true or false"
	default:
		return err.Error()
	}
	return fmt.Sprintf("--%s wants %s, not %q", name[1], wants, bad.GetValue())
}
