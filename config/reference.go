package config

import (
	"fmt"
	"strings"
)

// Reference is docs/configuration.md, made from the table of settings.
func Reference() string {
	var b strings.Builder
	b.WriteString(`# Configuration

<!-- Made from config/fields.go: go test ./config -update -->

latchd reads one YAML file: ` + "`--config FILE`, else `$LATCHD_CONFIG`, else `" + DefaultPath + "`" + `.
[config.example.yaml](../config.example.yaml) is a complete one. ` + "`latchd config check`" + ` says
what is wrong, all of it at once, with line and column, and never quotes the file.
[config.schema.json](../config.schema.json) describes the file for editors: with the YAML
language server, ` + "`# yaml-language-server: $schema=PATH/config.schema.json`" + ` as its first line.

Every setting can be given in the environment, which wins over the file; a variable
that begins with LATCHD_ and names no setting is an error. A secret is one of
` + "`{file: PATH}`, `{env: NAME}`, `{credential: NAME}`" + ` (systemd's LoadCredential), or, with a
warning, its plain value; in the environment, the name with ` + "`_FILE` or `_CREDENTIAL`" + ` appended
works too. Durations are written as Go does: 90s, 10m, 24h. Plain ` + "`http://`" + ` is taken only for
loopback addresses.

On SIGHUP (` + "`systemctl reload latchd`" + `) a daemon reads the file again, and the files of secrets. A
wrong configuration is refused and the one before stays. What is not taken over then waits
for a restart; the log's ` + "`config_reloaded`" + ` names what of it has changed since the start.
`)
	section := ""
	for _, f := range fields {
		if top, _, _ := strings.Cut(f.path, "."); top != section {
			section = top
			fmt.Fprintf(&b, "\n## %s\n\n| setting | in the environment | takes | default | a change takes effect | |\n|---|---|---|---|---|---|\n", section)
		}
		def := "none"
		if f.def != "" {
			def = "`" + f.def + "`"
		}
		fmt.Fprintf(&b, "| `%s` | `%s` | %s | %s | %s | %s |\n", f.path, variable(f.path), takes(f), def, f.when, strings.ReplaceAll(f.doc, "|", "\\|"))
	}
	b.WriteString("\n`server.api_keys` is a list, in the file only: `{name, key (a secret), role: latch or operator, allow_force}`.\nThe role latch may use the Latch endpoint ([latch-endpoint.md](latch-endpoint.md)), the role operator all that the socket may.\n`allow_force` lets a key of either role ask for `forceLatch`, which it may not without; an undo forces too. The list is taken over on SIGHUP, and so is a renewed certificate;\nwhether there is TLS at all changes with a restart alone.\n")
	return b.String()
}

// takes says what a setting takes, and from where to where.
func takes(f field) string {
	kind := strings.TrimPrefix(f.kind(), "a ")
	if f.check.bounds != "" {
		kind += ", from " + f.check.bounds
	}
	return kind
}
