package main

import (
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// manCommand writes the manual pages, for those who build packages. They come
// out of the same texts as --help.
func (a *app) manCommand(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use: "man FOLDER", Short: "Write the manual pages into a folder", Hidden: true,
		Long: "Write the manual pages into a folder, which is made where it is not there.", Args: exactly(1, "a folder"),
		RunE: func(_ *cobra.Command, args []string) error {
			if err := os.MkdirAll(args[0], 0o755); err != nil {
				return fmt.Errorf("making the folder for the manual pages: %w", err)
			}
			root.DisableAutoGenTag = true
			epoch := time.Unix(0, 0).UTC() // the same pages whenever they are made
			header := &doc.GenManHeader{Section: "1", Date: &epoch, Source: "latchd " + versionText(), Manual: "latchd"}
			if err := doc.GenManTree(root, header, args[0]); err != nil {
				return fmt.Errorf("writing the manual pages into %s: %w", args[0], err)
			}
			made := manual{Folder: args[0], Pages: manPages(root)}
			if a.machine() {
				return a.document(made)
			}
			_, err := fmt.Fprintf(a.out, "%s: %s\n", made.Folder, plural(made.Pages, "manual page"))
			return err
		},
	}
}

// manual is what the command prints as JSON.
type manual struct {
	Folder string `json:"folder"`
	Pages  int    `json:"pages"`
}

// manPages counts the pages of a command and of those below it, as they are made.
func manPages(cmd *cobra.Command) int {
	n := 1
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() && !sub.IsAdditionalHelpTopicCommand() {
			n += manPages(sub)
		}
	}
	return n
}
