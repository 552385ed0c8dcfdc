# Everything that one does with this repository. `make run` and `make test` work from a clean clone.

CARGO ?= cargo
# The faster test runner, if it is installed.
NEXTEST := $(shell command -v cargo-nextest 2>/dev/null)
export RUST_BACKTRACE ?= 0
# What needs DPDK is left out where there is none.
WORKSPACE = --workspace $(shell pkg-config --exists libdpdk 2>/dev/null || echo --exclude dpdk-sys --exclude swath-dpdk)
# What is built once needs no cache for the next build, which would be half of what it writes to the disk.
ifdef CI
export CARGO_INCREMENTAL := 0
endif

.PHONY: run check count count-update test loom test-long bench fuzz deps lint deny asan valgrind doc docs

## make run: traffic from a generator through a router, with a live line of rates and drops. No privileges, no system packages.
run:
	$(CARGO) build --release -p swath
	@printf '%s\n' '' 'In another terminal:' \
		'  target/release/swath show' \
		'  target/release/swath drops' \
		'  target/release/swath trace --in lan -n 2' \
		'  target/release/swath tap lookup.no-route -n 3' \
		"  target/release/swath explain --in lan 'udp 10.0.0.5:4000 > 8.8.8.8:53 ttl 1'" ''
	target/release/swath run graphs/quickstart.yaml

## make check: formatting, lints, instruction counts, and the tests that need no root. Five minutes at most.
check: lint count
	$(CARGO) test $(WORKSPACE) --lib --bins
	$(CARGO) test $(WORKSPACE) --doc

## make count: instructions per packet of the main cases, by callgrind, against bench/micro/instructions.txt; make count-update writes that anew.
count:
	$(CARGO) run --quiet --profile count -p swath-micro --bin swath-count
count-update:
	$(CARGO) run --quiet --profile count -p swath-micro --bin swath-count -- --update

## make test: everything that must hold. As root it installs what the tests need.
test: deps lint doc loom
ifeq ($(NEXTEST),)
	$(CARGO) test $(WORKSPACE) --no-fail-fast
else
	$(CARGO) nextest run $(WORKSPACE) --no-fail-fast
	$(CARGO) test $(WORKSPACE) --doc
endif

## make loom: what threads tell each other, in every order that memory allows.
loom:
	RUSTFLAGS="--cfg loom" $(CARGO) test -p swath-api --test loom --target-dir target/loom

## make test-long: the same tests with larger numbers, and the unsafe code under AddressSanitizer and valgrind. With CASE=nat-1m alone a
## million NAT44 sessions each of UDP and TCP on one address, and what a checker outside the engine says of them; with CASE=nat-sessions a
## million that are listed, counted, ended, saved and restored while packets pass.
ifeq ($(CASE),nat-1m)
test-long:
	SWATH_TEST_SCALE=30 $(CARGO) test --profile fast -p swath-nodes --test nat44 churn -- --nocapture
else ifeq ($(CASE),nat-sessions)
test-long:
	SWATH_TEST_SCALE=20 $(CARGO) test --profile fast -p swath --test bulk many_sessions -- --nocapture
else
test-long: deps asan valgrind
	SWATH_TEST_SCALE=20 SWATH_KERNEL_FRAMES=20000 PROPTEST_CASES=20000 $(CARGO) test --profile fast $(WORKSPACE) --no-fail-fast
endif

## make bench [CASE=ip4-1 or 'acl-*']: graph cost in TSC cycles per packet; all of it is written to bench/results, too, as Markdown, JSON and a picture.
## With CASE=workers, overload, overload-af-packet, reload, wake, scrape, watched or workers-instructions what several workers, or one under load or at rest, do;
## with CASE=af-xdp the router between devices, with CASE=af-xdp-deny a list in the kernel beside one in the graph, and with CASE=af-xdp-kernel the
## router beside the kernel's own, as root; with CASE=start how long `swath run` takes to its first packets, with CASE=large what 1 and 2 workers do with large
## tables; with CASE=vpp graph cost beside VPP, with CASE=peers all that others are measured in (VPP, DPDK, the kernel, Click), with CASE=micro look-ups and the like by criterion; BENCH_ARGS=--profile names the functions that take
## the instructions of a case. With CASE=latency how long packets are in the engine; with CASE=plugin one node built in and in libraries; with CASE=dpdk mirror and router on devices of DPDK, beside testpmd. Wants an idle machine.
ifeq ($(CASE),micro)
bench:
	$(CARGO) bench -p swath-micro --features criterion --bench micro -- $(BENCH_ARGS)
else ifeq ($(CASE),peers)
bench:
	$(CARGO) build --release -p swath-bench -p swath $(if $(findstring --exclude,$(WORKSPACE)),,-p swath-dpdk)
	failed=0; for case in vpp 'acl-1*' 'acl-fw*' af-xdp-kernel dpdk reload; do \
		target/release/swath-bench --case "$$case" $(BENCH_ARGS) || failed=1; done; exit $$failed
else
bench:
ifeq ($(CASE),watched)
	$(CARGO) build --release -p swath-bench --features bare
	cp target/release/swath-bench target/release/swath-bench-bare
endif
	$(CARGO) build --release -p swath-bench $(if $(filter af-xdp% dpdk start,$(CASE)),-p swath) $(if $(filter dpdk,$(CASE)),-p swath-dpdk)
ifeq ($(CASE),plugin)
	$(CARGO) build --release --manifest-path bench/plugin/Cargo.toml --target-dir bench/plugin/target
	$(CC) -std=c11 -O2 -Wall -Wextra -Iengine/api/include -fPIC -shared -o bench/plugin/target/release/libmark_c.so bench/plugin/mark.c
endif
	target/release/swath-bench $(if $(CASE),--case '$(CASE)',--write bench/results) $(BENCH_ARGS)
endif

## make fuzz [TARGET=graph_file] [SECONDS=60]: coverage-guided random input (libFuzzer), under AddressSanitizer. Needs a C++ compiler.
SECONDS ?= 60
TARGET ?= graph_file capture packet_text router
FUZZ_FLAGS := --cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
	-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
	-Cllvm-args=-sanitizer-coverage-trace-compares -Zsanitizer=address -Ctarget-cpu=x86-64-v3
fuzz:
	for target in $(TARGET); do \
		mkdir -p target/fuzz/corpus/$$target && \
		RUSTC_BOOTSTRAP=1 RUSTFLAGS="$(FUZZ_FLAGS)" $(CARGO) run --release --manifest-path fuzz/Cargo.toml \
			--target x86_64-unknown-linux-gnu --target-dir target/fuzz --bin $$target -- \
			-max_total_time=$(SECONDS) -max_len=65536 -rss_limit_mb=2048 target/fuzz/corpus/$$target || exit 1; \
	done

lint:
	$(CARGO) fmt --all --check
	$(CARGO) clippy $(WORKSPACE) --all-targets -- -D warnings
	$(CARGO) clippy -p swath-core --features bare -- -D warnings
	$(CARGO) clippy -p swath-micro --features criterion --benches -- -D warnings

doc:
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc $(WORKSPACE) --no-deps --quiet

## make docs: docs/nodes, the catalogue of kinds, from the kinds themselves, and docs/metrics.md from a scrape. Tests say when they are stale.
docs:
	$(CARGO) run --quiet -p swath --example catalogue
	INSTA_UPDATE=always $(CARGO) test --quiet -p swath --test metrics_list

## make deny: licences and advisories of all dependencies (cargo install cargo-deny).
deny:
	$(CARGO) deny check licenses bans sources

# AddressSanitizer needs an unstable flag of the pinned compiler, and a target directory of its own.
SANITIZED := -p swath-api -p swath-io
asan:
	RUSTC_BOOTSTRAP=1 RUSTFLAGS="-Zsanitizer=address -Ctarget-cpu=x86-64-v3" ASAN_OPTIONS=detect_leaks=0 \
	$(CARGO) test --target x86_64-unknown-linux-gnu --target-dir target/asan $(SANITIZED) --lib --tests -- --skip packets_views_and_shards

# valgrind knows no AVX-512: what runs here are the AVX2 kernels and the scalar ones.
valgrind: deps
	PROPTEST_CASES=8 SWATH_KERNEL_FRAMES=20 .ci/valgrind $(SANITIZED)

deps:
	.ci/deps
