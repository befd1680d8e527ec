#!/bin/sh
# Runs after the files are there: deb calls it with "configure" and the version
# before, if any; rpm with the number of versions there will be.
set -e
if command -v systemd-sysusers >/dev/null 2>&1; then
	systemd-sysusers latchd.conf
elif ! getent passwd latchd >/dev/null; then
	useradd --system --home-dir /var/lib/latchd --shell /usr/sbin/nologin latchd
fi
upgrade=no
case "$1" in
configure) [ -z "$2" ] || upgrade=yes ;;
*) [ "$1" = 1 ] || upgrade=yes ;;
esac
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload
	if [ $upgrade = yes ]; then
		# What is under way is finished or safely left, and nothing is lost.
		systemctl try-restart latchd.service || true
	fi
fi
if [ $upgrade = no ]; then
	cat <<'TEXT'
latchd is installed and not started yet. Next:
  1. edit /etc/latchd/config.yaml
  2. put the secrets into /etc/latchd/credentials/salesforce-client-secret
     and /etc/latchd/credentials/staxbill-api-key (root only, mode 0600)
  3. systemctl enable --now latchd, then: latchd status
TEXT
fi
