package sandbox

import (
	"fmt"
	"time"
)

const (
	bulkDay        = 24 * time.Hour
	bulkJobsPerDay = 10_000
	bulkKBPerDay   = 1_000_000_000 // 1 TB of results
)

// bulkQuota is how many query jobs the org may make, and how much they may store,
// in any 24 hours.
type bulkQuota struct {
	jobs, storedKB int // spent by others
	made           []time.Time
}

// SetBulkSpent says how many of the 10,000 query jobs, and how many of the
// 1,000,000,000 kB of results, of the last 24 hours were spent by others. The
// sandbox never gives these back by itself. Jobs made here count on top, for 24
// hours; the size of their results does not.
func (s *Sandbox) SetBulkSpent(jobs, storedKB int) error {
	if jobs < 0 || storedKB < 0 {
		return fmt.Errorf("sandbox: %d jobs and %d kB spent are none; give numbers from 0 on", jobs, storedKB)
	}
	s.bulk.mu.Lock()
	defer s.bulk.mu.Unlock()
	s.bulk.quota.jobs, s.bulk.quota.storedKB = jobs, storedKB
	return nil
}

// spent counts the jobs of the last 24 hours.
func (q *bulkQuota) spent(now time.Time) int {
	for len(q.made) > 0 && now.Sub(q.made[0]) >= bulkDay {
		q.made = q.made[1:]
	}
	return q.jobs + len(q.made)
}

// take counts one more job, or gives the refusal.
func (q *bulkQuota) take(now time.Time) *answer {
	if n := q.spent(now); n >= bulkJobsPerDay {
		return (&sfProblem{"LIMIT_EXCEEDED", fmt.Sprintf("Max bulk v2 query jobs (%d) per 24 hrs has been reached (%d)", bulkJobsPerDay, n+1)}).answer()
	}
	if q.storedKB >= bulkKBPerDay {
		return (&sfProblem{"LIMIT_EXCEEDED", fmt.Sprintf("Max bulk v2 query result size stored (%d) kb per 24 hrs has been exceeded", bulkKBPerDay)}).answer()
	}
	q.made = append(q.made, now)
	return nil
}

// left is what may still be made, and stored in MB.
func (b *bulk) left(now time.Time) (jobs, storageMB int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return max(0, bulkJobsPerDay-b.quota.spent(now)), max(0, bulkKBPerDay-b.quota.storedKB) / 1024
}
