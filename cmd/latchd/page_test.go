package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"latchd/latch"
	"latchd/sandbox"
	"latchd/server"
)

// ask files a request over the operator's API.
func (e *estate) ask(root string, i int, account string, force bool) latch.Request {
	e.t.Helper()
	got := e.call("POST", root+"/api/v1/requests", opsKey, fmt.Sprintf(`{"fusebillId":%d,"salesforceId":%q,"forceLatch":%t}`, e.box.CustomerID(i), account, force))
	var a server.Accepted
	if err := json.Unmarshal([]byte(got.body), &a); err != nil || got.status != 200 {
		e.t.Fatalf("%d %s", got.status, got.body)
	}
	return a.Request
}

// TestPageInChromium: what people see of latchd, and that each choice does what
// its button says: clicked in a browser, against the binary and the sandbox.
func TestPageInChromium(t *testing.T) {
	if testing.Short() {
		t.Skip("a browser takes half a minute")
	}
	e := newEstate(t, sandbox.Options{Accounts: 400, Customers: 100, Seed: 4})
	root := e.api("LATCHD_GUARD_MAX_RELATCHES=1", "LATCHD_SERVER_WAIT=1m")
	c := newChromium(t, root)
	d := e.daemon()
	ended := func(r latch.Request, outcome latch.Outcome) {
		t.Helper()
		d.waitFor(latch.EventRequestDone, r.ID, fmt.Sprintf(`"outcome":"%s"`, outcome))
	}
	// Customers whose number is a multiple of four are latched in the sandbox.
	for _, i := range []int{0, 4, 8, 12} {
		ended(e.ask(root, i, e.box.AccountID(200+i), false), latch.Conflict)
	}
	ended(e.ask(root, 1, e.box.MissingAccountID(1), false), latch.NoAccount)

	c.signIn()
	c.lookAt("overview")
	c.says("the overview", "4 conflict", "1 no-account", "healthy", "Calls left")
	c.press(`//a[contains(., "conflict")]`)
	c.lookAt("for-person")
	c.says("the list", "For a person", e.box.AccountID(200), "customer "+fmt.Sprint(e.box.CustomerID(0)))

	row := func(i int, choice string) string {
		return fmt.Sprintf(`//tr[contains(., "%d")]//a[contains(., "%s")]`, e.box.CustomerID(i), choice)
	}
	// Keep: nothing is called, and it leaves the list.
	calls := e.latchCalls()
	c.press(row(0, "Keep"))
	c.lookAt("confirm-keep")
	c.says("keep", "stays as it is", "No call goes to Stax Bill")
	c.press(`//button[contains(., "Keep it as it is")]`)
	c.says("kept", "1 request left as it is.", "conflict 3")
	// Retry: a conflict again, as a request of its own.
	c.press(row(4, "Retry"))
	c.lookAt("confirm-retry")
	c.press(`//button[contains(., "Ask again")]`)
	c.says("retried", "1 request asked for again.")
	d.waitFor(latch.EventRequestDone, fmt.Sprint(e.box.CustomerID(4)), `"outcome":"conflict"`)
	if n := e.latchCalls() - calls; n != 0 {
		t.Errorf("keeping and asking again made %d latch calls", n)
	}
	// Force, without a script: exactly that one is relatched.
	c.scripts(false)
	c.open("/for-person?outcome=conflict", 200)
	c.press(row(8, "Force"))
	c.says("force", "takes account "+string(e.at(8))+" off customer", "attaches account "+e.box.AccountID(208))
	c.scripts(true)
	c.lookAt("confirm-force")
	c.scripts(false)
	c.press(`//button[contains(., "Force it")]`)
	c.says("forced", "1 request asked for by force.")
	d.waitFor(latch.EventRequestDone, fmt.Sprint(e.box.CustomerID(8)), `"outcome":"relatched"`)
	if string(e.at(8)) != e.box.AccountID(208) {
		t.Errorf("after force the customer has %s", e.at(8))
	}
	// Dismiss several, by ticks.
	c.open("/for-person", 200)
	c.do("ticking", chromedp.Click(fmt.Sprintf(`//tr[contains(., "%d")]//input`, e.box.CustomerID(1))))
	c.do("ticking", chromedp.Click(fmt.Sprintf(`//tr[contains(., "%d")]//input`, e.box.CustomerID(12))))
	c.press(`//fieldset//button[contains(., "Keep")]`)
	c.press(`//button[contains(., "Keep it as it is")]`)
	c.says("dismissed", "2 requests left as they are.")
	c.scripts(true)

	// The guard has counted one relatch, so these are held.
	var held []latch.Request
	hold := func(i int) {
		t.Helper()
		held = append(held, e.ask(root, i, e.box.AccountID(300+i), true))
		d.waitFor(latch.EventHeld, held[len(held)-1].ID)
	}
	hold(16)
	hold(20)
	c.open("/held", 200)
	c.lookAt("held")
	c.says("held", "Held steps: 2", "relatches", e.box.AccountID(316))
	c.press(`//a[contains(., "Approve…")]`)
	c.lookAt("confirm-approve")
	c.says("approve", "Exactly these 2 steps go out", "Digest")
	c.press(`//button[contains(., "Approve exactly this")]`)
	c.says("approved", "Approved: 2 steps.")
	ended(held[0], latch.Relatched)
	ended(held[1], latch.Relatched)
	hold(24)
	c.open("/held", 200)
	c.press(`//a[contains(., "Reject…")]`)
	c.press(`//button[contains(., "Reject exactly this")]`)
	c.says("rejected", "Rejected: 1 step.", "Nothing is held.")
	hold(28)
	c.open("/requests/"+held[3].ID, 200)
	c.lookAt("request")
	c.press(`//a[contains(., "Cancel…")]`)
	c.press(`//button[contains(., "Take it back")]`)
	c.says("cancelled", "1 request taken back.")

	c.open("/", 200)
	c.press(`//a[contains(., "Pause…")]`)
	c.do("the reason", chromedp.SendKeys("#reason", "audit <b>"))
	c.press(`//main//form//button`)
	c.says("paused", "Writes are paused.", "by api:ops: audit <b>")
	waiting := e.ask(root, 32, e.box.AccountID(332), false)
	c.open("/requests?state=pending", 200)
	c.says("the queue", "Requests that are pending", e.box.AccountID(332))
	c.lookAt("requests")
	c.press(`//a[contains(., "Resume…")]`)
	c.press(`//main//form//button`)
	c.says("resumed", "Writes are resumed.")
	ended(waiting, latch.Conflict)

	// A run under way is followed without a new page.
	if _, err := e.box.AddFault(sandbox.Fault{Match: sandbox.FaultMatch{Call: "latch"}, Do: sandbox.FaultAction{Hold: "before"}}); err != nil {
		t.Fatal(err)
	}
	slow := e.ask(root, 2, e.box.AccountID(202), false)
	if err := e.box.AwaitHeld(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	c.open("/runs", 200)
	c.says("a run under way", "Reading and deciding", "under way")
	c.lookAt("runs")
	if err := e.box.SetFaults(nil); err != nil {
		t.Fatal(err)
	}
	e.box.Release()
	ended(slow, latch.Latched)
	c.do("the end of the run", chromedp.WaitVisible(`#progress-over`))
	c.says("the end of the run", "No run is under way.", "The run has ended.")
	c.press(`//p[@id="progress-over"]/a`)
	c.press(`(//tbody//a[contains(@href, "/runs/")])[1]`)
	c.says("the run", "1 latched", e.box.AccountID(202))
	c.lookAt("run")
	c.do("searching", chromedp.SendKeys("#q", fmt.Sprint(e.box.CustomerID(8))+kb.Enter), chromedp.WaitVisible(`//h1[contains(., "Customer")]`))
	c.lookAt("story-customer")
	c.says("the story", "Outcome relatched", "api:ops asked to latch customer", "latchd undo --request")
	c.open("/story/"+e.box.AccountID(208), 200)
	c.lookAt("story-account")
	c.expect("400 (Bad Request)")
	c.open("/search?q="+strings.ToLower(e.box.AccountID(8)), 400)
	c.lookAt("search")
	c.press(`//button[contains(., "Sign out")]`)
	c.lookAt("sign-in")
	c.open("/runs", 200)
	c.says("signed out", "Sign in")

	out := e.must(exitDone, "--output", "json", "history")
	for _, kind := range []string{"dismissed", "approved", "rejected", "cancelled", "relatched"} {
		if !strings.Contains(out, `"kind": "`+kind+`"`) {
			t.Errorf("the history has no %s:\n%s", kind, out)
		}
	}
	if code := d.stop(); code != 0 {
		t.Errorf("it ended with %d", code)
	}
	effects := e.effects()
	for _, i := range []int{2, 8, 16, 20} {
		if effects[e.box.CustomerID(i)] != 1 {
			t.Errorf("customer %d had %d effects", i, effects[e.box.CustomerID(i)])
		}
		delete(effects, e.box.CustomerID(i))
	}
	if len(effects) != 0 {
		t.Errorf("others had effects: %v", effects)
	}
}

// signIn signs in by the keyboard alone, after a wrong key.
func (c *chromium) signIn() {
	c.t.Helper()
	c.open("/", 200)
	c.expect("401 (Unauthorized)")
	c.do("a wrong key", chromedp.SendKeys("#key", "nobody"+kb.Enter), chromedp.WaitVisible("#problem"))
	c.lookAt("sign-in-wrong")
	c.do("the right key", chromedp.SendKeys("#key", opsKey+kb.Enter), chromedp.WaitVisible("#health"))
	// The first Tab finds the way past the navigation.
	c.do("tab", chromedp.KeyEvent(kb.Tab))
	at := evaluated[string](c, "the focus", `document.activeElement.className`)
	if at != "skip" {
		c.t.Errorf("the first Tab leads to %q", at)
	}
	c.do("enter", chromedp.KeyEvent(kb.Enter))
	at = evaluated[string](c, "the focus", `document.activeElement.id`)
	if at != "main" {
		c.t.Errorf("the way past the navigation leads to %q", at)
	}
}
