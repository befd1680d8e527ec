package config

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"
)

// Schema is config.schema.json: a JSON Schema (2020-12) of the file, for editors,
// made from the table of settings. It takes every file that Load takes, but for
// numbers and true or false in quotes. Load is stricter: addresses, schedules and
// what settings mean together are for it to judge.
func Schema() []byte {
	root := section("")
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	root["title"] = "Configuration of latchd"
	root["$defs"] = map[string]any{"secret": secretSchema()}
	out, err := json.MarshalIndent(root, "", "  ")
	if err != nil {
		panic("config: the schema cannot be written: " + err.Error()) // maps and texts always can
	}
	return append(out, '\n')
}

// section describes the settings and sections below a path. A section whose
// lines are all commented out is null.
func section(path string) map[string]any {
	below := map[string]any{}
	for _, name := range childrenOf(path) {
		child := strings.TrimPrefix(path+"."+name, ".")
		switch f := fieldAt(child); {
		case child == listPath:
			below[name] = apiKeysSchema()
		case f == nil:
			below[name] = section(child)
		default:
			below[name] = f.schema()
		}
	}
	return map[string]any{"type": []string{"object", "null"}, "additionalProperties": false, "properties": below}
}

func (f *field) schema() map[string]any {
	s := map[string]any{"description": f.doc}
	switch f.at(&Config{}).(type) {
	case *int:
		s["type"] = []string{"integer", "null"}
		if f.def != "" {
			s["default"], _ = strconv.Atoi(f.def) // a test loads all defaults
		}
		if f.check.low != nil {
			s["minimum"], s["maximum"] = *f.check.low, *f.check.high
		}
	case *bool:
		s["type"] = []string{"boolean", "null"}
		s["default"] = f.def == "true"
	case *time.Duration:
		s["type"] = []string{"string", "integer", "null"} // a bare 0 is a duration
		s["pattern"] = `^[-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+|[0-9.]+(ns|us|µs|μs|ms|s|m|h))+$`
		s["default"] = f.def
	case *Secret:
		return map[string]any{"description": f.doc, "anyOf": []any{ref("secret"), map[string]any{"type": "null"}}}
	default:
		s["type"] = []string{"string", "number", "null"} // 67.0 without quotes is a number
		if f.def != "" {
			s["default"] = f.def
		}
		if f.check.values != nil {
			values := []any{nil}
			for _, v := range f.check.values {
				values = append(values, v)
			}
			s["enum"] = values
		}
	}
	return s
}

func ref(name string) map[string]any { return map[string]any{"$ref": "#/$defs/" + name} }

func secretSchema() map[string]any {
	forms := []any{map[string]any{"type": "string", "description": "The secret itself, in plain text: it works, with a warning."}}
	for _, source := range secretSources {
		forms = append(forms, map[string]any{
			"type": "object", "additionalProperties": false, "required": []string{source},
			"properties": map[string]any{source: map[string]any{"type": "string", "minLength": 1, "description": secretWords[source]}},
		})
	}
	return map[string]any{"anyOf": forms}
}

// secretWords say what each source of a secret is.
var secretWords = map[string]string{
	"file":       "The path of a file that only latchd's user may read.",
	"env":        "The name of an environment variable.",
	"credential": "The name of a systemd credential (LoadCredential= in the unit).",
}

func apiKeysSchema() map[string]any {
	text := func(words string) map[string]any {
		return map[string]any{"type": []string{"string", "number"}, "description": words}
	}
	return map[string]any{
		"type": []string{"array", "null"}, "description": "Who may call the HTTP endpoints.",
		"items": map[string]any{
			"type": "object", "additionalProperties": false, "required": []string{"name", "key"},
			"properties": map[string]any{
				"name":        text("Who calls; the history names it."),
				"key":         ref("secret"),
				"role":        map[string]any{"enum": []string{"latch", "operator"}, "default": "latch", "description": "latch: the Latch Customer endpoint alone. operator: everything."},
				"allow_force": map[string]any{"type": "boolean", "default": false, "description": "Whether requests of this key may ask for forceLatch."},
			},
		},
	}
}
