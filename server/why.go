package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"latchd/latch"
	"latchd/state"
)

// Story is all that is known here of one customer or one account, oldest first.
// It asks neither service.
type Story struct {
	Customer latch.CustomerID `json:"fusebillId,omitempty"`
	Account  latch.AccountID  `json:"salesforceId,omitempty"`
	// Now says what it is latched to now, or who is latched to it, and how that
	// is known.
	Now     string         `json:"now"`
	Mapping *latch.Mapping `json:"mapping,omitempty"` // of a customer
	// AccountState and MergedInto are what the index knows of an account, Holders
	// the customers that are latched to it, at most maxHolders.
	AccountState latch.AccountState `json:"accountState,omitempty"`
	MergedInto   latch.AccountID    `json:"mergedInto,omitempty"`
	Holders      []latch.CustomerID `json:"holders,omitempty"`

	Events []StoryEvent    `json:"events"`
	Cut    bool            `json:"cut,omitempty"` // there is more; latchd history has it
	Open   []latch.Request `json:"open"`          // requests that are not done
	// Paused is why what is open stays so: nothing is written to Stax Bill.
	Paused *latch.Pause `json:"paused,omitempty"`
	Undo   []StoryUndo  `json:"undo"`
}

// StoryEvent is one line of the history in plain words.
type StoryEvent struct {
	Says  []string    `json:"says"`
	Entry latch.Entry `json:"entry"`
}

// StoryUndo is a way to put something back.
type StoryUndo struct {
	Says    string `json:"says"`
	Command string `json:"command,omitempty"`
}

const (
	maxEvents  = 1000
	maxHolders = 100
)

// why tells the story of a customer, or of an account where the id is one.
func (s *Server) why(_ http.ResponseWriter, r *http.Request) (any, error) {
	id := r.PathValue("id")
	account, accountErr := latch.ParseAccountID(id)
	if accountErr == nil {
		return s.whyAccount(r.Context(), account)
	}
	if strings.HasPrefix(id, latch.AccountPrefix) && len(id) >= 15 {
		return nil, &usageError{accountErr.Error()}
	}
	customer, err := latch.ParseCustomerID(id)
	if err != nil {
		if err := s.otherID(r.Context(), id); err != nil {
			return nil, err
		}
		return nil, &usageError{fmt.Sprintf("%q is neither a customer (a number) nor an account (001 and 15 or 18 characters in all)", id)}
	}
	return s.whyCustomer(r.Context(), customer)
}

// otherID points to the command that shows what has this id; nil where nothing has.
func (s *Server) otherID(ctx context.Context, id string) error {
	if _, err := s.store.Request(ctx, id); !errors.Is(err, state.ErrNotFound) {
		if err != nil {
			return fmt.Errorf("looking whether %q is a request: %w", id, err)
		}
		return &usageError{fmt.Sprintf("%q is a request, and no customer or account: latchd request show %s", id, id)}
	}
	if _, err := s.store.Run(ctx, id); !errors.Is(err, state.ErrNotFound) {
		if err != nil {
			return fmt.Errorf("looking whether %q is a run: %w", id, err)
		}
		return &usageError{fmt.Sprintf("%q is a run, and no customer or account: latchd runs show %s", id, id)}
	}
	return nil
}

func (s *Server) whyCustomer(ctx context.Context, id latch.CustomerID) (any, error) {
	st := Story{Customer: id}
	m, found, err := s.store.Mapping(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("telling of customer %d: %w", id, err)
	}
	info, err := s.store.SurveyInfo(ctx)
	if err != nil {
		return nil, fmt.Errorf("telling of customer %d: %w", id, err)
	}
	asOf := "no survey is complete yet"
	if !info.LastComplete.IsZero() {
		asOf = "the last survey is of " + clock(info.LastComplete)
	}
	st.Now = fmt.Sprintf("Customer %d is latched to no account, as far as is known here (%s).", id, asOf)
	if found {
		st.Mapping = &m
		st.Now = fmt.Sprintf("Customer %d is latched to account %s%s since %s: %s (%s).", id, m.Account, stateText(m.AccountState, m.MergedInto), clock(m.Since), originText(m), asOf)
	}
	field, err := s.customerField(ctx, id)
	if err != nil {
		return nil, err
	}
	st.Now += field
	if err := s.events(ctx, &st, state.HistoryFilter{Customer: id}, state.RequestFilter{Customer: id}); err != nil {
		return nil, err
	}
	st.Undo = undoOf(st)
	if !found && field == "" && len(st.Events) == 0 && len(st.Open) == 0 {
		return nil, &unknownError{
			fmt.Sprintf("nothing is known here of customer %d (%s)", id, asOf),
			"look at the id; what Stax Bill has since then is seen by the next run (latchd --once)",
		}
	}
	return st, nil
}

func (s *Server) whyAccount(ctx context.Context, id latch.AccountID) (any, error) {
	st := Story{Account: id, Undo: []StoryUndo{}}
	holders, err := s.store.Holders(ctx, id, maxHolders)
	if err != nil {
		return nil, fmt.Errorf("telling of account %s: %w", id, err)
	}
	known, err := s.store.Accounts(ctx, []latch.AccountID{id})
	if err != nil {
		return nil, fmt.Errorf("telling of account %s: %w", id, err)
	}
	index, err := s.store.IndexInfo(ctx)
	if err != nil {
		return nil, fmt.Errorf("telling of account %s: %w", id, err)
	}
	st.Holders = holders
	what := ": nothing was pulled from Salesforce yet"
	if !index.LastFull.IsZero() {
		st.AccountState, st.MergedInto = known[id].State, known[id].Survivor
		what = fmt.Sprintf(" %s (by the pull of %s)", accountText(st.AccountState, st.MergedInto), clock(index.LastComplete))
	}
	who := "No customer is latched to it, as far as is known here."
	switch n := len(holders); {
	case n == 1:
		who = fmt.Sprintf("Customer %d is latched to it.", holders[0])
	case n == maxHolders:
		who = fmt.Sprintf("%d customers or more are latched to it.", n)
	case n > 1:
		who = fmt.Sprintf("%d customers are latched to it.", n)
	}
	st.Now = fmt.Sprintf("Account %s%s. %s", id, what, who)
	field, err := s.accountField(ctx, id)
	if err != nil {
		return nil, err
	}
	st.Now += field
	if err := s.events(ctx, &st, state.HistoryFilter{Account: id}, state.RequestFilter{Account: id}); err != nil {
		return nil, err
	}
	return st, nil
}

// events fills in what happened and what is open.
func (s *Server) events(ctx context.Context, st *Story, f state.HistoryFilter, rf state.RequestFilter) error {
	st.Events, st.Open = []StoryEvent{}, []latch.Request{}
	entries, next, err := s.store.History(ctx, f, "", maxEvents)
	if err != nil {
		return fmt.Errorf("reading the history: %w", err)
	}
	st.Cut = next != ""
	requests := map[string]*latch.Request{}
	for _, e := range entries {
		if _, looked := requests[e.Request]; !looked && e.Request != "" {
			req, err := s.store.Request(ctx, e.Request)
			switch {
			case err == nil:
				requests[e.Request] = &req
			case errors.Is(err, state.ErrNotFound): // its time is over
				requests[e.Request] = nil
			default:
				return fmt.Errorf("reading request %s: %w", e.Request, err)
			}
		}
		st.Events = append(st.Events, StoryEvent{Says: tell(e, requests[e.Request]), Entry: e})
	}
	rf.States = []latch.State{latch.Pending, latch.Waiting, latch.Held, latch.Applying}
	if st.Open, _, err = s.store.Requests(ctx, rf, "", maxEvents); err != nil {
		return fmt.Errorf("reading what is open: %w", err)
	}
	if st.Open, err = s.told(ctx, st.Open...); err != nil {
		return err
	}
	if len(st.Open) == 0 {
		st.Open = []latch.Request{}
		return nil
	}
	if st.Paused, err = s.store.Pause(ctx); err != nil {
		return fmt.Errorf("looking whether writes are paused: %w", err)
	}
	return nil
}

// stateText is what is known of an account, to stand behind its id.
func stateText(a latch.AccountState, into latch.AccountID) string {
	if a == "" {
		return ""
	}
	return " (which " + accountText(a, into) + ")"
}

func accountText(a latch.AccountState, into latch.AccountID) string {
	switch a {
	case latch.AccountMerged:
		return "was merged into " + orAnother(into)
	case latch.AccountDeleted:
		return "was deleted"
	case latch.AccountKnown:
		return "exists"
	}
	return "was not shown by Salesforce"
}

func originText(m latch.Mapping) string {
	if m.Origin == latch.OriginApplied {
		return "latchd did that, by request " + m.Request
	}
	return "seen in Stax Bill, not done by latchd"
}

// undoOf says how the last change of a customer is put back.
func undoOf(st Story) []StoryUndo {
	undo := []StoryUndo{}
	for _, r := range st.Open {
		undo = append(undo, StoryUndo{"Take back what is open: request " + r.ID + ".", "latchd request cancel " + r.ID})
	}
	m := st.Mapping
	switch {
	case m == nil:
	case m.Origin != latch.OriginApplied:
		undo = append(undo, StoryUndo{
			"latchd did not latch it so, and has nothing of its own to undo. To have another account there, ask for it.",
			fmt.Sprintf("latchd request add %d ACCOUNT --force", st.Customer),
		})
	default:
		for i := len(st.Events) - 1; i >= 0; i-- {
			e := st.Events[i].Entry
			if e.Request != m.Request || !latch.Outcome(e.Kind).Changed() {
				continue
			}
			says, command := fmt.Sprintf("Put account %s back.", e.From), "latchd undo --request "+m.Request
			if e.From == "" {
				says = "It had no account before. No call takes one off: this writes the row with which Stax Bill's own import does."
				command += fmt.Sprintf(" --unlatch-csv unlatch-%d.csv", st.Customer)
			}
			undo = append(undo, StoryUndo{says, command})
			break
		}
	}
	return undo
}
