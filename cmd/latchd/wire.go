package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"latchd/config"
	"latchd/latch"
	"latchd/metrics"
	"latchd/notify"
	"latchd/sfclient"
	"latchd/state"
	"latchd/staxbill"
	"latchd/syncer"
)

// callTimeout bounds one call to either service. A daemon that is told to stop
// has 20 seconds, and sees calls that have gone out to their end.
const callTimeout = 12 * time.Second

// newLogger logs to w: columns for a terminal, JSON for machines.
func newLogger(w io.Writer, format string, level zap.AtomicLevel) *zap.Logger {
	enc := zapcore.EncoderConfig{
		TimeKey: "time", LevelKey: "level", MessageKey: "msg", StacktraceKey: "", LineEnding: "\n",
		EncodeLevel: zapcore.LowercaseLevelEncoder, EncodeDuration: zapcore.StringDurationEncoder,
		EncodeTime: func(t time.Time, e zapcore.PrimitiveArrayEncoder) {
			e.AppendString(t.UTC().Format("2006-01-02T15:04:05.000Z"))
		},
	}
	console := format == "console"
	if format == "auto" {
		console = isTerminal(w)
	}
	encoder := zapcore.NewJSONEncoder(enc)
	if console {
		encoder = zapcore.NewConsoleEncoder(enc)
	}
	return zap.New(zapcore.NewCore(encoder, zapcore.Lock(zapcore.AddSync(w)), level), zap.ErrorOutput(zapcore.AddSync(io.Discard)))
}

func logLevel(name string) zapcore.Level {
	level, err := zapcore.ParseLevel(name)
	if err != nil {
		return zapcore.InfoLevel
	}
	return level
}

// settingsOf is what a run needs of the configuration.
func settingsOf(c *config.Config) syncer.Settings {
	return syncer.Settings{
		Policy: latch.Policy{
			FollowMerges: c.Requests.FollowMerges, SharedAccount: latch.SharedAccount(c.Requests.SharedAccount), WaitForAccount: c.Requests.WaitForAccount,
		},
		Limits: latch.Limits{
			MaxRelatches: c.Guard.MaxRelatches, MaxRelatchPercent: c.Guard.MaxRelatchPercent, MaxLatches: c.Guard.MaxLatches,
			MaxCustomersPerAccount: c.Guard.MaxCustomersPerAccount,
			MaxLostAccountsPercent: c.Guard.MaxLostAccountsPercent, MaxLostMappingsPercent: c.Guard.MaxLostMappingsPercent,
		},
		MaxAttempts: c.Requests.MaxAttempts, QuietTime: c.StaxBill.QuietTime, Concurrency: c.StaxBill.Concurrency,
		DropFolder: c.Requests.DropFolder, RequestField: c.Salesforce.RequestField, BulkFrom: c.Salesforce.BulkFrom,
		Sync: c.Schedule.SyncSchedule(), Full: c.Schedule.FullSchedule(),
		Health: syncer.HealthLimits{RunAge: c.Health.MaxRunAge, PendingAge: c.Health.MaxPendingAge, Failures: c.Health.MaxFailures},
	}
}

// clients are the ways to both services.
type clients struct {
	sf *sfclient.Client
	sb *staxbill.Client
}

// newClients makes both; counts are told of their calls.
func newClients(c *config.Config, counts *metrics.Metrics, log *zap.Logger) (clients, error) {
	a := c.Salesforce.Auth
	agent := "latchd/" + versionText()
	if err := checkProxy(); err != nil {
		return clients{}, err
	}
	sfCalls, sbCalls := counts.Salesforce(), counts.StaxBill()
	sf, err := sfclient.New(sfclient.Options{
		LoginURL: c.Salesforce.LoginURL, APIVersion: c.Salesforce.APIVersion, MaxUsagePercent: c.Salesforce.MaxAPIUsagePercent,
		Auth: sfclient.Auth{
			Flow: a.Flow, ClientID: a.ClientID, ClientSecret: a.ClientSecret.Reveal(),
			Username: a.Username, PrivateKey: a.PrivateKey.Reveal(), Audience: a.Audience,
			Password: a.Password.Reveal(), SecurityToken: a.SecurityToken.Reveal(),
		},
		Logger: log, UserAgent: agent, CallTimeout: 5 * callTimeout, Observe: sfCalls.Called, Retried: sfCalls.Retried,
	})
	if err != nil {
		return clients{}, &usageError{message: err.Error()}
	}
	sb, err := staxbill.New(staxbill.Options{
		BaseURL: c.StaxBill.BaseURL, APIKey: c.StaxBill.APIKey.Reveal(), MaxPerMinute: c.StaxBill.MaxRequestsPerMinute,
		DailyReservePercent: c.StaxBill.DailyReservePercent, Concurrency: c.StaxBill.Concurrency,
		Logger: log, UserAgent: agent, CallTimeout: callTimeout, Observe: sbCalls.Called, Retried: sbCalls.Retried,
	})
	if err != nil {
		return clients{}, &usageError{message: err.Error()}
	}
	return clients{sf, sb}, nil
}

func newNotifier(c *config.Config, store *state.Store, counts *metrics.Metrics, log *zap.Logger) *notify.Notifier {
	host, err := os.Hostname()
	if err != nil {
		host = "this machine"
	}
	return notify.New(notify.Options{Addresses: receivers(c), Store: store, Host: host, Logger: log, UserAgent: "latchd/" + versionText(), Observe: counts.Notified})
}

func receivers(c *config.Config) notify.Addresses {
	return notify.Addresses{Heartbeat: c.Notify.HeartbeatURL.Reveal(), Webhook: c.Notify.WebhookURL.Reveal()}
}

func (a *app) openState(ctx context.Context, path string, keep time.Duration) (*state.Store, error) {
	store, err := state.Open(ctx, state.Options{Path: path, KeepHistory: keep, Hook: a.hook(), NoSync: a.getenv(variableNoSync) != ""})
	if err != nil {
		return nil, err
	}
	return store, nil
}

func warn(log *zap.Logger, c *config.Config) {
	for _, w := range warnings(c) {
		log.Warn(w, zap.String("event", latch.EventConfigWarning))
	}
}

// warnings are what works and is unwise.
func warnings(c *config.Config) []string {
	var out []string
	for _, w := range c.Warnings() {
		out = append(out, w.String())
	}
	return out
}

// stateMissing reports whether there is no state file yet.
func stateMissing(path string) bool {
	_, err := os.Stat(path)
	return errors.Is(err, os.ErrNotExist)
}

func noState(path string) error {
	return fmt.Errorf("there is no state file %s yet: nothing was accepted and no run was made", path)
}
