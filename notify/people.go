package notify

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"go.uber.org/zap"

	"latchd/latch"
)

const (
	noteTold = "notify-told"
	// A message looks at the last runs, and, where people know none of these, at
	// more of them.
	lookBack, lookFurther = 20, 1000
	// failuresInARow are told of, once; fewer are weather.
	failuresInARow = 3
)

// told is what people know already. It is kept in the state, so that a restart
// neither repeats nor swallows anything; a crash between the call and its note
// repeats one message.
type told struct {
	Run     string `json:"run"`               // everything up to this run
	Digest  string `json:"digest,omitempty"`  // of what was held
	Held    int    `json:"held,omitempty"`    // how many those were
	Refused string `json:"refused,omitempty"` // digest of a refused pull or survey
	Failing bool   `json:"failing,omitempty"`
}

// tellPeople sends one message about all that is new, if anything is.
func (n *Notifier) tellPeople(ctx context.Context, address string) bool {
	text, now, err := n.news(ctx)
	if err != nil {
		if ctx.Err() == nil {
			n.log.Warn("what a person has to know could not be read from the state", zap.String("event", latch.EventNotifyFailed), zap.Error(err))
		}
		return false
	}
	if text != "" {
		body, err := json.Marshal(map[string]string{"text": text})
		if err == nil {
			err = n.post(ctx, address, "application/json", body)
		}
		if !n.outcome(ctx, settingWebhook, err) {
			return false
		}
		n.log.Info("people were told: "+text, zap.String("event", latch.EventPeopleTold))
	}
	// The call was made, whatever becomes of the context.
	if err := n.keep(context.WithoutCancel(ctx), now); err != nil {
		n.log.Warn("what people were told could not be noted", zap.String("event", latch.EventNotifyFailed), zap.Error(err))
		return false
	}
	return true
}

// known is what people know. Whoever is told for the first time gets no history:
// what was there ahead of this process's run counts as known.
func (n *Notifier) known(ctx context.Context) (t told, err error) {
	note, err := n.store.Note(ctx, noteTold)
	if err != nil {
		return t, err
	}
	if note != "" && json.Unmarshal([]byte(note), &t) == nil {
		return t, nil
	}
	n.mu.Lock()
	before := ""
	if n.last != nil {
		before = n.last.ID
	}
	n.mu.Unlock()
	runs, _, err := n.store.Runs(ctx, before, 1)
	if err != nil {
		return t, err
	}
	if len(runs) > 0 {
		t.Run = runs[0].ID
	}
	return t, n.keep(ctx, t)
}

func (n *Notifier) keep(ctx context.Context, t told) error {
	note, err := json.Marshal(t)
	if err != nil {
		return fmt.Errorf("noting what people know: %w", err)
	}
	if kept, err := n.store.Note(ctx, noteTold); err == nil && kept == string(note) {
		return nil // no sync for nothing
	}
	return n.store.SetNote(ctx, noteTold, string(note))
}

// news works out what is new since what people know.
func (n *Notifier) news(ctx context.Context) (text string, now told, err error) {
	before, err := n.known(ctx)
	if err != nil {
		return "", now, err
	}
	runs, _, err := n.store.Runs(ctx, "", lookBack)
	if err == nil && before.Run != "" && len(runs) == lookBack && runs[lookBack-1].ID > before.Run {
		runs, _, err = n.store.Runs(ctx, "", lookFurther)
	}
	if err != nil {
		return "", now, err
	}
	runs = slices.DeleteFunc(runs, func(r latch.Run) bool { return r.DryRun || r.FinishedAt.IsZero() })
	now = before
	if len(runs) == 0 {
		return "", now, nil
	}
	now.Run = max(now.Run, runs[0].ID)
	var lines []string
	say := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }

	n.needs(runs, before, say)
	if now.Digest, now.Held, err = n.store.HeldDigest(ctx); err != nil {
		return "", now, err
	}
	// Where some of what was held is released, nothing is new.
	if now.Held > 0 && now.Digest != before.Digest && now.Held >= before.Held {
		say("%s held until a person decides. See why with `latchd plan`, release exactly these with `latchd approve %s`.", areOrIs(now.Held, "request"), now.Digest)
	}
	if ref := runs[0].Refused; ref != nil {
		if ref.Digest != before.Refused {
			say("a %s was refused, since it would lose %d of %d. Find the cause; if the loss is real, allow exactly it with `latchd approve %s`.", ref.Kind, ref.Lost, ref.Had, ref.Digest)
		}
		now.Refused = ref.Digest
	} else {
		now.Refused = ""
	}
	n.failing(runs, before, &now, say)
	if len(lines) == 0 {
		return "", now, nil
	}
	return "latchd on " + n.host + ": " + strings.Join(lines, "\n"), now, nil
}

// needs says what requests ended in a way that a person has to look at.
func (n *Notifier) needs(runs []latch.Run, before told, say func(string, ...any)) {
	count := map[latch.Outcome]int{}
	total := 0
	for _, r := range runs {
		if r.ID <= before.Run {
			break
		}
		for o, c := range r.Outcomes {
			if o.NeedsPerson() {
				count[o] += c
				total += c
			}
		}
	}
	if total == 0 {
		return
	}
	var parts []string
	for _, o := range latch.Outcomes {
		if count[o] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", count[o], o))
		}
	}
	say("%s a person: %s. List them with `latchd request list --for-person`.", needOrNeeds(total, "request"), strings.Join(parts, ", "))
}

// failing says that runs fail, once, and that they do no more.
func (n *Notifier) failing(runs []latch.Run, before told, now *told, say func(string, ...any)) {
	failed := 0
	for _, r := range runs {
		if r.Result == latch.RunCancelled {
			continue
		}
		if r.Result == latch.RunDone {
			break
		}
		failed++
	}
	switch {
	case failed >= failuresInARow && !before.Failing:
		say("%d runs in a row were not done; the last one is %s. See `latchd status`.", failed, runs[0].ID)
		now.Failing = true
	case failed == 0 && before.Failing:
		say("runs are done again.")
		now.Failing = false
	}
}

func areOrIs(n int, thing string) string {
	if n == 1 {
		return "1 " + thing + " is"
	}
	return fmt.Sprintf("%d %ss are", n, thing)
}

func needOrNeeds(n int, thing string) string {
	if n == 1 {
		return "1 " + thing + " needs"
	}
	return fmt.Sprintf("%d %ss need", n, thing)
}
