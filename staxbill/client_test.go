package staxbill

import (
	"strings"
	"testing"
)

func TestNewRefusesWhatCannotWork(t *testing.T) {
	good := Options{BaseURL: "https://secure.fusebill.com/v1/", APIKey: plantedKey}
	for name, spoil := range map[string]func(*Options){
		"no address":           func(o *Options) { o.BaseURL = "" },
		"no host":              func(o *Options) { o.BaseURL = "https:///v1" },
		"clear text":           func(o *Options) { o.BaseURL = "http://secure.fusebill.com/v1" },
		"another scheme":       func(o *Options) { o.BaseURL = "ftp://secure.fusebill.com/v1" },
		"query":                func(o *Options) { o.BaseURL += "?a=b" },
		"user":                 func(o *Options) { o.BaseURL = "https://me:" + plantedKey + "@secure.fusebill.com" },
		"unreadable":           func(o *Options) { o.BaseURL = "https://" + plantedKey + "\x7f" },
		"no key":               func(o *Options) { o.APIKey = "" },
		"key with its scheme":  func(o *Options) { o.APIKey = "Basic " + plantedKey },
		"key with a line end":  func(o *Options) { o.APIKey = plantedKey + "\n" },
		"negative limit":       func(o *Options) { o.MaxPerMinute = -1 },
		"negative concurrency": func(o *Options) { o.Concurrency = -1 },
		"all of the day":       func(o *Options) { o.DailyReservePercent = 100 },
	} {
		o := good
		spoil(&o)
		_, err := New(o)
		if err == nil {
			t.Errorf("%s: taken", name)
		} else if strings.Contains(err.Error(), plantedKey) {
			t.Errorf("%s: the error holds the key: %v", name, err)
		}
	}
	for _, base := range []string{good.BaseURL, "http://127.0.0.1:8080/v1", "http://localhost/v1", "http://[::1]:80/v1"} {
		o := good
		o.BaseURL = base
		if _, err := New(o); err != nil {
			t.Errorf("%s: %v", base, err)
		}
	}
}

func TestKeyFingerprint(t *testing.T) {
	of := func(key string) string {
		c, _ := newClient(t, Options{APIKey: key})
		return c.KeyFingerprint()
	}
	a, b := of(plantedKey), of(plantedKey+"x")
	if a == b || len(a) != 16 || a != of(plantedKey) {
		t.Errorf("fingerprints %s and %s", a, b)
	}
}
