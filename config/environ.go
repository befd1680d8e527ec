package config

import (
	"slices"
	"strings"
)

// Variables that begin with LATCHD_ and are no settings.
const (
	variableConfig = "LATCHD_CONFIG"
	variableTests  = "LATCHD_TEST_" // switches for latchd's own tests
)

// environment reads the settings in the environment, which win over the file.
// A variable that names no setting is an error: a misspelt one would be
// silently without effect.
func (l *loader) environment() {
	byName := map[string]*field{}
	for i := range fields {
		byName[variable(fields[i].path)] = &fields[i]
	}
	var names []string
	for name := range l.env {
		if strings.HasPrefix(name, "LATCHD_") && name != variableConfig && !strings.HasPrefix(name, variableTests) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		value := l.env[name]
		if f := byName[name]; f != nil {
			l.fromEnvironment(f, name, value)
			continue
		}
		if f, source := secretVariable(byName, name); f != nil {
			l.secretFromEnvironment(f, name, source, value)
			continue
		}
		l.problems = append(l.problems, Problem{Field: name, Message: "is no setting; docs/configuration.md lists the names"})
	}
}

func (l *loader) fromEnvironment(f *field, name, value string) {
	if value == "" {
		return // as if it were not set
	}
	l.fromEnv[f.path] = true
	l.forget(f.path)
	if msg := f.set(l.cfg, value); msg != "" {
		l.bad[f.path] = true
		l.problems = append(l.problems, Problem{Field: name, Message: msg})
	}
}

// secretVariable reads names such as LATCHD_STAXBILL_API_KEY_FILE.
func secretVariable(byName map[string]*field, name string) (*field, string) {
	for _, source := range []string{"file", "credential"} {
		if base, ok := strings.CutSuffix(name, "_"+strings.ToUpper(source)); ok {
			if f := byName[base]; f != nil {
				if _, secret := f.at(&Config{}).(*Secret); secret {
					return f, source
				}
			}
		}
	}
	return nil, ""
}

func (l *loader) secretFromEnvironment(f *field, name, source, value string) {
	if value == "" {
		return
	}
	if l.fromEnv[f.path] {
		l.problems = append(l.problems, Problem{Field: name, Message: "is given in two ways; keep one of them"})
		return
	}
	l.fromEnv[f.path] = true
	l.forget(f.path)
	s, warning, err := readSecret(source, value, l.getenv)
	if err != nil {
		l.unreadSecret(f.path, Problem{Field: name}, err)
		return
	}
	if warning != "" {
		l.warnings = append(l.warnings, Problem{Field: name, Message: warning})
	}
	*f.at(l.cfg).(*Secret) = s
	if f.check.is != nil {
		if msg := f.check.is(s.Reveal()); msg != "" {
			l.bad[f.path] = true
			l.problems = append(l.problems, Problem{Field: name, Message: msg})
		}
	}
}

// overridden reports whether the environment gives a secret itself.
func (l *loader) overridden(path string) bool {
	base := variable(path)
	for _, name := range []string{base, base + "_FILE", base + "_CREDENTIAL"} {
		if l.env[name] != "" {
			return true
		}
	}
	return false
}

// forget takes back what the file said of a setting that the environment gives.
func (l *loader) forget(path string) {
	drop := func(p Problem) bool { return p.Field == path }
	l.problems = slices.DeleteFunc(l.problems, drop)
	l.warnings = slices.DeleteFunc(l.warnings, drop)
	delete(l.bad, path)
}
