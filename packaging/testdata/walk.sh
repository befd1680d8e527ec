#!/bin/bash
# Runs inside a booted system, as its operator would: installs the package, follows
# the README to the first latch, kills, upgrades and removes. Every line that it
# prints is "ok WHAT" or "FAILED WHAT"; the last is "end".
exec 3>/root/result 2>/root/walk.log
set -x
ok() { echo "ok $1" >&3; }
no() { echo "FAILED $1" >&3; }
check() { # check WHAT COMMAND…
	local what=$1
	shift
	if "$@"; then ok "$what"; else no "$what"; fi
}
# soon COMMAND… tries for 30 seconds.
soon() {
	local i
	for i in $(seq 150); do
		"$@" && return 0
		sleep 0.2
	done
	return 1
}
outcome() { latchd request show "$1" --output json | tr -d ' \n' | grep -q "\"outcome\":\"$2\""; }
restarts() { systemctl show -p NRestarts --value latchd; }

check "the package installs" dpkg -i /root/latchd-1.deb
check "it is not started by the installation" test "$(systemctl is-active latchd)" = inactive
check "its user exists" getent passwd latchd
check "its manual is there" test -s /usr/share/man/man1/latchd.1.gz
check "its completion is there" test -s /usr/share/bash-completion/completions/latchd

check "the README's five minutes end with a latch" bash -c 'mkdir /root/five && cd /root/five && bash /root/readme.sh >/root/five/out 2>&1 && grep -q "1 latched" out && grep -q "is latched to" out'
cat /root/five/out >&2

systemd-run --unit=sandbox --property=StandardOutput=file:/root/sandbox latchd sandbox --listen 127.0.0.1:9111 --accounts 100 --customers 20 --seed 5
soon grep -q STAXBILL_API_KEY /root/sandbox
value() { sed -n "s/^\(export \)\?$1=//p" /root/sandbox | tr -d "'\""; }
sed -i "s|login_url: .*|login_url: $(value LATCHD_SALESFORCE_LOGIN_URL)|; s|client_id: .*|client_id: $(value LATCHD_SALESFORCE_AUTH_CLIENT_ID)|; s|base_url: .*|base_url: $(value LATCHD_STAXBILL_BASE_URL)|" /etc/latchd/config.yaml
value LATCHD_SALESFORCE_AUTH_CLIENT_SECRET | install -m 0600 /dev/stdin /etc/latchd/credentials/salesforce-client-secret
value LATCHD_STAXBILL_API_KEY | install -m 0600 /dev/stdin /etc/latchd/credentials/staxbill-api-key
check "config check knows that the secrets are the service's" bash -c 'latchd config check | grep -q "as far as can be seen from here"'
check "it starts and says that it is ready" systemctl enable --now latchd
check "it is active" test "$(systemctl is-active latchd)" = active
soon latchd status
account=$(sed -n 's/.*account \([0-9A-Za-z]*\).*/\1/p' /root/ids | head -1)
customer=$(sed -n 's/.*customer \([0-9]*\).*/\1/p' /root/ids | head -1)
first=$(latchd request add "$customer" "$account")
check "a request is latched" soon outcome "$first" latched
check "systemd shows the last and the next run" soon bash -c 'systemctl show -p StatusText --value latchd | grep -i next | grep -qi last'
check "the journal tells the request's story" bash -c "journalctl -u latchd -o cat | grep -q '$first'"
check "no secret is in the journal" bash -c "! journalctl -u latchd -o cat | grep -qF \"$(value LATCHD_STAXBILL_API_KEY)\""
check "its exposure is at most 1.5" bash -c "systemd-analyze security latchd | awk '/Overall exposure/ {exit !(\$(NF-2) <= 1.5)}'"
check "its commands print no more than they are asked" bash -c '[ -z "$(latchd status 2>&1 >/dev/null)" ]'
check "members of its group alone may use the socket" test "$(stat -c '%U:%G %a' /run/latchd/latchd.sock)" = "latchd:latchd 660"

kill -9 "$(systemctl show -p MainPID --value latchd)"
check "it is started again after a kill" soon bash -c '[ "$(systemctl show -p NRestarts --value latchd)" = 1 ] && [ "$(systemctl is-active latchd)" = active ]'
check "nothing is lost by a kill" soon outcome "$first" latched


before=$(restarts)
check "a wrong configuration is refused on reload" bash -c 'cp /etc/latchd/config.yaml /root/c && echo "nonsense: 1" >>/etc/latchd/config.yaml && systemctl reload latchd; for i in $(seq 50); do journalctl -u latchd -o cat | grep -q config_refused && break; sleep 0.2; done; cp /root/c /etc/latchd/config.yaml; journalctl -u latchd -o cat | grep -q config_refused'
check "a right one is taken over" bash -c 'systemctl reload latchd && for i in $(seq 50); do journalctl -u latchd -o cat | grep -q config_reloaded && break; sleep 0.2; done; journalctl -u latchd -o cat | grep -q config_reloaded'
check "and it goes on" test "$(systemctl is-active latchd)" = active

echo "# mine" >>/etc/latchd/config.yaml
check "the package upgrades" dpkg --force-confold -i /root/latchd-2.deb
check "the new version runs" soon bash -c 'latchd status --output json | grep -q "\"version\": *\"1.0.1\""'
check "the configuration is kept" grep -q "# mine" /etc/latchd/config.yaml
check "the state is kept" outcome "$first" latched
check "it stops cleanly" bash -c 'systemctl stop latchd; [ "$(systemctl show -p Result --value latchd)" = success ]'
check "stopped, it still answers" outcome "$first" latched

check "the package is removed" dpkg -r latchd
check "the service is gone" bash -c '! systemctl is-active latchd && ! systemctl is-enabled latchd'
check "state and settings stay" bash -c 'test -s /var/lib/latchd/latchd.db && test -s /etc/latchd/config.yaml'
echo end >&3
systemctl poweroff
