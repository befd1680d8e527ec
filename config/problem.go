package config

import (
	"fmt"
	"slices"
	"strings"
)

// Problem is one thing that is wrong, where, and what would be right. It never
// quotes the file.
type Problem struct {
	File         string // "" for the environment
	Line, Column int    // 0 = not in one place
	Field        string // the path of the setting, or the name of the variable
	Message      string
	// Elsewhere says that it is no fault of the configuration: a secret comes from
	// systemd, which passes it to the service and to nobody else.
	Elsewhere bool
}

func (p Problem) String() string {
	var b strings.Builder
	if p.File != "" {
		b.WriteString(p.File)
		if p.Line > 0 {
			fmt.Fprintf(&b, ":%d:%d", p.Line, p.Column)
		}
		b.WriteString(": ")
	}
	if p.Field != "" {
		b.WriteString(p.Field + ": ")
	}
	return b.String() + p.Message
}

// Problems are all that is wrong with a configuration, in the order of the file.
type Problems []Problem

func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i, one := range p {
		lines[i] = one.String()
	}
	return strings.Join(lines, "\n")
}

// Elsewhere reports whether all of it is right where the service runs.
func (p Problems) Elsewhere() bool {
	return !slices.ContainsFunc(p, func(one Problem) bool { return !one.Elsewhere })
}

func (p Problems) sorted() Problems {
	slices.SortStableFunc(p, func(a, b Problem) int {
		if (a.File == "") != (b.File == "") {
			if a.File == "" {
				return 1
			}
			return -1
		}
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return a.Column - b.Column
	})
	return p
}
