package main

import (
	"net/url"
	"os"
	"slices"
	"strings"
)

// checkProxy refuses an address of a proxy that cannot be one. net/http takes
// what it can make of it, or passes it over without a word, so that the calls go
// out past it. The address, which may hold a password, is never quoted.
func checkProxy() error {
	for _, name := range []string{"HTTPS_PROXY", "https_proxy"} {
		given := os.Getenv(name)
		if given == "" {
			continue
		}
		u, err := url.Parse(given)
		if !strings.Contains(given, "://") {
			u, err = url.Parse("http://" + given) // net/http takes HOST:PORT too
		}
		if err != nil || u.Host == "" || !slices.Contains([]string{"http", "https", "socks5", "socks5h"}, strings.ToLower(u.Scheme)) {
			return &usageError{"the environment's " + name + " is no address of a proxy, so that calls could go out past it", "write it as http://proxy.example:3128, with %40 for an @ in its password, or take it away"}
		}
	}
	return nil
}
