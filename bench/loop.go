package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/simpleforce/simpleforce"
)

// simpleforceLoop is what anybody would write first: it signs in, asks for the ids of
// all accounts page after page, and counts them. Its settings are latchd's.
func simpleforceLoop(ctx context.Context, args []string) error {
	if len(args) > 0 {
		return errors.New("takes no arguments")
	}
	log.SetOutput(io.Discard) // the library writes whole addresses there
	client, err := signIn(ctx, os.Getenv)
	if err != nil {
		return err
	}
	n := 0
	for next := "SELECT Id FROM Account"; ; {
		page, err := client.Query(next)
		if err != nil {
			return fmt.Errorf("asking for a page of accounts: %w", err)
		}
		for i := range page.Records {
			if page.Records[i].ID() != "" {
				n++
			}
		}
		if page.Done {
			fmt.Println(n)
			return nil
		}
		next = page.NextRecordsURL
	}
}

func signIn(ctx context.Context, getenv func(string) string) (*simpleforce.Client, error) {
	login, id := getenv("LATCHD_SALESFORCE_LOGIN_URL"), getenv("LATCHD_SALESFORCE_AUTH_CLIENT_ID")
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {id}, "client_secret": {getenv("LATCHD_SALESFORCE_AUTH_CLIENT_SECRET")}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, login+"/services/oauth2/token", strings.NewReader(form.Encode()))
	if err != nil {
		return nil, errors.New("LATCHD_SALESFORCE_LOGIN_URL is no address")
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, errors.New("no answer to the sign-in")
	}
	defer res.Body.Close()
	var token struct {
		Access   string `json:"access_token"`
		Instance string `json:"instance_url"`
	}
	if err := json.NewDecoder(res.Body).Decode(&token); err != nil || token.Access == "" {
		return nil, fmt.Errorf("the sign-in was refused (%s)", res.Status)
	}
	client := simpleforce.NewClient(login, id, "67.0")
	client.SetSidLoc(token.Access, token.Instance)
	return client, nil
}
