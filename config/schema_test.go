package config

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// compiled is the schema as a validator reads it.
func compiled(t *testing.T) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(Schema()))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("config.schema.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("config.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func asDocument(t *testing.T, text string) any {
	t.Helper()
	j, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(j))
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

func TestSchemaIsFresh(t *testing.T) {
	const page = "../config.schema.json"
	if *update {
		if err := os.WriteFile(page, Schema(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(page)
	if err != nil || !bytes.Equal(have, Schema()) {
		t.Errorf("config.schema.json is stale (%v): go test ./config -update", err)
	}
}

// TestSchemaAgrees: what Load takes the schema takes, and what it names in
// these files as wrong the schema finds too.
func TestSchemaAgrees(t *testing.T) {
	s := compiled(t)
	example, err := os.ReadFile("../config.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	// The same with every setting in it: the commented ones are settings, too.
	all := string(example)
	for _, f := range fields {
		name := f.path[strings.LastIndexByte(f.path, '.')+1:]
		all = strings.Replace(all, "# "+name+":", name+":", 1)
	}
	for name, text := range map[string]string{
		"the example": string(example), "the example, all of it": all, "empty sections": "guard:\nlog: {level: }\n",
		"a number for a text": "salesforce: {api_version: 67.0}\n", "zero": "requests: {wait_for_account: 0}\n",
		"keys":      "server: {api_keys: [{name: a, key: {env: K}, role: operator, allow_force: true}, {name: 7, key: plain}]}\n",
		"durations": "state: {keep_history: 8760h0m0s}\nserver: {wait: 1.5s}\n",
	} {
		if err := s.Validate(asDocument(t, text)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, text := range map[string]string{
		"an unknown section": "salesfroce: {}\n", "an unknown name": "guard: {max_relatchs: 3}\n",
		"a text for a number": "guard: {max_relatches: many}\n", "too many": "staxbill: {concurrency: 257}\n", "below": "guard: {max_latches: -1}\n",
		"none of the words": "log: {level: loud}\n", "a list": "state: {path: [a]}\n", "a map for a text": "state: {path: {file: a}}\n",
		"two sources": "staxbill: {api_key: {file: a, env: B}}\n", "a source of no name": "staxbill: {api_key: {vault: a}}\n", "a number as a secret's file": "staxbill: {api_key: {file: 3}}\n",
		"yes": "requests: {follow_merges: yes please}\n", "no duration": "staxbill: {quiet_time: a while}\n",
		"a key without a name": "server: {api_keys: [{key: a}]}\n", "a role": "server: {api_keys: [{name: a, key: b, role: king}]}\n", "a flow": "salesforce: {auth: {flow: magic}}\n",
	} {
		if err := s.Validate(asDocument(t, text)); err == nil {
			t.Errorf("%s: the schema takes it", name)
		}
		if _, found := load(t, text); !slices.ContainsFunc(found, func(p Problem) bool { return !strings.HasPrefix(p.Message, "is missing") }) {
			t.Errorf("%s: Load says %v", name, found)
		}
	}
}
