# Each does all set-up by itself, tells its stages with the time each usually takes, and is quick the second time.
.PHONY: help run test prove bench fuzz

help:
	@echo 'make run     build and start the studio with a sample running'
	@echo 'make test    everything that must hold before a change lands'
	@echo 'make prove   the long proofs'
	@echo 'make bench   release build, and the figures of docs/BENCHMARKS.md'
	@echo 'make fuzz    hostile bytes for the readers of wire, disk and file; an hour each'

run:
	@bash scripts/run.sh
test:
	@bash scripts/test.sh
prove:
	@bash scripts/prove.sh
bench:
	@bash scripts/bench.sh
fuzz:
	@bash scripts/setup.sh fuzz
	@bash scripts/fuzz.sh
