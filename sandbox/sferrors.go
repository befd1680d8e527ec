package sandbox

import "net/http"

type sfErrorItem struct {
	Message   string   `json:"message"`
	ErrorCode string   `json:"errorCode"`
	Fields    []string `json:"fields,omitempty"`
}

// sfError is the body of every REST error: an array (DOC errorcodes).
func sfError(status int, code, message string) *answer {
	return jsonAnswer(status, []sfErrorItem{{Message: message, ErrorCode: code}})
}

func sfNotFound() *answer {
	return sfError(http.StatusNotFound, "NOT_FOUND", "The requested resource does not exist")
}

// oauthError is the body of the token endpoint's errors: an object.
func oauthError(code, description string) *answer {
	return jsonAnswer(http.StatusBadRequest, map[string]string{"error": code, "error_description": description})
}

// sfProblem is an error of a query or a retrieve, on its way to being an answer.
type sfProblem struct{ code, message string }

func (p *sfProblem) Error() string { return p.code + ": " + p.message }

func (p *sfProblem) answer() *answer { return sfError(http.StatusBadRequest, p.code, p.message) }
