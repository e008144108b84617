# SPDX-License-Identifier: BSD-2-Clause
# Reads the write log of a target: between a PREEMPT AND ABORT of the key that
# an initiator port registered and the next key that it registers not one write
# of the port is accepted, and no key comes back.  Prints violations and, last,
# "fenced NAME..." for the lines from -v from=N.  Exit status 1 when there was
# a violation.
BEGIN { FS = "\t"; none = "0x0000000000000000" }
function host(port) {
	sub(/,i,0x.*/, "", port)
	sub(/.*:/, "", port)
	return port
}
function violation(text, since) {
	print "line " FNR ": " host($3) " " text ", fenced in line " since
	bad = 1
}
# Of a kill in mid-line.
NF < 12 { next }
$6 != "refused" && $8 ~ /PREEMPT/ && $7 == "00" {
	dead[$12] = FNR
	for (port in key)
		if (key[port] == $12) {
			fenced[port] = FNR
			if (FNR >= from)
				list = list " " host(port)
		}
	next
}
$6 != "refused" && $8 ~ /RESERVE OUT REGISTER/ && $7 == "00" && $12 != none {
	if ($12 in dead)
		violation("registers " $12 " again", dead[$12])
	key[$3] = $12
	delete fenced[$3]
}
$8 !~ /RESERVE OUT/ && $6 != "refused" && ($3 in fenced) {
	violation($8 " of " $10 " blocks at " $9 " was " $6, fenced[$3])
}
END {
	print "fenced" list
	exit bad
}
