package notify

import (
	"context"
	"fmt"
	"net/url"
	"strings"

	"latchd/latch"
)

// beat calls the dead man's switch: its address after a run that was done, with
// /fail appended after one that failed. A run that a service or a limit stopped is
// neither: when none is done for long, the silence tells.
func (n *Notifier) beat(ctx context.Context, address string, run latch.Run) bool {
	if address == "" {
		return true
	}
	switch run.Result {
	case latch.RunDone:
	case latch.RunFailed:
		u, err := url.Parse(address)
		if err != nil {
			return n.outcome(ctx, settingHeartbeat, errAddress)
		}
		u.Path = strings.TrimRight(u.Path, "/") + "/fail"
		u.RawPath = ""
		address = u.String()
	default:
		return true
	}
	text := fmt.Sprintf("run %s: %s\n", run.ID, run.Result)
	for _, o := range latch.Outcomes {
		if c := run.Outcomes[o]; c > 0 {
			text += fmt.Sprintf("%d %s\n", c, o)
		}
	}
	text += fmt.Sprintf("%d pending, %d waiting, %d held\n", run.Pending, run.Waiting, run.Held)
	return n.outcome(ctx, settingHeartbeat, n.post(ctx, address, "text/plain; charset=utf-8", []byte(text)))
}
