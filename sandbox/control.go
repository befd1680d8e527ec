package sandbox

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// controlRoot is where the sandbox itself is steered. These paths ask for no key.
const controlRoot = "/-/sandbox/"

// control serves the paths under controlRoot.
func (s *Sandbox) control(w http.ResponseWriter, r *http.Request) {
	path := strings.Trim(strings.TrimPrefix(r.URL.Path, controlRoot), "/")
	first, rest, _ := strings.Cut(path, "/")
	var out any
	var err error
	switch r.Method + " " + first {
	case "GET ":
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = w.Write([]byte(s.Manual())) // a caller that is gone needs no manual
		return
	case "GET variants":
		out = s.variants.all()
	case "PUT variants":
		var choices map[string]string
		if err = read(w, r, &choices); err == nil {
			err = s.SetVariants(choices)
		}
	case "GET faults":
		out = s.Faults()
	case "PUT faults":
		var list []Fault
		if err = read(w, r, &list); err == nil {
			err = s.SetFaults(list)
		}
	case "POST release":
		s.Release()
	case "GET customers", "PUT customers":
		out, err = s.controlCustomer(w, r, number(rest))
	case "GET accounts", "PUT accounts", "POST accounts":
		out, err = s.controlAccount(w, r, rest)
	case "PUT visibility":
		var body struct {
			HiddenPercent int `json:"hiddenPercent"`
		}
		if err = read(w, r, &body); err == nil {
			err = s.HideAccounts(body.HiddenPercent)
		}
	case "PUT commits":
		var body struct {
			LateMs int `json:"lateMs"`
		}
		if err = read(w, r, &body); err == nil {
			err = s.SetCommitDelay(time.Duration(body.LateMs) * time.Millisecond)
		}
	case "POST sessions":
		s.ExpireSessions()
	case "POST locators":
		s.ExpireCursors()
	case "PUT bulk":
		err = s.controlBulk(w, r)
	case "POST bulk-results":
		s.ExpireBulkResults()
	case "PUT jwt-key":
		var body struct {
			PublicKey string `json:"publicKey"`
		}
		if err = read(w, r, &body); err == nil {
			err = s.RegisterJWTKey(body.PublicKey)
		}
	case "GET keys":
		out = s.APIKeys()
	case "PUT keys":
		var list []APIKey
		if err = read(w, r, &list); err == nil {
			err = s.SetAPIKeys(list)
		}
	case "PUT limits":
		out, err = nil, s.controlLimits(w, r)
	case "GET ledger":
		out = s.controlLedger(r)
	case "POST reset-ledger":
		s.ResetLedger()
	default:
		http.Error(w, "sandbox: no such control path; GET "+controlRoot+" lists them", http.StatusNotFound)
		return
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if out == nil {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	_ = e.Encode(out) // a caller that is gone needs no answer
}

func read(w http.ResponseWriter, r *http.Request, into any) error {
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return fmt.Errorf("sandbox: the body is not the JSON that GET %s describes: %w", controlRoot, err)
	}
	return nil
}

func (s *Sandbox) controlCustomer(w http.ResponseWriter, r *http.Request, id int64) (any, error) {
	if r.Method == http.MethodPut {
		var body struct {
			SalesforceID string `json:"salesforceId"`
		}
		if err := read(w, r, &body); err != nil {
			return nil, err
		}
		if err := s.SetCustomerAccount(id, body.SalesforceID); err != nil {
			return nil, err
		}
	}
	c, ok := s.Customer(id)
	if !ok {
		return nil, fmt.Errorf("sandbox: there is no customer %d", id)
	}
	return c, nil
}

func (s *Sandbox) controlAccount(w http.ResponseWriter, r *http.Request, id string) (any, error) {
	switch r.Method {
	case http.MethodPost:
		var body struct {
			Name string `json:"name"`
		}
		if err := read(w, r, &body); err != nil {
			return nil, err
		}
		id = s.CreateAccount(body.Name)
	case http.MethodPut:
		var body struct {
			Action           string  `json:"action"`
			Into             string  `json:"into"`
			Name             *string `json:"name"`
			StaxBillCustomer *string `json:"staxBillCustomer"`
		}
		if err := read(w, r, &body); err != nil {
			return nil, err
		}
		var err error
		switch body.Action {
		case "delete":
			err = s.DeleteAccount(id)
		case "undelete":
			err = s.UndeleteAccount(id)
		case "purge":
			err = s.PurgeAccount(id)
		case "merge":
			err = s.MergeAccount(id, body.Into)
		case "edit":
			err = s.EditAccount(id, body.Name, body.StaxBillCustomer)
		default:
			err = fmt.Errorf("sandbox: action is none of delete, undelete, purge, merge, edit")
		}
		if err != nil {
			return nil, err
		}
	}
	a, ok := s.Account(id)
	if !ok {
		return nil, fmt.Errorf("sandbox: there is no account %s", id)
	}
	return a, nil
}

func (s *Sandbox) controlLimits(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		StaxBill *struct {
			Minute int `json:"minute"`
			Day    int `json:"day"`
		} `json:"staxbill"`
		Salesforce *struct {
			Max  int `json:"max"`
			Used int `json:"used"`
		} `json:"salesforce"`
	}
	if err := read(w, r, &body); err != nil {
		return err
	}
	if b := body.StaxBill; b != nil {
		if err := s.SetRateLimits(b.Minute, b.Day); err != nil {
			return err
		}
	}
	if b := body.Salesforce; b != nil {
		return s.SetDailyAllocation(b.Max, b.Used)
	}
	return nil
}

func (s *Sandbox) controlBulk(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		Polls     int    `json:"polls"`
		Ms        int    `json:"ms"`
		Fail      string `json:"fail"`
		PageRows  int    `json:"pageRows"`
		JobsSpent int    `json:"jobsSpent"`
		StoredKB  int    `json:"storedKB"`
	}
	if err := read(w, r, &body); err != nil {
		return err
	}
	if err := s.SetBulkPace(BulkPace{body.Polls, time.Duration(body.Ms) * time.Millisecond, body.Fail, body.PageRows}); err != nil {
		return err
	}
	return s.SetBulkSpent(body.JobsSpent, body.StoredKB)
}

func (s *Sandbox) controlLedger(r *http.Request) any {
	l := s.Ledger()
	if id := number(r.URL.Query().Get("customer")); id != 0 {
		l = l.Of(id)
	}
	if r.URL.Query().Has("count") {
		return l.Count()
	}
	if l.Calls == nil {
		l.Calls = []Call{}
	}
	if l.Effects == nil {
		l.Effects = []Effect{}
	}
	return l
}

// SetVariants switches several open questions at once, all of them or none.
func (s *Sandbox) SetVariants(choices map[string]string) error { return s.variants.set(choices) }

// Manual is what GET /-/sandbox/ prints.
func (s *Sandbox) Manual() string {
	var b strings.Builder
	fmt.Fprintf(&b, `latchd's sandbox: a Salesforce org (%s) and a Stax Bill account on loopback.

  GET  %[2]svariants                  the answers in force to what the documentation leaves open
  PUT  %[2]svariants                  {"latch.linked-status":"409"}; the list is below
  GET  %[2]sfaults
  PUT  %[2]sfaults                    [{"match":{"call":"latch","nth":3},"do":{"cut":"after"}}]; [] ends the trouble
  POST %[2]srelease                   let calls go on that a fault with "hold" stopped
  GET  %[2]scustomers/ID              the truth of one customer
  PUT  %[2]scustomers/ID              {"salesforceId":"001…"}: latched by hand; "" takes the link off
  GET  %[2]saccounts/ID
  POST %[2]saccounts                  {"name":"…"} makes one more
  PUT  %[2]saccounts/ID               {"action":"delete|undelete|purge|merge|edit","into":"001…"}; edit takes
                                      "name" and "staxBillCustomer" (`+RequestField+`)
  PUT  %[2]svisibility                {"hiddenPercent":90} takes accounts out of the integration user's sight
  PUT  %[2]scommits                   {"lateMs":300000}: accounts changed from now on are seen that much after their stamps
  POST %[2]ssessions/expire           end every Salesforce session
  POST %[2]slocators/expire           make every open query locator stale
  PUT  %[2]sbulk                      {"polls":2,"ms":0,"fail":"","pageRows":250000,"jobsSpent":0,"storedKB":0}: how
                                      query jobs made from now on get on, without polls and ms at once; fail is the
                                      errorMessage of those that are to fail; 10,000 jobs and 1 TB are a day's limits
  POST %[2]sbulk-results/expire       take the results of complete query jobs away
  PUT  %[2]sjwt-key                   {"publicKey":"-----BEGIN PUBLIC KEY…"}: assertions must be signed for it
  GET  %[2]skeys
  PUT  %[2]skeys                      [{"name":"default","key":"…"}]
  PUT  %[2]slimits                    {"staxbill":{"minute":50,"day":5000},"salesforce":{"max":100000,"used":0}}
  GET  %[2]sledger                    every call and every change of a customer's account; ?customer=ID, ?count
  POST %[2]sreset-ledger

A fault matches by service (salesforce, staxbill), call, path, customer, nth, count,
probability with seed. It does: latencyMs, latencyAfterMs, hold (before, after), status,
body (%s), effect, header, cut (before, after), dripMs, expireSession, rateLimited
(with-headers, without-headers). Calls: %s.

Variants, the first answer is the default:
`, s.org.id, controlRoot, strings.Join(FaultBodies(), ", "), strings.Join([]string{
		callToken, callQuery, callQueryAll, callQueryMore, callRetrieve, callRecord, callUpdated, callDeleted, callLimits, callComposite,
		callBulkCreate, callBulkList, callBulkJob, callBulkAbort, callBulkDelete, callBulkResults, callBulkPages,
		callLatch, callCustomer, callOverview, callCustomers, callEnableSynch, callDisableSynch, callResynch,
	}, ", "))
	for _, v := range Variants() {
		fmt.Fprintf(&b, "\n  %s: %s\n      %s\n", v.Name, strings.Join(v.Values, " | "), v.Fact)
	}
	return b.String()
}
