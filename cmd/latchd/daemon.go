package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"latchd/latch"
	"latchd/metrics"
	"latchd/server"
	"latchd/syncer"
)

// daemon runs until it is told to stop. The socket is bound before it says that
// it is ready, and the state is open before that.
func (a *app) daemon(ctx context.Context) (err error) {
	cfg, err := a.load()
	if err != nil {
		return err
	}
	level := zap.NewAtomicLevelAt(logLevel(cfg.Log.Level))
	log := newLogger(a.err, cfg.Log.Format, level)
	log.Info("latchd begins", zap.String("event", latch.EventStarted), zap.String("version", versionText()),
		zap.String("config", a.configPath()), zap.String("state", cfg.State.Path))
	warn(log, cfg)
	defer func() {
		if err != nil {
			fields := []zap.Field{zap.String("event", latch.EventStopped), zap.Error(err)}
			if hint := hintOf(err); hint != "" {
				fields = append(fields, zap.String("hint", hint))
			}
			log.Error("latchd ends", fields...)
			if !isTerminal(a.err) {
				// A journal of log lines gets no other line.
				err = status(statusOf(err))
			}
		} else {
			log.Info("latchd ends, as it was told to", zap.String("event", latch.EventStopped))
		}
	}()
	counts := metrics.New(versionText())
	c, err := newClients(cfg, counts, log)
	if err != nil {
		return err
	}
	// The state's lock first: of two daemons only the one that has it may touch
	// the socket.
	store, err := a.openState(ctx, cfg.State.Path, cfg.State.KeepHistory)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	log.Info("the state is open", zap.String("event", latch.EventStateOpened), zap.String("path", store.Path()))
	listener, err := server.Listen(ctx, cfg.Server.Socket)
	if err != nil {
		return err
	}
	defer listener.Close()
	open, err := listenTCP(ctx, cfg)
	if err != nil {
		return err
	}
	defer open.close()

	teller := newNotifier(cfg, store, counts, log)
	s := syncer.New(syncer.Options{
		Store: store, Salesforce: c.sf, StaxBill: c.sb, Settings: settingsOf(cfg), Logger: log, Hook: a.hook(),
		Finished: func(run latch.Run) { counts.RunFinished(run); teller.RunFinished(run) }, Ended: counts.Ended, Drifted: counts.Drifted,
	})
	notSeen := func(err error) {
		log.Warn("a scrape of the metrics is not whole", zap.String("event", latch.EventScrapeFailed), zap.Error(err))
	}
	if err := counts.Watch(metrics.Sources{Store: store, Syncer: s, Salesforce: c.sf, StaxBill: c.sb, Say: notSeen}); err != nil {
		return err
	}
	srv := server.New(server.Options{Syncer: s, Store: store, Logger: log, Version: versionText(), Keys: keysOf(cfg), Wait: cfg.Server.Wait, Customer: c.sb.CustomerObject, Level: &level, Metrics: counts.Handler(notSeen), AccountRoot: accountRoot(cfg.Salesforce.LoginURL)})
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)

	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		err := s.Loop(gctx)
		if err != nil {
			log.Error("the state can no longer be trusted in this process", zap.String("event", latch.EventStateBroken), zap.Error(err))
		}
		return err
	})
	g.Go(func() error { return srv.Serve(gctx, listener) })
	if open.listener != nil {
		log.Info("the HTTP endpoints answer", zap.String("event", latch.EventListening),
			zap.String("address", open.listener.Addr().String()), zap.Bool("tls", open.cert != nil), zap.Int("keys", len(cfg.Server.APIKeys)))
		g.Go(func() error { return srv.ServeTCP(gctx, open.listener, open.cert) })
	}
	reloaded := func(now live) error {
		level.SetLevel(now.level)
		s.Reload(now.settings)
		teller.Reload(now.receivers)
		srv.SetKeys(now.keys)
		srv.SetWait(now.wait)
		return open.reload(now.tls)
	}
	g.Go(func() error { return a.reloads(gctx, hup, cfg, reloaded, log) })
	g.Go(func() error { return feedSystemd(gctx, s, log) })
	g.Go(func() error { return teller.Loop(gctx) })
	g.Go(func() error {
		<-gctx.Done()
		log.Info("latchd was told to stop; what is under way is finished or safely left", zap.String("event", latch.EventStopping))
		sdNotify("STOPPING=1")
		return nil
	})
	s.Start()
	sdNotify("READY=1")
	log.Info("latchd is ready", zap.String("event", latch.EventReady), zap.String("socket", cfg.Server.Socket))
	return g.Wait()
}
