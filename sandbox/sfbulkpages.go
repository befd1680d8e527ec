package sandbox

import (
	"io"
	"net/http"
	"strconv"
)

const (
	bulkPagesAtOnce = 5             // links in one answer of resultPages
	bulkFileBytes   = 1_000_000_000 // of one retrieved file
)

// bulkResults finds the result that a call asks for, and has it served: without a
// lock, as it may take long.
func (s *Sandbox) bulkResults(id string, serve func(*call, *bulkJob, *bulkResult) *answer) func(*call) *answer {
	return func(c *call) *answer {
		var job *bulkJob
		var result *bulkResult
		refused := s.withJob(id, func(c *call, j *bulkJob) *answer {
			job, result = j, j.result
			return s.bulkRefusal(c, j)
		})(c)
		if refused != nil {
			return refused
		}
		return serve(c, job, result)
	}
}

// bulkRefusal says why there is no result, or nil. The caller holds bulk.mu.
func (s *Sandbox) bulkRefusal(c *call, j *bulkJob) *answer {
	switch {
	case c.version != j.version:
		return sfError(http.StatusConflict, "API_ERROR", "The results must be retrieved with the API version of the job, "+j.version)
	case j.state != bulkComplete:
		if s.variants.get(VariantBulkEarly) == "204" {
			return newAnswer(http.StatusNoContent, "", nil)
		}
		return (&sfProblem{"API_ERROR", "The job is in the state " + j.state + "; there are results in the state JobComplete only"}).answer()
	case j.gone || c.at.Sub(j.moved) >= bulkResultLife:
		if s.variants.get(VariantBulkGone) == "400" {
			return (&sfProblem{"API_ERROR", "The results of the job are no longer available"}).answer()
		}
		return sfNotFound()
	}
	return nil
}

// bulkPage serves …/results (query_get_job_results).
func (s *Sandbox) bulkPage(c *call, j *bulkJob, result *bulkResult) *answer {
	total := result.rows()
	row, ok := result.at(c.query.Get("locator"))
	if !ok {
		return (&sfProblem{"API_ERROR", "Invalid locator"}).answer()
	}
	w := &csvWriter{j.format, j.query.object, j.query.fields, s.variants.get(VariantBulkQuotes) == "all"}
	n := j.pageRows(w)
	if text := c.query.Get("maxRecords"); text != "" {
		asked, err := strconv.Atoi(text)
		if err != nil || asked < 1 {
			return (&sfProblem{"API_ERROR", "maxRecords must be a positive number"}).answer()
		}
		n = min(asked, bulkFileBytes/w.rowBytes())
	}
	n = min(n, total-row)

	a := newAnswer(http.StatusOK, "text/csv", nil)
	a.header.Set("Sforce-NumberOfRecords", strconv.Itoa(n))
	a.header.Set("Sforce-Locator", "null")
	if row+n < total {
		a.header.Set("Sforce-Locator", result.locator(row+n))
	}
	header := row == 0 || s.variants.get(VariantBulkHeader) == "every"
	if total == 0 {
		switch s.variants.get(VariantBulkEmpty) {
		case "empty":
			header = false
		case "204":
			a.status, header = http.StatusNoContent, false
		}
	}
	a.zipped = s.variants.get(VariantBulkGzip) == "always"
	if a.status == http.StatusOK {
		a.size = n * w.rowBytes()
		a.stream = func(out io.Writer) error { return result.write(out, w, header, row, n) }
	}
	return a
}

// pageRows is how many rows a page has for which no maxRecords is given.
func (j *bulkJob) pageRows(w *csvWriter) int { return min(j.pace.PageRows, bulkFileBytes/w.rowBytes()) }

// bulkPages serves …/resultPages (query_get_parallel_job_results). Its table
// spells the next link nextRecordUrl, its sample nextRecordsUrl.
func (s *Sandbox) bulkPages(c *call, j *bulkJob, result *bulkResult) *answer {
	row, ok := result.at(c.query.Get("locator"))
	if !ok {
		return (&sfProblem{"API_ERROR", "Invalid locator"}).answer()
	}
	type page struct {
		URL string `json:"resultUrl"`
	}
	pages, total := []page{}, result.rows()
	root := "/services/data/v" + c.version + "/jobs/query/" + j.id
	step := j.pageRows(&csvWriter{format: j.format, object: j.query.object, fields: j.query.fields})
	for ; row < total && len(pages) < bulkPagesAtOnce; row += step {
		pages = append(pages, page{root + "/results?locator=" + result.locator(row)})
	}
	out := map[string]any{"resultPages": pages, "done": row >= total}
	if row < total {
		out[s.variants.get(VariantBulkNext)] = root + "/resultpages?locator=" + result.locator(row)
	}
	return jsonAnswer(http.StatusOK, out)
}
