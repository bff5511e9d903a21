#!/bin/bash
# SPDX-License-Identifier: MIT
# JetStream knows a repeated message by its Nats-Msg-Id for two minutes, also when the first one is no longer there: published again
# after a purge, it is acknowledged as a duplicate, and is not stored. A publisher that is told so cannot know that the stream is empty.
. "$(dirname "$0")/packages.sh"
unpack bookworm nats-server=2.9.10-1+b3
port=$((20000 + $$ % 20000))
"$folder/bookworm/usr/sbin/nats-server" -js -sd "$folder/store" -a 127.0.0.1 -p $port >"$folder/log" 2>&1 &
server=$!
trap 'kill $server; rm -rf "$folder"' EXIT
until grep -q "Server is ready" "$folder/log"; do sleep 0.1; done
exec 3<>"/dev/tcp/127.0.0.1/$port"
printf 'CONNECT {"verbose":false,"headers":true}\r\nSUB reply.* 1\r\n' >&3
# ask NUMBER SUBJECT [BODY]
ask() {
	local body=${3-}
	printf 'PUB %s reply.%s %s\r\n%s\r\n' "$2" "$1" ${#body} "$body" >&3
	answer "$1"
}
answer() {
	local line
	while read -r line <&3; do
		case $line in
		MSG\ reply.$1\ *) break ;;
		esac
	done
	read -r line <&3
	text=${line%$'\r'}
}
# publish NUMBER: the same message each time.
publish() {
	printf 'HPUB s reply.%s 28 29\r\nNATS/1.0\r\nNats-Msg-Id: a\r\n\r\nx\r\n' "$1" >&3
	answer "$1"
}
ask 1 '$JS.API.STREAM.CREATE.S' '{"name":"S","subjects":["s"],"storage":"file"}'
publish 2
first=$text
ask 3 '$JS.API.STREAM.PURGE.S'
publish 4
second=$text
ask 5 '$JS.API.STREAM.INFO.S'
messages=$(grep -o '"messages":[0-9]*' <<<"$text" | head -1)
saw "first $first; after a purge $second, then $messages" \
	'first {"stream":"S", "seq":1}; after a purge {"stream":"S", "seq":1,"duplicate": true}, then "messages":0'
echo "so: vai.nats gives 'duplicate' back beside the number (publish of a stream), and API.md says that the first one may be gone"
