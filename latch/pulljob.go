package latch

import "time"

// PullJob is a full pull by a query job of Salesforce's Bulk API 2.0. It is kept
// in the state while it is under way, so that a killed process carries on.
type PullJob struct {
	ID         string `json:"id"`         // Salesforce's, 750…
	APIVersion string `json:"apiVersion"` // of its creation; its results can be had with no other
	Org        string `json:"org"`        // the id of the org that has it, 00D…

	CreatedAt time.Time `json:"createdAt"` // by our clock
	// Watermark is the server's clock when it took the job: what changes later
	// may not be in the results.
	Watermark time.Time `json:"watermark"`

	Pages []PullPage `json:"pages,omitempty"` // those that are done, in their order
}

// PullPage is a page of results that is done: its ids are staged.
type PullPage struct {
	Locator string `json:"locator,omitempty"` // of the page that follows; "" = this is the last one
	Rows    int    `json:"rows"`
}
