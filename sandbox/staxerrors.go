package sandbox

import "net/http"

type staxErrorItem struct {
	Key   string `json:"Key"`
	Value string `json:"Value"`
}

// staxError is the documented body of an error (dev/errors).
func staxError(status int, values ...string) *answer {
	var items []staxErrorItem
	for _, v := range values {
		items = append(items, staxErrorItem{"Api Error", v})
	}
	return jsonAnswer(status, struct {
		ErrorID        int             `json:"ErrorId"`
		HTTPStatusCode int             `json:"HttpStatusCode"`
		Errors         []staxErrorItem `json:"Errors"`
	}{0, status, items})
}

// staxNoRoute is the other shape of a 404, that of the framework's routing.
func staxNoRoute(r *http.Request) *answer {
	return jsonAnswer(http.StatusNotFound, map[string]string{
		"Message": "No HTTP resource was found that matches the request URI '" + baseURL(r) + r.URL.Path + "'.",
	})
}
