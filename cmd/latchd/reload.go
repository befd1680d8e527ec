package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"latchd/config"
	"latchd/latch"
	"latchd/notify"
	"latchd/server"
	"latchd/syncer"
)

// live is what a daemon takes over of a changed configuration while it runs:
// the settings of which config's table says so.
type live struct {
	level     zapcore.Level
	settings  syncer.Settings
	receivers notify.Addresses
	keys      []server.Key
	wait      time.Duration
	tls       config.TLS
}

func liveOf(c *config.Config) live {
	return live{logLevel(c.Log.Level), settingsOf(c), receivers(c), keysOf(c), c.Server.Wait, c.Server.TLS}
}

// reloads takes over a changed configuration on SIGHUP. A wrong one is refused
// and the old one stays.
func (a *app) reloads(ctx context.Context, hup <-chan os.Signal, began *config.Config, apply func(live) error, log *zap.Logger) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-hup:
		}
		sdNotify(fmt.Sprintf("RELOADING=1\nMONOTONIC_USEC=%d", monotonicMicros()))
		cfg, err := a.load()
		if err != nil {
			log.Error("the changed configuration is wrong; the one before stays", zap.String("event", latch.EventConfigRefused), zap.Error(err))
			sdNotify("READY=1")
			continue
		}
		warn(log, cfg)
		if err := apply(liveOf(cfg)); err != nil {
			log.Error("of the changed configuration the certificate could not be read; the one before stays", zap.String("event", latch.EventConfigRefused), zap.Error(err))
		}
		log.Info("the configuration was read again", zap.String("event", latch.EventReloaded), zap.Strings("needRestart", config.NeedRestart(began, cfg)))
		sdNotify("READY=1")
	}
}
