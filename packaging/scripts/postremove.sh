#!/bin/sh
# The state and the secrets stay, also on a purge: the state says what was
# latched and why, and it is the operator's to delete.
set -e
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload || true
fi
case "$1" in
purge)
	if [ -d /var/lib/latchd ]; then
		echo "latchd's state in /var/lib/latchd is kept; delete it when nobody needs it any more."
	fi
	;;
esac
