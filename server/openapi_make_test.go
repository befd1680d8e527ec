package server

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"latchd/latch"
	"latchd/syncer"
)

type object = map[string]any

// enums are the types with a fixed set of values.
var enums = map[reflect.Type][]string{
	reflect.TypeFor[latch.State]():        words(latch.States),
	reflect.TypeFor[latch.Outcome]():      words(latch.Outcomes),
	reflect.TypeFor[latch.Wait]():         words([]latch.Wait{latch.WaitAccount, latch.WaitFullPull, latch.WaitRetry, latch.WaitQuietTime, latch.WaitBudget, latch.WaitOlder}),
	reflect.TypeFor[latch.Action]():       words([]latch.Action{latch.Latch, latch.Relatch, latch.None}),
	reflect.TypeFor[latch.Origin]():       words([]latch.Origin{latch.OriginApplied, latch.OriginObserved}),
	reflect.TypeFor[latch.Result]():       words([]latch.Result{latch.RunDone, latch.RunFailed, latch.RunUnreachable, latch.RunLimited, latch.RunCancelled}),
	reflect.TypeFor[latch.AccountState](): words([]latch.AccountState{latch.AccountKnown, latch.AccountDeleted, latch.AccountMerged, latch.AccountUnseen}),
	reflect.TypeFor[latch.How]():          words([]latch.How{latch.HowLive, latch.HowIndex}),
	reflect.TypeFor[syncer.UndoHow]():     words([]syncer.UndoHow{syncer.UndoRequest, syncer.UndoImport, syncer.UndoNone}),
	reflect.TypeFor[syncer.Problem]():     words(syncer.Problems),
	reflect.TypeFor[syncer.Kind]():        words([]syncer.Kind{syncer.KindSync, syncer.KindArrival, syncer.KindPlan}),
}

func words[T ~string](of []T) []string {
	out := make([]string, len(of))
	for i, w := range of {
		out[i] = string(w)
	}
	return out
}

// maker makes the description.
type maker struct {
	schemas object
	of      map[string]reflect.Type
}

// schema describes a type as it goes over the wire.
func (m *maker) schema(t reflect.Type) object {
	switch t {
	case reflect.TypeFor[time.Time]():
		return object{"type": "string", "format": "date-time"}
	case reflect.TypeFor[latch.CustomerID]():
		return object{"type": "integer", "format": "int64", "minimum": 1, "description": "the id of a Stax Bill customer"}
	case reflect.TypeFor[latch.AccountID]():
		return object{"type": "string", "description": "the id of a Salesforce Account, of 18 characters; as seen in Stax Bill it may be any text"}
	}
	if values, ok := enums[t]; ok {
		return object{"type": "string", "enum": values}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return m.schema(t.Elem())
	case reflect.String:
		return object{"type": "string"}
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.Int, reflect.Int64:
		return object{"type": "integer"}
	case reflect.Slice:
		return object{"type": []string{"array", "null"}, "items": m.schema(t.Elem())}
	case reflect.Map:
		s := object{"type": []string{"object", "null"}, "additionalProperties": m.schema(t.Elem())}
		if values, ok := enums[t.Key()]; ok {
			s["propertyNames"] = object{"enum": values}
		}
		return s
	case reflect.Struct:
		return m.named(t)
	}
	panic(fmt.Sprintf("no schema for %s", t))
}

// named puts a struct among the schemas and refers to it.
func (m *maker) named(t reflect.Type) object {
	name := strings.ToUpper(t.Name()[:1]) + t.Name()[1:]
	if base, of, generic := strings.Cut(name, "["); generic {
		name = base + "Of" + strings.TrimSuffix(of[strings.LastIndexByte(of, '.')+1:], "]") + "s"
	}
	if other, ok := m.of[name]; ok && other != t {
		panic(fmt.Sprintf("%s and %s have the same name", t, other))
	}
	if _, ok := m.schemas[name]; !ok {
		m.of[name] = t
		m.schemas[name] = object{} // for those that hold themselves
		properties, required := object{}, []string{}
		m.fields(t, properties, &required)
		s := object{"type": "object", "properties": properties, "additionalProperties": t == reflect.TypeFor[customerObject]()}
		if len(required) > 0 {
			s["required"] = required
		}
		m.schemas[name] = s
	}
	return object{"$ref": "#/components/schemas/" + name}
}

func (m *maker) fields(t reflect.Type, properties object, required *[]string) {
	for f := range t.Fields() {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case name == "-" || !f.IsExported() && !f.Anonymous:
		case f.Anonymous && name == "":
			m.fields(f.Type, properties, required)
		default:
			if name == "" {
				name = f.Name
			}
			properties[name] = m.schema(f.Type)
			if options == "" {
				*required = append(*required, name)
			}
		}
	}
}

// describeAll is openapi.json.
func describeAll() []byte {
	m := &maker{schemas: object{}, of: map[string]reflect.Type{}}
	failed := m.schema(reflect.TypeFor[Error]())
	m.schemas["Failed"] = object{"type": "object", "properties": object{"error": failed}, "required": []string{"error"}, "additionalProperties": false}
	stax := m.schema(reflect.TypeFor[staxError]())
	paths := object{}
	for _, pattern := range slices.Sorted(maps.Keys(operations)) {
		method, path, _ := strings.Cut(pattern, " ")
		op := operations[pattern]
		fails := object{"$ref": "#/components/schemas/Failed"}
		if isLatchPath(path) {
			fails = stax
		}
		at, ok := paths[path].(object)
		if !ok {
			at = object{}
			paths[path] = at
		}
		at[strings.ToLower(method)] = m.operation(pattern, op, fails)
	}
	out, err := json.MarshalIndent(object{
		"openapi": "3.1.0",
		"info": object{
			"title": "latchd", "version": "1",
			"description": "latchd keeps Stax Bill customers latched to Salesforce Accounts. Under /v1 is the endpoint for clients of Stax Bill's own, under /api/v1 the operator's API, which the unix socket answers too, without a key.",
		},
		"security":   []object{{"key": []string{}}},
		"paths":      paths,
		"components": object{"schemas": m.schemas, "securitySchemes": object{"key": object{"type": "apiKey", "in": "header", "name": "Authorization", "description": "Basic KEY, with a key of server.api_keys as it is: it is not encoded once more. The operator's API wants one of the role operator."}}},
	}, "", " ")
	if err != nil {
		panic(err)
	}
	return append(out, '\n')
}

func (m *maker) operation(pattern string, op operation, fails object) object {
	o := object{"summary": op.about, "operationId": operationID(pattern)}
	var params []object
	for _, p := range op.params {
		params = append(params, object{"name": p.name, "in": p.in, "description": p.about, "required": p.in == "path", "schema": object{"type": "string"}})
	}
	if params != nil {
		o["parameters"] = params
	}
	if op.body != nil {
		o["requestBody"] = object{"required": true, "content": m.content(op.body, "")}
	}
	said := func(about string) object {
		return object{"description": about, "content": object{"application/json": object{"schema": fails}}}
	}
	answers := object{
		"200": object{"description": "done", "content": m.content(op.answer, op.kind)}, "default": said("it was refused or failed"),
		"401": said("the key is missing or not known"), "429": said("too many calls; Retry-After says when to ask again"),
	}
	for status, about := range op.status {
		answers[fmt.Sprint(status)] = said(about)
	}
	if op.open {
		o["security"] = []object{}
		for _, status := range []string{"401", "429"} {
			delete(answers, status)
		}
		for status, about := range op.status {
			answers[fmt.Sprint(status)] = object{"description": about, "content": object{op.kind: object{}}}
		}
	}
	if accepted, ok := answers["202"].(object); ok {
		accepted["content"] = object{"application/json": object{"schema": m.schema(reflect.TypeFor[latch.Request]())}}
	}
	o["responses"] = answers
	return o
}

func (m *maker) content(v any, kind string) object {
	t := reflect.TypeOf(v)
	switch {
	case t == reflect.TypeFor[file]() && kind == "":
		return object{"application/octet-stream": object{}}
	case t == reflect.TypeFor[file]():
		return object{kind: object{}}
	case kind == "":
		kind = "application/json"
	}
	return object{kind: object{"schema": m.schema(t)}}
}

func operationID(pattern string) string {
	words := strings.FieldsFunc(strings.ToLower(pattern), func(r rune) bool { return r == ' ' || r == '/' || r == '{' || r == '}' })
	return strings.Join(words, "-")
}
