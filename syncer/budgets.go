package syncer

import "time"

// CallBudgets is what both services said last of the calls that may be made. A
// limit of 0 was not told yet.
type CallBudgets struct {
	SalesforceUsed, SalesforceMax int       // of 24 hours, by everybody in the org
	SalesforceAt                  time.Time // when it was told

	StaxBillMinuteLeft, StaxBillMinute int
	StaxBillDayLeft, StaxBillDay       int
}

// CallBudgets gives that, without a call; zero where there are no services.
func (s *Syncer) CallBudgets() (b CallBudgets) {
	if s.sf != nil {
		u := s.sf.Usage()
		b.SalesforceUsed, b.SalesforceMax, b.SalesforceAt = u.Used, u.Max, u.At
	}
	if s.sb != nil {
		u := s.sb.Budget()
		b.StaxBillMinuteLeft, b.StaxBillMinute = u.RemainingMinute, u.LimitMinute
		b.StaxBillDayLeft, b.StaxBillDay = u.RemainingDay, u.LimitDay
	}
	return b
}
