package syncer

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"iter"
	"strconv"
	"time"

	"go.uber.org/zap"

	"latchd/latch"
	"latchd/state"
)

const (
	fileBatch   = 1000  // lines filed in one transaction
	maxRefused  = 10000 // refused lines that a report lists
	maxLineLogs = 100   // refused lines that a file may log
)

// ImportOptions say what is imported and how.
type ImportOptions struct {
	// Name is the file's, for messages, reports and the requests' source; its
	// ending tells NDJSON (.ndjson, .jsonl). Empty or "-" is standard input.
	Name string
	// Force makes the lines ask for force when the file does not say itself.
	Force bool
	// NoForce refuses the lines that ask for force.
	NoForce bool
	// Again files lines anew that were filed from the same file before.
	Again bool
	By    string
	// Source begins the source of each request, SOURCE:NAME:LINE; empty is
	// "import".
	Source string
}

var errMayNotForce = errors.New("it asks for forceLatch, and the key of this call may not force a latch (allow_force)")

// RefusedLine is a line that was not accepted, and why.
type RefusedLine struct {
	Line   int    `json:"line"` // as an editor counts
	Reason string `json:"reason"`
}

// ImportReport is what became of the lines of a file. Lines counts those that
// are neither blank nor a header, and is the sum of accepted, known, skipped
// and refused.
type ImportReport struct {
	Name     string `json:"name"`
	Lines    int    `json:"lines"`
	Accepted int    `json:"accepted"`
	// Known counts lines that led to a request that was there already, by its
	// outcome or, while it has none, its state.
	Known map[string]int `json:"known"`
	// Superseded counts requests that gave way to one of this file.
	Superseded int `json:"superseded"`
	// Skipped counts rows of a Manage Salesforce sheet that ask for nothing.
	Skipped      int           `json:"skipped"`
	Refused      []RefusedLine `json:"refused"` // the first 10,000
	RefusedCount int           `json:"refusedCount"`
}

// Import takes in a file of requests: CSV, NDJSON, or Stax Bill's Manage
// Salesforce sheet, at most 64 MiB. Lines are filed 1,000 at a time; each is
// durable on return, and after a crash or an error the same import goes on
// where it ended and files nothing twice.
//
// A *FileRefusedError means that nothing was taken in. With any other error the
// report tells what was accepted before it. Refused lines are no error.
func (s *Syncer) Import(ctx context.Context, o ImportOptions, r io.Reader) (ImportReport, error) {
	if o.Source == "" {
		o.Source = "import"
	}
	if o.Name == "" || o.Name == "-" {
		o.Name = "stdin"
	}
	body, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	if err != nil {
		return ImportReport{Name: o.Name}, fmt.Errorf("reading %s: %w", shown(o.Name), err)
	}
	rep, err := importer{store: s.store, log: s.log, now: s.now, tell: s.tellSuperseded, shown: s.settings().OneShot}.file(ctx, o, body)
	if rep.Accepted > 0 || rep.Known[string(latch.Pending)] > 0 {
		s.arrived()
	}
	return rep, err
}

// importer files what is in files.
type importer struct {
	store *state.Store
	log   *zap.Logger
	now   func() time.Time
	run   string // "" outside of a run
	tell  func(state.Filed)
	// shown means that who called is shown what was refused, in this very
	// terminal: the log does not say it a second time.
	shown bool
}

// file files the lines of one file.
func (im importer) file(ctx context.Context, o ImportOptions, body []byte) (ImportReport, error) {
	rep := ImportReport{Name: shown(o.Name), Known: map[string]int{}, Refused: []RefusedLine{}}
	lines, err := fileLines(o.Name, body, o.Force)
	if err != nil {
		if !im.shown {
			im.log.Warn("a file was refused", zap.String("event", latch.EventFileRefused), zap.String("file", rep.Name), zap.String("error", err.Error()))
		}
		var refused *FileRefusedError
		if errors.As(err, &refused) {
			refused.Name = rep.Name
		}
		return rep, err
	}
	identity, err := identityPrefix(body, o.Again)
	if err != nil {
		return rep, err
	}
	err = im.lines(ctx, o, lines, identity, &rep)
	known := 0
	for _, n := range rep.Known {
		known += n
	}
	fields := []zap.Field{
		zap.String("event", latch.EventImported), zap.String("file", rep.Name), zap.Int("lines", rep.Lines),
		zap.Int("accepted", rep.Accepted), zap.Int("known", known), zap.Int("superseded", rep.Superseded),
		zap.Int("skipped", rep.Skipped), zap.Int("refused", rep.RefusedCount),
	}
	if err != nil {
		im.log.Error("importing a file ended early", append(fields, zap.Error(err))...)
		return rep, fmt.Errorf("importing %s ended early, %d of its requests are accepted and kept; import the same file again to go on: %w", rep.Name, rep.Accepted, err)
	}
	im.log.Info("file imported", fields...)
	return rep, nil
}

// lines files in batches. Identities end in the number of the line.
func (im importer) lines(ctx context.Context, o ImportOptions, lines iter.Seq[line], identity string, rep *ImportReport) error {
	batch := make([]latch.Filing, 0, fileBatch)
	read := 0
	for l := range lines {
		if read++; read%fileBatch == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		switch {
		case l.Err != nil:
			rep.Lines++
			im.refused(rep, l)
			continue
		case l.Skip:
			rep.Lines++
			rep.Skipped++
			continue
		}
		f := l.Filing
		if f.Force && o.NoForce {
			l.Err = errMayNotForce
			rep.Lines++
			im.refused(rep, l)
			continue
		}
		number := strconv.Itoa(l.Number)
		f.Source, f.By, f.Identity = o.Source+":"+rep.Name+":"+number, o.By, identity+":"+number
		if batch = append(batch, f); len(batch) < fileBatch {
			continue
		}
		if err := im.batch(ctx, batch, rep); err != nil {
			return err
		}
		batch = batch[:0]
	}
	return im.batch(ctx, batch, rep)
}

func (im importer) refused(rep *ImportReport, l line) {
	rep.RefusedCount++
	if len(rep.Refused) < maxRefused {
		rep.Refused = append(rep.Refused, RefusedLine{Line: l.Number, Reason: l.Err.Error()})
	}
	if im.shown || rep.RefusedCount > maxLineLogs {
		return
	}
	fields := []zap.Field{
		zap.String("event", latch.EventLineRefused), zap.String("file", rep.Name), zap.Int("line", l.Number), zap.Error(l.Err),
	}
	if l.Filing.Customer != 0 {
		fields = append(fields, zap.Int64("fusebillId", int64(l.Filing.Customer)))
	}
	im.log.Warn("a line of a file was refused", fields...)
}

// batch files some lines in one transaction.
func (im importer) batch(ctx context.Context, batch []latch.Filing, rep *ImportReport) error {
	if len(batch) == 0 {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	filed, err := im.store.File(ctx, im.run, batch, im.now())
	if err != nil {
		return fmt.Errorf("filing %s: %w", counted(len(batch), "line"), err)
	}
	rep.Lines += len(filed)
	for _, f := range filed {
		rep.Superseded += len(f.Superseded)
		if f.Known {
			rep.Known[standing(f.Request)]++
		} else {
			rep.Accepted++
		}
		logFiled(im.log, zap.DebugLevel, f)
		im.tell(f)
	}
	return nil
}

// standing is a request's outcome or, while it has none, its state.
func standing(r latch.Request) string {
	if r.Outcome != "" {
		return string(r.Outcome)
	}
	return string(r.State)
}

// identityPrefix is the SHA-256 of a file's bytes, so that its lines are known
// again; with again it is random, so that they are not.
func identityPrefix(body []byte, again bool) (string, error) {
	if !again {
		sum := sha256.Sum256(body)
		return hex.EncodeToString(sum[:]), nil
	}
	fresh := make([]byte, sha256.Size)
	if _, err := rand.Read(fresh); err != nil {
		return "", fmt.Errorf("drawing a random identity: %w", err)
	}
	return hex.EncodeToString(fresh), nil
}
