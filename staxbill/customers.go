package staxbill

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"latchd/echo"
	"latchd/latch"
)

// maxSet is the number of ids asked for in one call, so that the address stays
// well below what servers take.
const maxSet = 100

// pageSize is documented as the least maximum (dev/pagination).
const pageSize = 1000

// byID is asked for with every list: no default order is documented.
const byID = "&sortExpression=id&sortOrder=Ascending"

// Customer reads one customer. Found is false only after a 404 in one of the
// service's own shapes; a 404 that speaks of the address, or is an HTML page,
// is an error. The error is an *Error.
func (c *Client) Customer(ctx context.Context, id latch.CustomerID) (latch.CustomerReading, error) {
	r, _, err := c.customer(ctx, id)
	return r, err
}

// CustomerObject reads one customer and gives Stax Bill's own object of it as it
// came, at most 1 MiB; nil where there is no such customer, and where the key, or
// a piece of it, stands in it. The error is an *Error.
func (c *Client) CustomerObject(ctx context.Context, id latch.CustomerID) (json.RawMessage, error) {
	r, body, err := c.customer(ctx, id)
	if err != nil || !r.Found {
		return nil, err
	}
	return c.Shareable(body), nil
}

// Shareable is an answer's body where it is a JSON object that may be passed on,
// else nil.
func (c *Client) Shareable(body []byte) json.RawMessage {
	body = trim(body)
	if len(body) == 0 || body[0] != '{' || !json.Valid(body) || echo.Of(string(body), c.key) {
		return nil
	}
	return json.RawMessage(body)
}

func (c *Client) customer(ctx context.Context, id latch.CustomerID) (latch.CustomerReading, []byte, error) {
	k := call{op: opCustomer, customer: id, method: http.MethodGet, target: "/customers/" + id.String(), maxBody: maxBody}
	if id <= 0 {
		return latch.CustomerReading{}, nil, k.fail(KindRefused, fmt.Errorf("%d is no customer id", id))
	}
	a, failed := c.read(ctx, k)
	if failed != nil {
		if failed.Kind == KindNotFound {
			if said := explain(a.body, c.hide); said.documented && !said.routing {
				return latch.CustomerReading{Customer: id, At: a.asked}, nil, nil
			}
		}
		return latch.CustomerReading{}, nil, failed
	}
	r, err := oneCustomer(a)
	if err == nil && r.Customer != id {
		err = fmt.Errorf("the answer is about customer %d", r.Customer)
	}
	if err != nil {
		return latch.CustomerReading{}, nil, c.senseless(k, a, err)
	}
	return r, a.body, nil
}

// senseless is a 2xx that does not say what was asked.
func (c *Client) senseless(k call, a *answer, err error) *Error {
	if text := err.Error(); c.hide(text) != text {
		err = errors.New(c.hide(text))
	}
	failed := k.fail(KindMalformed, err)
	failed.Status = a.status
	return failed
}

// Customers reads many customers: in sets while the service honours those, else
// one by one, as many at once as the limits allow. Every id asked for is in the
// result. With an error there is no result.
func (c *Client) Customers(ctx context.Context, ids []latch.CustomerID) (map[latch.CustomerID]latch.CustomerReading, error) {
	ids = slices.Clone(ids)
	slices.Sort(ids)
	ids = slices.Compact(ids)
	found := &collected{
		readings: make(map[latch.CustomerID]latch.CustomerReading, len(ids)),
		leftOut:  map[latch.CustomerID]bool{},
	}
	sets, setCtx := errgroup.WithContext(ctx)
	sets.SetLimit(c.budget.maxConcurrent)
	for set := range slices.Chunk(ids, maxSet) {
		sets.Go(func() error { return c.readSet(setCtx, set, found) })
	}
	if err := sets.Wait(); err != nil {
		return nil, err
	}
	ones, oneCtx := errgroup.WithContext(ctx)
	ones.SetLimit(c.budget.maxConcurrent)
	for _, id := range found.missing(ids) {
		leftOut := found.leftOut[id]
		ones.Go(func() error {
			r, err := c.Customer(oneCtx, id)
			if err != nil {
				return err
			}
			if r.Found && leftOut {
				c.giveUpSets("a customer that was left out of a set is there after all")
			}
			found.add(r)
			return nil
		})
	}
	if err := ones.Wait(); err != nil {
		return nil, err
	}
	return found.readings, nil
}

// readSet asks for a set of ids in one call, and leaves those to be asked for
// one by one that the answer does not settle. That a set of ids filters
// customers is documented in general, and not shown for customers
// (dev/string-filtering).
func (c *Client) readSet(ctx context.Context, set []latch.CustomerID, found *collected) error {
	if c.noSets.Load() || len(set) == 1 {
		return nil
	}
	texts := make([]string, len(set))
	for i, id := range set {
		texts[i] = id.String()
	}
	k := call{
		op: opCustomers, method: http.MethodGet, maxBody: maxPage,
		target: fmt.Sprintf("/customers?query=id:%s&pageSize=%d&pageNumber=0%s", strings.Join(texts, ","), pageSize, byID),
	}
	a, failed := c.read(ctx, k)
	if failed != nil {
		if failed.Kind == KindRefused && failed.Status == http.StatusBadRequest {
			c.giveUpSets("answered 400")
			return nil
		}
		return failed
	}
	readings, err := manyCustomers(a)
	if err != nil {
		return c.senseless(k, a, err)
	}
	seen := make(map[latch.CustomerID]latch.CustomerReading, len(readings))
	for _, r := range readings {
		if _, asked := slices.BinarySearch(set, r.Customer); !asked {
			c.giveUpSets("customers came back that were not asked for")
			return nil
		}
		if before, twice := seen[r.Customer]; twice && before != r {
			return c.senseless(k, a, fmt.Errorf("customer %d is in the answer twice, with different values", r.Customer))
		}
		seen[r.Customer] = r
	}
	found.addSet(set, seen)
	return nil
}

// giveUpSets reads one by one from now on, and says so once.
func (c *Client) giveUpSets(why string) {
	if c.noSets.CompareAndSwap(false, true) {
		c.log.Warn("Stax Bill does not honour sets of customer ids; customers are read one by one, at a call each",
			zap.String("event", latch.EventSetsNotHonoured), zap.String("reason", why))
	}
}

// collected is the readings of one Customers.
type collected struct {
	mu       sync.Mutex
	readings map[latch.CustomerID]latch.CustomerReading
	leftOut  map[latch.CustomerID]bool // asked for in a set, and not in its answer
}

func (c *collected) addSet(set []latch.CustomerID, seen map[latch.CustomerID]latch.CustomerReading) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, id := range set {
		if r, ok := seen[id]; ok {
			c.readings[id] = r
		} else {
			c.leftOut[id] = true
		}
	}
}

func (c *collected) add(r latch.CustomerReading) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.readings[r.Customer] = r
}

// missing gives those of ids that have no reading.
func (c *collected) missing(ids []latch.CustomerID) []latch.CustomerID {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []latch.CustomerID
	for _, id := range ids {
		if _, ok := c.readings[id]; !ok {
			out = append(out, id)
		}
	}
	return out
}
