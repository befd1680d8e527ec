package server

import (
	"net/http"
	"slices"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"latchd/latch"
)

// LogLevel is the body of PUT /log-level, and its answer and that of GET.
type LogLevel struct {
	Level string `json:"level"`
}

var logLevels = []string{"debug", "info", "warn", "error"}

func (s *Server) showLogLevel(http.ResponseWriter, *http.Request) (any, error) {
	if s.level == nil {
		return nil, errNoLog
	}
	return LogLevel{s.level.Level().String()}, nil
}

// setLogLevel changes the level of the daemon's log until it is restarted, or
// reads its configuration again.
func (s *Server) setLogLevel(w http.ResponseWriter, r *http.Request) (any, error) {
	var body LogLevel
	if err := readJSON(w, r, &body); err != nil {
		return nil, err
	}
	if s.level == nil {
		return nil, errNoLog
	}
	level, err := zapcore.ParseLevel(body.Level)
	if err != nil || !slices.Contains(logLevels, body.Level) {
		return nil, &usageError{"level is none of debug, info, warn, error"}
	}
	was := s.level.Level()
	s.level.SetLevel(min(was, zapcore.InfoLevel)) // so that the log tells of it
	s.log.Info("the log's level is changed", zap.String("event", latch.EventLogLevel),
		zap.String("from", was.String()), zap.String("to", body.Level), zap.String("by", caller(r)))
	s.level.SetLevel(level)
	return LogLevel{level.String()}, nil
}

var errNoLog = &usageError{"no daemon runs here, so there is no log whose level could be changed; log.level in the configuration is that of the next one"}
