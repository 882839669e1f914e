#!/bin/sh
# shellcheck shell=dash
#
# fio, beside its libraries and its jobs, wherever this folder lies: in an image's root, or in its
# unpacked layer, where a plain process finds it. It works in the working directory, which is the
# instance's scratch. The marks of its jobs go to descriptor 3 (marks.c); fio's own figures go
# nowhere, for a guest's clock took them.
echo lab:init
trap 'exit 0' TERM
own=${0%/*}
echo lab:ready
"$own/lib/ld.so" --library-path "$own/lib" --preload "$own/lib/marks.so" \
	"$own/fio" --eta=never "$own/disk.fio" 3>&1 >/dev/null || exit
echo lab:done
while :; do
	sleep 3600 &
	wait "$!"
done
