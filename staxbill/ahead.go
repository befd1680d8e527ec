package staxbill

import (
	"bytes"
	"context"
)

// pagesAhead is how many pages of a survey are on their way at once: one is
// downloaded while the other is read.
const pagesAhead = 2

// ahead downloads the pages of a list, each into one of as many buffers as may
// be on their way, so that a list of any length takes the memory of two pages.
type ahead struct {
	ask    func(ctx context.Context, number int, into *bytes.Buffer) (*answer, *Error)
	ctx    context.Context
	cancel context.CancelFunc
	asked  []*listPage // in order
	free   []*bytes.Buffer
}

// listPage is a page that was asked for.
type listPage struct {
	number int
	into   *bytes.Buffer
	done   chan struct{} // closed once the others are set
	a      *answer       // its body is into's
	failed *Error
}

func (d *ahead) init(ctx context.Context, ask func(context.Context, int, *bytes.Buffer) (*answer, *Error)) {
	d.ask = ask
	d.ctx, d.cancel = context.WithCancel(ctx)
	for range pagesAhead {
		d.free = append(d.free, &bytes.Buffer{})
	}
}

// get gives a page, and asks for those behind it that exist says are there. The
// page is to be given back by used.
func (d *ahead) get(number int, exists func(number int) bool) *listPage {
	if len(d.asked) > 0 && d.asked[0].number != number {
		d.forget()
	}
	if len(d.asked) == 0 {
		d.start(number)
	}
	for next := d.asked[len(d.asked)-1].number + 1; len(d.free) > 0 && exists(next); next++ {
		d.start(next)
	}
	p := d.asked[0]
	<-p.done
	d.asked = d.asked[1:]
	return p
}

// used gives the buffer of a page back.
func (d *ahead) used(p *listPage) { d.free = append(d.free, p.into) }

func (d *ahead) start(number int) {
	p := &listPage{number: number, into: d.free[0], done: make(chan struct{})}
	d.free = d.free[1:]
	d.asked = append(d.asked, p)
	go func() {
		defer close(p.done)
		p.a, p.failed = d.ask(d.ctx, number, p.into)
	}()
}

// forget waits for the pages on their way and drops them.
func (d *ahead) forget() {
	for _, p := range d.asked {
		<-p.done
		d.used(p)
	}
	d.asked = nil
}

// stop ends the calls under way.
func (d *ahead) stop() {
	d.cancel()
	d.forget()
}
