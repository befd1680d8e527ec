package syncer

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"latchd/latch"
)

// ndjsonLines reads one JSON object a line. force is what lines ask for when the
// file does not speak of forceLatch at all. An unterminated last line counts: an
// object that was cut off is none.
func ndjsonLines(text []byte, force bool) iter.Seq[line] {
	if force && bytes.Contains(bytes.ToLower(text), []byte(strings.ToLower(nameForce))) {
		force = false
	}
	return func(yield func(line) bool) {
		for lines := (textLines{body: text}); ; {
			at, ok := lines.next()
			if !ok {
				return
			}
			object := bytes.TrimSpace(text[at.start:at.end])
			if len(object) == 0 {
				continue
			}
			l := line{Number: at.number, Filing: latch.Filing{Force: force}}
			if len(object) > maxLine {
				l = at.refused("it is longer than %d bytes", maxLine)
			} else {
				l.Err = readObject(object, &l.Filing)
			}
			if !yield(l) {
				return
			}
		}
	}
}

// readObject reads one object into f. What was understood before an error is
// there too, so that a log line can name the customer.
func readObject(text []byte, f *latch.Filing) error {
	d := jsontext.NewDecoder(bytes.NewReader(text))
	if d.PeekKind() != '{' {
		return errors.New(`it is no JSON object: write {"fusebillId": 93132, "salesforceId": "001…"}, one on each line`)
	}
	if _, err := d.ReadToken(); err != nil {
		return jsonTrouble(err)
	}
	seen := map[string]bool{}
	for d.PeekKind() != '}' {
		token, err := d.ReadToken()
		if err != nil {
			return jsonTrouble(err)
		}
		name, err := knownName(token.String())
		if err != nil {
			return err
		}
		if seen[name] {
			return fmt.Errorf("the name %s is there twice", name)
		}
		seen[name] = true
		value, err := d.ReadValue()
		if err != nil {
			return jsonTrouble(err)
		}
		if value.Kind() == 'n' {
			continue
		}
		if err := setValue(f, name, value); err != nil {
			return err
		}
	}
	if _, err := d.ReadToken(); err != nil {
		return jsonTrouble(err)
	}
	if _, err := d.ReadToken(); err != io.EOF {
		return errors.New("more follows after the object: one object on each line")
	}
	switch {
	case f.Customer == 0:
		return fmt.Errorf("%s is missing", nameCustomer)
	case f.Account == "":
		return fmt.Errorf("%s is missing", nameAccount)
	}
	return nil
}

func knownName(given string) (string, error) {
	known := []string{nameCustomer, nameAccount, nameForce}
	for _, k := range known {
		if isName(given, k) {
			return k, nil
		}
	}
	hint := fmt.Sprintf("a line has %s", strings.Join(known, ", "))
	if k := meant(given, known...); k != "" {
		hint = "it may be meant as " + k
	}
	return "", fmt.Errorf("the name %s is not known: %s", shownList([]string{given}), hint)
}

func setValue(f *latch.Filing, name string, value jsontext.Value) (err error) {
	kind := value.Kind()
	switch {
	case name == nameForce:
		if kind != 't' && kind != 'f' {
			return fmt.Errorf("%s: %s is neither true nor false", name, shown(string(value)))
		}
		f.Force = kind == 't'
		return nil
	case name == nameCustomer && kind == '0':
		// JSON's own numbers: a sign, a fraction or an exponent is no id.
		f.Customer, err = customerOf(name, string(value))
		return err
	case kind != '"':
		return fmt.Errorf("%s: %s is no text", name, shown(string(value)))
	}
	text, err := jsontext.AppendUnquote(nil, value)
	if err != nil {
		return jsonTrouble(err)
	}
	if name == nameCustomer {
		f.Customer, err = customerOf(name, strings.TrimSpace(string(text)))
	} else {
		f.Account, err = accountOf(name, strings.TrimSpace(string(text)))
	}
	return err
}

// jsonTrouble says in our words what is wrong with the text of a line.
func jsonTrouble(err error) error {
	var syntax *jsontext.SyntacticError
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return errors.New("it ends in the middle of the object")
	case !errors.As(err, &syntax):
		return fmt.Errorf("it is no JSON object: %w", err)
	case errors.Is(err, jsontext.ErrDuplicateName):
		return fmt.Errorf("the name %s is there twice", shownList([]string{syntax.JSONPointer.LastToken()}))
	}
	return fmt.Errorf("it is no JSON object: %w, at byte %d of the line", syntax.Err, syntax.ByteOffset+1)
}
