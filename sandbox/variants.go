package sandbox

import (
	"fmt"
	"slices"
	"strings"
	"sync"
)

// Names of the variants: what the public documentation leaves open.
const (
	VariantLatchBody         = "latch.success-body"
	VariantLatchLinked       = "latch.linked-status"
	VariantLatchSameID       = "latch.same-id"
	VariantLatchShared       = "latch.shared-account"
	VariantLatchIDForm       = "latch.id-form"
	VariantLatchStamp        = "latch.modified-timestamp"
	VariantLatchNoCustomer   = "latch.no-customer-status"
	VariantLatchSynchStatus  = "latch.synch-status"
	VariantLatchAccountType  = "latch.account-type"
	VariantLatchIntegration  = "latch.integration"
	VariantIDSets            = "list.id-sets"
	VariantEmptyFilter       = "list.empty-filter"
	VariantFilterCase        = "list.filter-case"
	VariantPageHeaders       = "list.page-headers"
	VariantMaxPageIndex      = "list.max-page-index"
	VariantLastNextPage      = "list.last-next-page"
	VariantDefaultOrder      = "list.default-order"
	VariantDefaultPageSize   = "list.default-page-size"
	VariantTimestamps        = "customer.timestamps"
	VariantNumbers           = "customer.numbers"
	VariantNullLink          = "customer.null-link"
	VariantResetHeader       = "limits.reset-format"
	VariantRetrieveOrder     = "salesforce.retrieve-order"
	VariantRetrieveDoubles   = "salesforce.retrieve-duplicates"
	VariantRetrieveMalformed = "salesforce.retrieve-malformed"
	VariantUndeleteStamp     = "salesforce.undelete-stamp"
	VariantPasswordFlow      = "salesforce.password-flow"
	VariantSOAPLogin         = "salesforce.soap-login"
	VariantRequestField      = "salesforce.request-field"
	VariantBulkHeader        = "salesforce.bulk-header"
	VariantBulkEmpty         = "salesforce.bulk-empty"
	VariantBulkQuotes        = "salesforce.bulk-quotes"
	VariantBulkGzip          = "salesforce.bulk-gzip"
	VariantBulkNext          = "salesforce.bulk-next-link"
	VariantBulkAPIVersion    = "salesforce.bulk-api-version"
	VariantBulkErrorMessage  = "salesforce.bulk-error-message"
	VariantBulkEarly         = "salesforce.bulk-early-results"
	VariantBulkGone          = "salesforce.bulk-gone-results"
)

// Variant is one open question of the documentation and the answers to choose from.
type Variant struct {
	Name   string   `json:"name"`
	Values []string `json:"values"` // the first one is the default
	Fact   string   `json:"fact"`   // what is known, and where it is written
}

// Variants lists every variant. Short addresses: dev/ is
// developer.staxbill.com/reference/.
func Variants() []Variant {
	return []Variant{
		{VariantLatchBody, []string{"customer", "null", "empty-204", "minimal"}, "dev/latch-customer shows a few fields of a customer as the answer; the page was not seen whole, and other calls of this API answer null or 204. minimal: id and salesforceId only"},
		{VariantLatchLinked, []string{"400", "409"}, "dev/latch-customer: forceLatch false on a linked customer \"will return an error\"; dev/errors has 400 for malformed requests and 409 for business rules"},
		{VariantLatchSameID, []string{"error", "ok"}, "dev/latch-customer does not say whether latching the id a customer already has, without force, is an error"},
		{VariantLatchShared, []string{"allowed", "refused"}, "dev/latch-customer says nothing of two customers with one account; dev/latch-customer-1 (HubSpot) allows only one"},
		{VariantLatchIDForm, []string{"as-given", "18"}, "samples show ids of 15 (dev/activate-sync) and 18 characters (dev/latch-customer); whether 15 are converted is not said"},
		{VariantLatchStamp, []string{"moves", "stays"}, "nothing says that a latch changes modifiedTimestamp"},
		{VariantLatchNoCustomer, []string{"404", "400"}, "dev/errors: 404 for a missing resource; the latch page does not show it"},
		{VariantLatchSynchStatus, []string{"unchanged", "Enabled"}, "dev/activate-sync is a call of its own; whether a latch enables the sync is not said"},
		{VariantLatchAccountType, []string{"Company", "null"}, "dev/list-customers: salesforceAccountType is null, Company or Person; who sets it is not said"},
		{VariantLatchIntegration, []string{"enabled", "disabled"}, "the Salesforce integration must be enabled for an account by agreement; the answer without it is not documented"},
		{VariantIDSets, []string{"honoured", "ignored", "400"}, "dev/string-filtering: sets work for enums and some integer fields; id is listed, yet not shown for customers"},
		{VariantEmptyFilter, []string{"honoured", "literal"}, "dev/string-filtering shows [empty] on reference; on salesforceId it follows from the rule only. literal: it is looked for as text"},
		{VariantFilterCase, []string{"insensitive", "sensitive"}, "how string filters compare letters is not said"},
		{VariantPageHeaders, []string{"present", "absent"}, "dev/pagination names the X- headers; that every list sends them is not said"},
		{VariantMaxPageIndex, []string{"last-index", "count"}, "dev/pagination calls X-MaxPageIndex the total number of pages; its name and a connector in the field say the last index"},
		{VariantLastNextPage, []string{"-1", "absent", "0"}, "dev/pagination gives X-PreviousPage -1 on the first page; X-NextPage on the last one is not shown"},
		{VariantDefaultOrder, []string{"id", "id-descending", "mixed"}, "no default order of GET customers is documented"},
		{VariantDefaultPageSize, []string{"100", "1000", "25"}, "dev/resources mentions up to 100, in an example with pageSize=100"},
		{VariantTimestamps, []string{"mixed", "utc", "zoneless"}, "one sample has 2023-04-13T17:41:39.7648223Z and 2023-03-22T19:21:24.857 side by side (dev/netsuite-enable-synchronization); all are UTC (dev/date-filtering)"},
		{VariantNumbers, []string{"strings", "bare"}, "some samples show primaryPhone and reference as bare numbers though typed String (dev/read-customer-overview-1)"},
		{VariantNullLink, []string{"null", "absent"}, "samples show salesforceId null; that it is never left out is not said"},
		{VariantResetHeader, []string{"rfc3339", "zoneless", "unix", "unix-ms", "rfc1123"}, "dev/rate-limits: X-Rate-Limit-Reset-* is a Timestamp"},
		{VariantRetrieveOrder, []string{"request", "found-first"}, "the samples of sObject Collections retrieve keep the order of the request, which is not promised. found-first: by id, then the nulls"},
		{VariantRetrieveDoubles, []string{"repeated", "once"}, "as many elements as ids passed; double ids are not mentioned. once: a later double gives null"},
		{VariantRetrieveMalformed, []string{"null", "400"}, "null where the id is invalid; whether that covers text of no id's shape and ids of other objects is not said"},
		{VariantUndeleteStamp, []string{"moves", "stays"}, "whether undelete changes SystemModstamp is not documented"},
		{VariantPasswordFlow, []string{"blocked", "allowed"}, "OAuth username-password is blocked by default in orgs made since Summer '23"},
		{VariantSOAPLogin, []string{"allowed", "disabled"}, "help.salesforce.com, 005132110: login() of SOAP is disabled by default in new orgs, absent from API version 65.0 on, and retired with Summer '27"},
		{VariantRequestField, []string{"text", "number", "formula", "checkbox", "missing"}, "Stax_Bill_Customer__c may be made as Text (\"1000001\") or Number (1000001.0). formula: its changes leave no stamp; checkbox: it can carry no id; missing: there is none, or the user may not see it"},
		{VariantBulkHeader, []string{"every", "first"}, "samples of Bulk API 2.0 repeat the CSV header on every page of a result; one client in the field says that only the first page has it"},
		{VariantBulkEmpty, []string{"header", "empty", "204"}, "the body of a result without rows is not shown"},
		{VariantBulkQuotes, []string{"all", "needed"}, "samples of results show every value in quotes; that those without need have them is not promised"},
		{VariantBulkGzip, []string{"asked", "always"}, "results are said to be compressed always, and to be so with Accept-Encoding: gzip"},
		{VariantBulkNext, []string{"nextRecordsUrl", "nextRecordUrl"}, "query_get_parallel_job_results: the sample has nextRecordsUrl, the table nextRecordUrl"},
		{VariantBulkAPIVersion, []string{"number", "string"}, "samples of a job have apiVersion 58.0, the table says string"},
		{VariantBulkErrorMessage, []string{"present", "absent"}, "clients in the field read errorMessage of a failed query job; query_get_one_job does not have it"},
		{VariantBulkEarly, []string{"400", "204"}, "the answer to results of a job that is not complete is not documented; old editions say 204"},
		{VariantBulkGone, []string{"404", "400"}, "results are kept seven days; the answer afterwards is not documented"},
	}
}

// variants is the present choice.
type variants struct {
	mu     sync.RWMutex
	chosen map[string]string
}

func newVariants() *variants {
	v := &variants{chosen: map[string]string{}}
	v.reset()
	return v
}

func (v *variants) reset() {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, one := range Variants() {
		v.chosen[one.Name] = one.Values[0]
	}
}

func (v *variants) get(name string) string {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.chosen[name]
}

// set changes all of the choices or none.
func (v *variants) set(choices map[string]string) error {
	known := map[string][]string{}
	for _, one := range Variants() {
		known[one.Name] = one.Values
	}
	for name, value := range choices {
		values, ok := known[name]
		if !ok {
			return fmt.Errorf("sandbox: there is no variant %q; GET /-/sandbox/ lists them", name)
		}
		if !slices.Contains(values, value) {
			return fmt.Errorf("sandbox: variant %s cannot be %q; it is one of %s", name, value, strings.Join(values, ", "))
		}
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	for name, value := range choices {
		v.chosen[name] = value
	}
	return nil
}

func (v *variants) all() map[string]string {
	v.mu.RLock()
	defer v.mu.RUnlock()
	out := make(map[string]string, len(v.chosen))
	for name, value := range v.chosen {
		out[name] = value
	}
	return out
}

// SetVariant switches one open question to another answer.
func (s *Sandbox) SetVariant(name, value string) error {
	return s.variants.set(map[string]string{name: value})
}
