#!/bin/bash
# SPDX-License-Identifier: MIT
# A NATS server answers an acknowledgement before it has written it down. One that is killed within the next moment
# delivers the message again, though the acknowledgement was confirmed; not so from a stream with retention
# "workqueue", which removes what is acknowledged.
. "$(dirname "$0")/packages.sh"
unpack bookworm nats-server=2.9.10-1+b3
port=$((20000 + $$ % 20000)) server=

start() {
	rm -f "$folder/log"
	"$folder/bookworm/usr/sbin/nats-server" -a 127.0.0.1 -p $port -js -sd "$folder/js" >"$folder/log" 2>&1 &
	server=$!
	until grep -qs "Server is ready" "$folder/log"; do sleep 0.05; done
	exec 3<>"/dev/tcp/127.0.0.1/$port"
	printf 'CONNECT {"headers":true,"no_responders":true}\r\nSUB in.* 1\r\n' >&3
}
ask() { # SUBJECT DATA: the payload that is answered into $answer, and where to acknowledge it into $reply
	printf 'PUB %s in.1 %d\r\n%s\r\n' "$1" ${#2} "$2" >&3
	local line=
	until [[ $line == MSG* ]]; do read -r -t 10 line <&3 || exit 1; done
	line=${line%$'\r'}
	set -- $line
	reply=$4
	read -r answer <&3
}
forgotten() { # RETENTION
	local n=0 round
	trap '[ -z "$server" ] || kill -9 $server' EXIT
	for round in 1 2 3 4 5 6 7 8 9 10; do
		rm -rf "$folder/js"
		start
		ask '$JS.API.STREAM.CREATE.S' "{\"name\":\"S\",\"subjects\":[\"s\"],\"retention\":\"$1\"}"
		ask '$JS.API.CONSUMER.DURABLE.CREATE.S.d' '{"stream_name":"S","config":{"durable_name":"d","ack_policy":"explicit"}}'
		ask s one
		ask '$JS.API.CONSUMER.MSG.NEXT.S.d' '{"batch":1}'
		ask "$reply" +ACK
		kill -9 $server
		wait $server 2>/dev/null || :
		server=
		exec 3>&-
		start
		ask '$JS.API.CONSUMER.INFO.S.d' ''
		local floor=$answer
		ask '$JS.API.STREAM.INFO.S' ''
		if [[ $1 == limits && $floor == *'"ack_floor":{"consumer_seq":0'* ]]; then n=$((n + 1)); fi
		if [[ $1 == workqueue && $answer == *'"messages":1'* ]]; then n=$((n + 1)); fi
		kill -9 $server
		wait $server 2>/dev/null || :
		server=
		exec 3>&-
	done
	echo $n
}
limits=$(forgotten limits) workqueue=$(forgotten workqueue)
echo "confirmed acknowledgements that a killed server had forgotten, of 10: $limits; with workqueue: $workqueue"
saw "most are forgotten, those of a workqueue hardly ever: $((limits >= 5)) $((workqueue <= 2))" \
	"most are forgotten, those of a workqueue hardly ever: 1 1"
echo "so: a stream that is to repeat nothing that was acknowledged has retention \"workqueue\""
