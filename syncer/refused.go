package syncer

import (
	"context"
	"fmt"

	"go.uber.org/zap"

	"latchd/latch"
)

// RefusedError is a pull or survey that would have lost more than the set
// share.
type RefusedError struct{ latch.Refusal }

func (e *RefusedError) Error() string {
	what, cause := "accounts of the index", "the integration user may have lost View All on Account, or records were deleted in bulk"
	if e.Kind == "survey" {
		what, cause = "latched customers of the mapping", "the key may see fewer customers, or links were cleared in bulk"
	}
	return fmt.Sprintf("the %s was refused: it would lose %d of %d %s, more than %s (%d %%) allows; %s. What was known is kept",
		e.Kind, e.Lost, e.Had, what, e.Setting, e.Percent, cause)
}

// Hint is what the operator can do.
func (e *RefusedError) Hint() string {
	return "put the cause right, or, when the loss is real, allow exactly it: latchd approve " + e.Digest
}

func (r *run) refuse(ctx context.Context, ref *latch.Refusal) error {
	r.rec.Refused = ref
	err := &RefusedError{*ref}
	event := latch.EventPullRefused
	if ref.Kind == "survey" {
		event = latch.EventSurveyRefused
	}
	r.log.Error(err.Error(), zap.String("event", event), zap.String("digest", ref.Digest),
		zap.Int("had", ref.Had), zap.Int("lost", ref.Lost), zap.Strings("sample", ref.Sample))
	if serr := r.store.SaveRefusal(ctx, *ref, r.s.now()); serr != nil {
		return fmt.Errorf("recording that the %s was refused: %w", ref.Kind, serr)
	}
	return err
}
