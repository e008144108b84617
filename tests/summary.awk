# Turn kyua's report into the one closing line that CI reads.
/^Test cases:/ {
	# Test cases: 12 total, 0 skipped, 0 expected failures, 0 broken, 0 failed
	total = $3; skipped = $5; broken = $10; failed = $12
	bad = broken + failed
	line = sprintf("%d passed, %d failed", total - skipped - bad, bad)
	if (skipped > 0)
		line = line sprintf(", %d skipped", skipped)
	print line
}
