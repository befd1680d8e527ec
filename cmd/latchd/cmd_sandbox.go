package main

import (
	"fmt"
	"net"
	"strings"

	"github.com/spf13/cobra"

	"latchd/sandbox"
)

func newSandboxCommand(a *app) *cobra.Command {
	var listen, limits string
	var accounts, customers, latchedEvery int
	var seed uint64
	cmd := &cobra.Command{
		Use:   "sandbox",
		Short: "Serve a Salesforce org and a Stax Bill account on loopback, to try settings out",
		Long: `Serve a Salesforce org and a Stax Bill account on loopback until stopped, and print the
settings that reach them. The same seed gives the same org. GET /-/sandbox/ on its
address prints how to switch what the public documentation leaves open, ask for faults,
latch customers by hand, and read the ledger of every call and effect.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			host, _, err := net.SplitHostPort(listen)
			if err != nil {
				return usage("--listen wants an address and a port, such as 127.0.0.1:8712")
			}
			if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
				return usage("--listen takes loopback addresses alone: the sandbox asks for no key on its control paths")
			}
			box, err := sandbox.New(sandbox.Options{Accounts: accounts, Customers: customers, LatchedEvery: latchedEvery, Seed: seed, Limits: limits})
			if err != nil {
				return usage("%s", strings.TrimPrefix(err.Error(), "sandbox: "))
			}
			l, err := net.Listen("tcp", listen)
			if err != nil {
				return fmt.Errorf("serving the sandbox on %s: %w", listen, err)
			}
			base := "http://" + l.Addr().String()
			fmt.Fprintf(a.out, "# %d accounts, %d customers; the first customer is %d, the first account %s\n", accounts, customers, box.CustomerID(0), box.AccountID(0))
			if customers > 1 && accounts > 1 && latchedEvery != 1 {
				fmt.Fprintf(a.out, "# a latch to try: latchd request add %d %s\n", box.CustomerID(1), box.AccountID(1))
			}
			for _, s := range box.Settings(base) {
				fmt.Fprintf(a.out, "export %s='%s'\n", s.Name, s.Value)
			}
			fmt.Fprintf(a.err, "the sandbox serves on %s; %s/-/sandbox/ tells how to steer it\n", base, base)
			return box.Serve(cmd.Context(), l)
		},
	}
	cmd.Flags().StringVar(&listen, "listen", "127.0.0.1:8712", "the `ADDRESS`:PORT to serve on; port 0 picks a free one")
	cmd.Flags().IntVar(&accounts, "accounts", 10_000, "accounts in the org")
	cmd.Flags().IntVar(&customers, "customers", 2_000, "customers in Stax Bill")
	cmd.Flags().IntVar(&latchedEvery, "latched-every", 4, "of the customers each `N`th is latched from the beginning")
	cmd.Flags().Uint64Var(&seed, "seed", 1, "the same seed gives the same org")
	cmd.Flags().StringVar(&limits, "limits", "none", "rate limits of Stax Bill: live, test or none")
	return cmd
}
