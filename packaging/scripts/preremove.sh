#!/bin/sh
# Stops the service when the package goes, not when a newer one takes its place.
set -e
case "$1" in
remove | 0)
	if [ -d /run/systemd/system ]; then
		systemctl disable --now latchd.service || true
	fi
	;;
esac
