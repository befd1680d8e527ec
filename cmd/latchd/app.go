package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	"latchd/config"
	"latchd/server"
)

// version is set at build time: -ldflags "-X main.version=1.2.3".
var version = ""

func versionText() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "development"
}

// app is one call of the program.
type app struct {
	stdin    io.Reader
	out, err io.Writer
	shared   *screen // err, once a bar or the log of this process uses it
	environ  []string
	stopped  func() bool // a signal came; nil = none can
	wrong    error       // help was asked for a command that there is not

	kind       string // the heading of the command in --help, groupLook and so on
	configFlag string
	output     string
	once       bool
	dryRun     bool
}

func (a *app) getenv(name string) string {
	for _, kv := range a.environ {
		if v, ok := strings.CutPrefix(kv, name+"="); ok {
			return v
		}
	}
	return ""
}

// configPath is the file to load; "" when the default one is not there and
// nobody named one, so that the environment alone may do.
func (a *app) configPath() string {
	path, explicit := config.Find(a.configFlag, a.getenv)
	if !explicit {
		if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
			return ""
		}
	}
	return path
}

func (a *app) load() (*config.Config, error) {
	path := a.configPath()
	cfg, err := config.Load(path, a.environ)
	var problems config.Problems
	if err != nil && !errors.As(err, &problems) {
		return nil, &usageError{message: err.Error()}
	}
	if problems.Denied() {
		return cfg, &deniedError{problems}
	}
	if err != nil && path == "" && onlyMissing(problems) {
		return nil, fmt.Errorf("there is no configuration file %s, and the environment does not hold all that is needed:\n%w", config.DefaultPath, err)
	}
	return cfg, err
}

// onlyMissing reports whether nothing is wrong but what is not there.
func onlyMissing(problems config.Problems) bool {
	for _, p := range problems {
		if !strings.HasPrefix(p.Message, "is missing") {
			return false
		}
	}
	return true
}

func init() { cobra.EnableCommandSorting = false } // --help lists commands in the order of newRoot

func newRoot(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:   "latchd",
		Short: "latchd keeps Stax Bill customers latched to Salesforce Accounts",
		Long: `latchd keeps Stax Bill customers latched to Salesforce Accounts.

Without a command it is the daemon, in the foreground: it runs on its schedule and
whenever a request arrives. With --once it makes one run and ends; while a daemon
runs, it asks that one for a run and waits for its end. --dry-run does everything but
the writes.

Every command works while the daemon runs and without it, but for restore, which wants
it stopped. The configuration is
--config, else $LATCHD_CONFIG, else ` + config.DefaultPath + `; every setting can be given in the
environment (docs/configuration.md).

` + exitHelp(),
		Args:          noArgs,
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case a.dryRun && !a.once:
				return &usageError{"--dry-run goes with --once", "latchd --once --dry-run"}
			case a.once:
				return a.runOnce(cmd.Context())
			}
			return a.daemon(cmd.Context())
		},
	}
	root.PersistentFlags().StringVar(&a.configFlag, "config", "", "the configuration `FILE`")
	root.PersistentFlags().StringVar(&a.output, "output", "table", "print results as this `FORM`: table, json, ndjson or csv")
	completes(root, "output", []string{"table", "json", "ndjson", "csv"})
	root.Flags().BoolVar(&a.once, "once", false, "make one run and end")
	root.Flags().BoolVar(&a.dryRun, "dry-run", false, "with --once: everything but the writes")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return &usageError{flagText(cmd, err), "see " + cmd.CommandPath() + " --help"}
	})
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error {
		a.kind = kindOf(cmd)
		switch a.output {
		case "csv":
			if _, ok := cmd.Annotations[lists]; !ok {
				return usage("%s prints one record and no list: --output json, not csv", cmd.CommandPath())
			}
		case "table", "json", "ndjson":
		default:
			return usage("--output is none of table, json, ndjson, csv")
		}
		return nil
	}
	root.Version = versionText()
	root.SetVersionTemplate("latchd {{.Version}}\n")
	root.SuggestionsMinimumDistance = 2
	root.SetHelpCommand(newHelpCommand())
	grouped(root, groupLook, "To look:", newStatusCommand(a), newWhyCommand(a), newPlanCommand(a), newRunsCommand(a),
		newHistoryCommand(a), newMappingCommand(a), newAuditCommand(a))
	grouped(root, groupAct, "To act:", newRequestCommand(a), newApproveCommand(a), newRejectCommand(a), newPauseCommand(a),
		newResumeCommand(a), newUndoCommand(a))
	grouped(root, "keep", "To set up and keep:", newConfigCommand(a), newDoctorCommand(a), newBackupCommand(a), newRestoreCommand(a))
	grouped(root, "try", "To try out:", newDemoCommand(), newSandboxCommand(a), newSelftestCommand(a))
	root.AddCommand(newVersionCommand(a), a.manCommand(root))
	root.SetIn(a.stdin)
	root.SetOut(a.out)
	root.SetErr(a.err)
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	for _, sub := range root.Commands() {
		if sub.Name() == "completion" {
			holdsOthers(sub)
		}
	}
	help := root.HelpFunc()
	root.SetHelpFunc(func(cmd *cobra.Command, args []string) {
		// --help goes ahead of the look at the words, which may name no command.
		if words := cmd.Flags().Args(); len(words) > 0 && cmd.HasSubCommands() {
			if a.wrong = cmd.ValidateArgs(words); a.wrong != nil {
				return
			}
		}
		help(cmd, args)
	})
	return root
}

// The headings whose commands only look, and whose commands change something.
const (
	groupLook = "look"
	groupAct  = "act"
)

// kindOf is the heading of a command; without one it is the daemon or a run.
func kindOf(cmd *cobra.Command) string {
	if !cmd.HasParent() {
		return groupAct
	}
	for cmd.Parent().HasParent() {
		cmd = cmd.Parent()
	}
	return cmd.GroupID
}

// grouped adds commands under a heading of their own in --help.
func grouped(root *cobra.Command, id, title string, subs ...*cobra.Command) {
	root.AddGroup(&cobra.Group{ID: id, Title: title})
	for _, sub := range subs {
		sub.GroupID = id
	}
	root.AddCommand(subs...)
}

// completes tells shells which words a flag takes.
func completes[T ~string](cmd *cobra.Command, flag string, words []T) {
	choices := make([]cobra.Completion, len(words))
	for i, w := range words {
		choices[i] = cobra.Completion(w)
	}
	err := cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(choices, cobra.ShellCompDirectiveNoFileComp))
	if err != nil {
		panic(err) // the flag is not there: a fault of the program, which any test shows
	}
}

// lists marks a command that prints records, so that they have a form as CSV.
const lists = "lists"

// listed marks a command so.
func listed(cmd *cobra.Command) *cobra.Command {
	cmd.Annotations = map[string]string{lists: ""}
	return cmd
}

// noArgs refuses words behind a command; on the root they are a command that
// there is not.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	if !cmd.HasParent() || cmd.HasSubCommands() {
		return unknownCommand(cmd, args[0])
	}
	return takesNo(cmd, args[0])
}

func unknownCommand(cmd *cobra.Command, word string) error {
	hint := "see " + cmd.CommandPath() + " --help"
	if near := cmd.SuggestionsFor(word); len(near) > 0 {
		hint = "did you mean " + cmd.CommandPath() + " " + near[0] + "?"
	}
	return &usageError{fmt.Sprintf("there is no command %q", strings.TrimPrefix(cmd.CommandPath()+" "+word, "latchd ")), hint}
}

// group is a command that only holds others.
func group(use, short string, subs ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short}
	cmd.AddCommand(subs...)
	holdsOthers(cmd)
	return cmd
}

// holdsOthers makes a call of the command itself, or of one that it does not
// hold, wrong usage.
func holdsOthers(cmd *cobra.Command) {
	cmd.Args = noArgs
	cmd.SuggestionsMinimumDistance = 2
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cmd.SetOut(cmd.ErrOrStderr()) // results alone go to standard output
		if err := cmd.Help(); err != nil {
			return err
		}
		return status(exitUsage)
	}
}

// exactly asks for n words.
func exactly(n int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) > n {
			return takesNo(cmd, args[n])
		}
		if len(args) < n {
			return &usageError{fmt.Sprintf("%s wants %s", cmd.CommandPath(), what), "see " + cmd.CommandPath() + " --help"}
		}
		return nil
	}
}

func takesNo(cmd *cobra.Command, word string) error {
	return &usageError{fmt.Sprintf("%s takes no %q", cmd.CommandPath(), word), "see " + cmd.CommandPath() + " --help"}
}

// newHelpCommand is cobra's, but for an unknown command being wrong usage.
func newHelpCommand() *cobra.Command {
	help := &cobra.Command{
		Use: "help [COMMAND]", Short: "Tell about a command, or about exit-status",
		RunE: func(cmd *cobra.Command, args []string) error {
			of, rest, err := cmd.Root().Find(args)
			switch {
			case err != nil:
				return unknownCommand(cmd.Root(), strings.Join(args, " "))
			case len(rest) > 0:
				return unknownCommand(of, rest[0])
			}
			return of.Help()
		},
	}
	help.AddCommand(&cobra.Command{
		Use: "exit-status", Short: "Tell what the exit statuses mean", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprint(cmd.OutOrStdout(), exitHelp())
			return err
		},
	})
	return help
}

func newVersionCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			if a.machine() {
				return a.document(server.Version{Version: versionText()})
			}
			fmt.Fprintf(a.out, "latchd %s\n", versionText())
			return nil
		},
	}
}
