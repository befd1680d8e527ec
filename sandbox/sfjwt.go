package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/golang-jwt/jwt/v5"
)

// RegisterJWTKey registers the RSA public key (PEM: PUBLIC KEY or CERTIFICATE)
// that assertions of the JWT bearer flow must be signed for; an empty text takes
// it away again.
func (s *Sandbox) RegisterJWTKey(pem string) error {
	var key any
	if pem != "" {
		parsed, err := jwt.ParseRSAPublicKeyFromPEM([]byte(pem))
		if err != nil {
			return fmt.Errorf("sandbox: registering the public key of the JWT bearer flow: %w; give an RSA key or certificate in PEM", err)
		}
		key = parsed
	}
	s.sessions.mu.Lock()
	defer s.sessions.mu.Unlock()
	s.sessions.jwtKey = key
	return nil
}

// checkAssertion judges the assertion of the JWT bearer flow. An exp far ahead,
// and one written as a text, are let through: clients that send such are at work
// in the field. One that is past is refused with Salesforce's own, misleading
// description.
func (s *Sandbox) checkAssertion(assertion, base string) *answer {
	s.sessions.mu.Lock()
	key := s.sessions.jwtKey
	s.sessions.mu.Unlock()

	parser := jwt.NewParser(jwt.WithoutClaimsValidation(), jwt.WithValidMethods([]string{"RS256"}), jwt.WithJSONNumber())
	claims := jwt.MapClaims{}
	var err error
	if key == nil {
		var token *jwt.Token
		token, _, err = parser.ParseUnverified(assertion, claims)
		if err == nil && token.Method.Alg() != "RS256" {
			err = errors.New("not RS256")
		}
	} else {
		_, err = parser.ParseWithClaims(assertion, claims, func(*jwt.Token) (any, error) { return key, nil })
	}
	if err != nil {
		return oauthError("invalid_grant", "invalid assertion")
	}
	if claims["iss"] != s.org.clientID {
		return oauthError("invalid_client_id", "client identifier invalid")
	}
	if claims["sub"] != s.org.username {
		return oauthError("invalid_grant", "user hasn't approved this consumer")
	}
	audience, _ := claims["aud"].(string)
	switch strings.TrimSuffix(audience, "/") {
	case "https://login.salesforce.com", "https://test.salesforce.com", base:
	default:
		return oauthError("invalid_grant", "audience is invalid")
	}
	exp, ok := expiry(claims["exp"])
	if !ok || exp <= float64(s.now().Unix()) {
		return oauthError("invalid_grant", "expired authorization code")
	}
	return nil
}

func expiry(claim any) (float64, bool) {
	var text string
	switch v := claim.(type) {
	case json.Number:
		text = v.String()
	case string:
		text = v
	}
	exp, err := strconv.ParseFloat(text, 64)
	return exp, err == nil
}
