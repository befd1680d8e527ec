package config

import "reflect"

// String says it as docs/configuration.md does.
func (e effect) String() string {
	if e == onReload {
		return "on SIGHUP"
	}
	return "on restart"
}

// NeedRestart names what differs between the configuration that a daemon began
// with and a later one, and that it takes over with a restart alone. Of the files
// of server.tls it takes over others, but neither begins nor ends TLS.
func NeedRestart(began, now *Config) []string {
	var out []string
	for i := range fields {
		f := &fields[i]
		if f.when == atStart && !reflect.DeepEqual(f.at(began), f.at(now)) {
			out = append(out, f.path)
		}
	}
	if (began.Server.TLS.CertFile == "") != (now.Server.TLS.CertFile == "") {
		out = append(out, "server.tls")
	}
	return out
}
