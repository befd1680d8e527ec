package main

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// chromium is a headless browser that a test looks through.
type chromium struct {
	t    *testing.T
	ctx  context.Context
	root string
	axe  string // the program of axe-core; "" = not to be had here
	dir  string // for screenshots

	expected []string // what the console may say, each once
}

const (
	// chromiumTime bounds a whole test in the browser.
	chromiumTime = 4 * time.Minute
	// chromiumStep bounds one thing done in it: what is not there to be clicked
	// is waited for.
	chromiumStep = 30 * time.Second
)

// newChromium starts the browser, or skips the test where there is none.
func newChromium(t *testing.T, root string) *chromium {
	t.Helper()
	program := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			program = found
			break
		}
	}
	if program == "" {
		t.Skip("SKIPPED: no Chromium is installed here")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(program), chromedp.UserDataDir(t.TempDir()))
	if os.Getuid() == 0 {
		options = append(options, chromedp.NoSandbox)
	}
	limited, end := context.WithTimeout(t.Context(), chromiumTime)
	t.Cleanup(end)
	alloc, stop := chromedp.NewExecAllocator(limited, options...)
	t.Cleanup(stop)
	ctx, cancel := chromedp.NewContext(alloc)
	c := &chromium{t: t, ctx: ctx, root: root, axe: axe(t), dir: os.Getenv("LATCHD_TEST_SCREENSHOTS")}
	if c.dir == "" {
		c.dir = t.TempDir()
	}
	said := make(chan []chromedp.ConsoleMessage)
	messages := chromedp.Console(ctx)
	go func() {
		var all []chromedp.ConsoleMessage
		for m, err := range messages {
			if err != nil {
				break
			}
			all = append(all, m)
		}
		said <- all
	}()
	t.Cleanup(func() {
		cancel()
		for _, m := range <-said {
			text := m.String() + " " + m.URL
			at := slices.IndexFunc(c.expected, func(e string) bool { return strings.Contains(text, e) })
			switch {
			case at >= 0:
				c.expected = slices.Delete(c.expected, at, at+1)
			case m.IsException() || m.Type == "error" || m.Type == "warning" || m.Type == "assert":
				t.Errorf("the console says: %s", text)
			}
		}
	})
	// The browser lives as long as the context that it is started with.
	if err := chromedp.Do(ctx, chromedp.Navigate("about:blank")); err != nil {
		t.Fatalf("starting the browser: %v", err)
	}
	return c
}

// axe gives the program of axe-core, which npm fetches.
func axe(t *testing.T) string {
	t.Helper()
	dir := filepath.Join("testdata", "axe")
	program := filepath.Join(dir, "node_modules", "axe-core", "axe.min.js")
	if _, err := os.Stat(program); err != nil {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		install := exec.CommandContext(ctx, "npm", "install", "--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts")
		install.Dir = dir
		if out, err := install.CombinedOutput(); err != nil {
			t.Logf("SKIPPED: axe-core is not to be had here: %v %s", err, out)
			return ""
		}
	}
	text, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// step is for one thing done in the browser.
func (c *chromium) step() (context.Context, context.CancelFunc) {
	return context.WithTimeout(c.ctx, chromiumStep)
}

func (c *chromium) do(what string, actions ...chromedp.Action[chromedp.Void]) {
	c.t.Helper()
	ctx, end := c.step()
	defer end()
	if err := chromedp.Do(ctx, actions...); err != nil {
		c.t.Fatalf("%s: %v", what, err)
	}
}

// evaluated gives what a script in the page gives.
func evaluated[T any](c *chromium, what, script string, options ...chromedp.EvaluateOption) T {
	c.t.Helper()
	ctx, end := c.step()
	defer end()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](script, options...))
	if err != nil {
		c.t.Fatalf("%s: %v", what, err)
	}
	return v
}

// open goes to a page; status is what it has to answer.
func (c *chromium) open(path string, status int64) {
	c.t.Helper()
	ctx, end := c.step()
	defer end()
	res, err := chromedp.RunResponse(ctx, chromedp.Navigate(c.root+path))
	if err != nil {
		c.t.Fatalf("opening %s: %v", path, err)
	}
	if int64(res.Status) != status {
		c.t.Errorf("%s: %d, want %d", path, res.Status, status)
	}
}

// press clicks what leads to another page, and waits for that.
func (c *chromium) press(selector string) {
	c.t.Helper()
	ctx, end := c.step()
	defer end()
	if _, err := chromedp.RunResponse(ctx, chromedp.Click(selector)); err != nil {
		c.t.Fatalf("pressing %s: %v\n%s", selector, err, c.text())
	}
}

// text is what the page says.
func (c *chromium) text() string {
	c.t.Helper()
	return evaluated[string](c, "reading the page", `document.title + "\n" + document.body.innerText`)
}

func (c *chromium) says(what string, words ...string) {
	c.t.Helper()
	text := c.text()
	for _, w := range words {
		if !strings.Contains(text, w) {
			c.t.Errorf("%s lacks %q:\n%s", what, w, text)
		}
	}
}

// sight is one way to look at a page.
type sight struct {
	name   string
	width  int64
	scheme string
}

var sights = []sight{
	{"desktop-light", 1280, "light"},
	{"desktop-dark", 1280, "dark"},
	{"phone-light", 360, "light"},
	{"phone-dark", 360, "dark"},
}

// lookAt holds the page that is open to what everybody needs of it: nothing to
// scroll sideways on a phone, and no violation that axe-core finds. It leaves a
// picture of each look.
func (c *chromium) lookAt(name string) {
	c.t.Helper()
	for _, l := range sights {
		c.emulate(l)
		over := evaluated[int](c, "measuring "+name, `document.documentElement.scrollWidth - document.documentElement.clientWidth`)
		ctx, end := c.step()
		picture, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
		end()
		if err != nil {
			c.t.Fatalf("a picture of %s: %v", name, err)
		}
		if over > 0 {
			c.t.Errorf("%s, %s: %d pixels hang over", name, l.name, over)
		}
		if err := os.WriteFile(filepath.Join(c.dir, name+"-"+l.name+".png"), picture, 0o600); err != nil {
			c.t.Fatal(err)
		}
		c.check(name + ", " + l.name)
	}
	c.emulate(sights[0])
}

func (c *chromium) emulate(l sight) {
	c.t.Helper()
	c.do("turning to "+l.name, chromedp.EmulateViewport(l.width, 800))
	ctx, end := c.step()
	defer end()
	_, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
		{Name: "prefers-color-scheme", Value: l.scheme}, {Name: "prefers-reduced-motion", Value: "reduce"},
	}})
	if err != nil {
		c.t.Fatalf("turning to %s: %v", l.name, err)
	}
}

// check runs axe-core over the page.
func (c *chromium) check(what string) {
	c.t.Helper()
	if c.axe == "" {
		return
	}
	found := evaluated[string](c, "running axe-core", c.axe+`;
axe.run(document, {resultTypes: ["violations"]}).then(r => JSON.stringify(r.violations.map(v => ({id: v.id, help: v.help, nodes: v.nodes.map(n => n.html + " " + n.failureSummary)}))))`, chromedp.EvalAwaitPromise)
	var violations []struct {
		ID, Help string
		Nodes    []string
	}
	if err := json.Unmarshal([]byte(found), &violations); err != nil {
		c.t.Fatalf("axe-core said %q: %v", found, err)
	}
	for _, v := range violations {
		c.t.Errorf("%s: %s (%s): %s", what, v.Help, v.ID, strings.Join(v.Nodes, " | "))
	}
}

// scripts turns the scripts of pages off, or on again.
func (c *chromium) scripts(on bool) {
	c.t.Helper()
	ctx, end := c.step()
	defer end()
	if _, err := chromedp.Call(ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: !on}); err != nil {
		c.t.Fatalf("turning scripts on or off: %v", err)
	}
}

// expect says what the console may say once.
func (c *chromium) expect(text string) { c.expected = append(c.expected, text) }
