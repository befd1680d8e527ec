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
	// Denied says that it is not known: what is to be kept secret may not be read
	// by the user of this process.
	Denied bool
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

// Unread reports whether nothing is wrong but that secrets cannot be read from
// here: the service that has them may find all of it right.
func (p Problems) Unread() bool {
	return !slices.ContainsFunc(p, func(one Problem) bool { return !one.Elsewhere && !one.Denied })
}

// Denied reports whether nothing is wrong but that, and the rights of this
// process's user are what keeps some of them from it.
func (p Problems) Denied() bool {
	return p.Unread() && slices.ContainsFunc(p, func(one Problem) bool { return one.Denied })
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
