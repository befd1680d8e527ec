package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"

	"github.com/google/renameio/v2"
	"github.com/spf13/cobra"
)

func newBackupCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "backup FILE",
		Short: "Copy the live state to a file",
		Long: `Copy the live state to a new file, mode 0600, while the daemon runs or without it. The
file appears whole or not at all; one that is there already is never replaced. It holds
ids, requests and history, and no secret.`,
		Args: exactly(1, "the file to write"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if _, err := os.Lstat(args[0]); err == nil {
				return &usageError{fmt.Sprintf("%s is there already and is not replaced", args[0]), "give a name that is free, such as one with the date"}
			}
			return a.with(cmd.Context(), need{}, func(c *reach) error {
				n, err := writeWhole(args[0], func() (io.ReadCloser, error) {
					res, err := c.do(cmd.Context(), http.MethodGet, "/backup", nil, nil)
					if err != nil {
						return nil, err
					}
					return res.Body, nil
				})
				var wrong *usageError
				switch {
				case errors.As(err, &wrong):
					return err
				case err != nil:
					return fmt.Errorf("writing the backup %s: %w", args[0], err)
				}
				if a.machine() {
					return a.document(backedUp{Backup: args[0], Bytes: n})
				}
				_, err = fmt.Fprintf(a.out, "%s: %d bytes\n", args[0], n)
				return err
			})
		},
	}
}

// backedUp is what the command prints as JSON.
type backedUp struct {
	Backup string `json:"backup"`
	Bytes  int64  `json:"bytes"`
}

// writeWhole writes a file that appears whole or not at all, and is on the disk
// when it returns: the file is synced, renamed, and its folder synced. What goes
// into it is asked for once it can be written.
func writeWhole(path string, ask func() (io.ReadCloser, error)) (n int64, err error) {
	f, err := renameio.NewPendingFile(path, renameio.WithPermissions(0o600), renameio.WithTempDir(filepath.Dir(path)))
	if err != nil {
		return 0, cannotMake(path, err, "no backup was made")
	}
	defer func() { err = errors.Join(err, f.Cleanup()) }()
	r, err := ask()
	if err != nil {
		return 0, err
	}
	n, err = io.Copy(f, r)
	if err := errors.Join(err, r.Close()); err != nil {
		return n, err
	}
	if err := f.CloseAtomicallyReplace(); err != nil {
		return n, err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return n, err
	}
	return n, errors.Join(dir.Sync(), dir.Close())
}
