package sandbox

import (
	"bytes"
	"encoding/json"
	"strconv"
	"time"
)

// customerJSON writes a customer with the documented names in the documented
// order (dev/netsuite-enable-synchronization).
func (s *Sandbox) customerJSON(c Customer, uri string) json.RawMessage {
	h := s.seed.hash(domainCustomer, c.Index)
	first, last := firstNames[h%uint64(len(firstNames))], lastNames[(h>>8)%uint64(len(lastNames))]
	phone := strconv.FormatUint(6135550000+h%10000, 10)
	bare := s.variants.get(VariantNumbers) == "bare"
	o := &jsonObject{}
	o.text("firstName", first).null("middleName").text("lastName", last).text("companyName", c.CompanyName).null("suffix")
	o.text("primaryEmail", "billing"+strconv.Itoa(c.Index)+"@example.com")
	if bare {
		o.raw("primaryPhone", phone)
	} else {
		o.text("primaryPhone", phone)
	}
	o.null("secondaryEmail").null("secondaryPhone").null("title")
	switch {
	case c.Reference == "":
		o.null("reference")
	case bare:
		o.raw("reference", strconv.Itoa(c.Index))
	default:
		o.text("reference", c.Reference)
	}
	o.text("status", c.Status).text("customerAccountStatus", "Good").text("currency", "USD").raw("canChangeCurrency", "false")
	id := strconv.FormatInt(c.ID, 10)
	o.raw("customerReference", `{"reference1":null,"reference2":null,"reference3":null,"salesTrackingCodes":[],"id":`+id+`,"uri":null}`)
	o.raw("customerAcquisition", `{"adContent":null,"campaign":null,"keyword":null,"landingPage":null,"medium":null,"source":null,"id":`+id+`,"uri":null}`)
	o.raw("monthlyRecurringRevenue", strconv.FormatUint(h>>16%5000, 10)+".00").raw("netMonthlyRecurringRevenue", strconv.FormatUint(h>>16%5000, 10)+".00")
	if c.SalesforceID != "" || s.variants.get(VariantNullLink) == "null" {
		o.textOrNull("salesforceId", c.SalesforceID)
	}
	o.textOrNull("salesforceAccountType", c.SalesforceAccountType).textOrNull("salesforceSynchStatus", c.SalesforceSynchStatus)
	for _, name := range []string{"netsuiteId", "netsuiteSynchStatus", "netsuiteCustomerType", "portalUserName", "parentId"} {
		o.null(name)
	}
	o.raw("isParent", "false")
	for _, name := range []string{"quickBooksLatchType", "quickBooksId", "quickBooksSyncToken", "hubSpotId", "hubSpotCompanyId", "geotabId", "digitalRiverId"} {
		o.null(name)
	}
	o.text("modifiedTimestamp", s.staxStamp(c.ModifiedTimestamp, true)).text("createdTimestamp", s.staxStamp(c.CreatedTimestamp, false))
	o.raw("requiresProjectedInvoiceGeneration", "false").raw("requiresFinancialCalendarGeneration", "false")
	o.raw("id", id).text("uri", uri+"/customers/"+id)
	return o.end()
}

// staxStamp writes a time in one of the forms that samples show side by side.
func (s *Sandbox) staxStamp(t time.Time, modified bool) string {
	t = t.UTC()
	switch form := s.variants.get(VariantTimestamps); {
	case form == "utc", form == "mixed" && modified:
		return t.Format("2006-01-02T15:04:05.9999999Z")
	case form == "mixed":
		return t.Truncate(time.Millisecond).Format("2006-01-02T15:04:05.999")
	}
	return t.Format("2006-01-02T15:04:05")
}

// jsonObject writes a JSON object in the order of the calls.
type jsonObject struct{ b bytes.Buffer }

func (o *jsonObject) raw(name, value string) *jsonObject {
	sep := byte(',')
	if o.b.Len() == 0 {
		sep = '{'
	}
	o.b.WriteByte(sep)
	o.b.WriteString(strconv.Quote(name) + ":" + value)
	return o
}

func (o *jsonObject) null(name string) *jsonObject { return o.raw(name, "null") }

func (o *jsonObject) text(name, value string) *jsonObject {
	quoted, err := json.Marshal(value)
	if err != nil {
		panic("sandbox: marshalling a text: " + err.Error()) // cannot fail
	}
	return o.raw(name, string(quoted))
}

func (o *jsonObject) textOrNull(name, value string) *jsonObject {
	if value == "" {
		return o.null(name)
	}
	return o.text(name, value)
}

func (o *jsonObject) end() json.RawMessage {
	o.b.WriteByte('}')
	return o.b.Bytes()
}
