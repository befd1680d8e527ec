package server

import (
	_ "embed"
	"net/http"
	"time"
)

// openAPIPath is where the description of the HTTP endpoints is, for everybody
// who reaches them.
const openAPIPath = "/openapi.json"

// openAPI describes the operator's API and the Latch endpoint (OpenAPI 3.1). It
// is made from the types that go over the wire and the table in
// openapi_table_test.go: go test ./server -run OpenAPI -update.
//
//go:embed openapi.json
var openAPI []byte

func describe(w http.ResponseWriter, _ *http.Request) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(lineTime)) // in process there is none to set
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(openAPI) // a caller that is gone needs no answer
}
