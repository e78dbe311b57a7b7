# SPDX-License-Identifier: Apache-2.0
# A doorbell for Meson: nothing is built by a rule of this file.  `make` alone prints help.
BUILD ?= build
SECONDS_EACH ?= 60
ROUNDS ?= 20
EXECUTIONS ?= 100000000
TESTS = meson test --no-rebuild --print-errorlogs
SANE = ASAN_OPTIONS=detect_stack_use_after_return=1 \
	UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 TSAN_OPTIONS=halt_on_error=1
# Sanitizers of clang 14 want less random addresses than new kernels give.
STEADY = $$(setarch -R true 2>/dev/null && echo setarch -R)
# $(call run,FOLDER,ARGUMENTS): tests, then a line that counts them; the status is that of the tests.
run = rm -f $(1)/meson-logs/testlog.json; \
	$(SANE) $(STEADY) $(TESTS) -C $(1) $(2); status=$$?; tools/ci_summary.py $(1); exit $$status

help:
	@echo "make demo     install what is missing, build, and run the demonstration job"
	@echo "make test     every test; one suite: make test SUITE=unit"
	@echo "make bench    measure this machine"
	@echo "make web      build the page (web/) again; needs npm"
	@echo "make web-test the page in Chromium; needs npm and chromium"
	@echo "make bench-peers  measure beside llama.cpp, installed outside the tree (CASE=)"
	@echo "make conformance  compare with llama.cpp and other peers, installed outside the tree"
	@echo "make clients  other people's clients against the server, installed outside the tree"
	@echo "make soak     the long tests, and the others $(ROUNDS) times over (ROUNDS=)"
	@echo "make asan     the tests under AddressSanitizer and UBSan (clang)"
	@echo "make tsan     the tests with threads under ThreadSanitizer (clang)"
	@echo "make check-arm  the kernels of ARM on emulated processors; needs a cross compiler and qemu"
	@echo "make fuzz     each fuzz target for $(SECONDS_EACH) s (SECONDS_EACH=)"
	@echo "make fuzz-long  $(EXECUTIONS) executions of all together: most of a day (EXECUTIONS=)"
	@echo "make format   rewrite the C sources with clang-format"
	@echo "make clean    remove build folders"

deps:
	@scripts/deps
deps-full:
	@scripts/deps --full

# setup is asked again each time only when it has not succeeded yet
build: deps
	@test -f $(BUILD)/build.ninja || meson setup $(BUILD) --buildtype=release
	@ninja -C $(BUILD) $(NINJA_FLAGS)

demo: build
	@BUILD=$(BUILD) scripts/demo

test: build
	@$(call run,$(BUILD),$(if $(SUITE),--suite $(SUITE),--no-suite soak))

bench: build
	@meson test -C $(BUILD) --no-rebuild --benchmark --verbose

web/node_modules: web/package-lock.json
	@npm ci --prefix web --no-audit --no-fund
	@touch $@
web: web/node_modules
	@node web/build.mjs
web-test: web/node_modules
	@ENXAME=$(wildcard $(CURDIR)/$(BUILD)/enxame) node tests/web/run.mjs

bench-peers: build
	@BUILD=$(BUILD) scripts/bench-peers $(CASE)

conformance: build
	@BUILD=$(BUILD) scripts/conformance

clients: build
	@BUILD=$(BUILD) scripts/clients

soak: build
	@$(TESTS) -C $(BUILD) --suite soak --timeout-multiplier 10
	@$(call run,$(BUILD),--no-suite soak --no-suite tidy --repeat $(ROUNDS))
	@$(MAKE) --no-print-directory fuzz-long

asan: deps-full
	@test -f build-asan/build.ninja || CC=clang meson setup build-asan \
		-Db_sanitize=address,undefined -Db_lundef=false
	@ninja -C build-asan $(NINJA_FLAGS)
	@$(call run,build-asan,$(if $(SUITE),--suite $(SUITE),--no-suite soak --no-suite slow --no-suite tidy) \
		--timeout-multiplier 5)

tsan: deps-full
	@test -f build-tsan/build.ninja || CC=clang meson setup build-tsan \
		-Db_sanitize=thread -Db_lundef=false
	@ninja -C build-tsan $(NINJA_FLAGS)
	@$(call run,build-tsan,--suite $(or $(SUITE),threads) --timeout-multiplier 10)

# A processor with SMMLA, one with SDOT and no more, one without either.
check-arm:
	@scripts/deps --arm
	@test -f build-arm/build.ninja || meson setup build-arm --buildtype=release \
		--cross-file tools/aarch64.ini -Dkernels_only=true
	@ninja -C build-arm $(NINJA_FLAGS)
	@for cpu in max neoverse-n1 cortex-a57; do echo "check-arm: $$cpu" && \
		QEMU_CPU=$$cpu $(TESTS) -C build-arm --timeout-multiplier 10 --verbose || exit; done

fuzz-build: deps-full
	@test -f build-fuzz/build.ninja || CC=clang meson setup build-fuzz -Dfuzz=true \
		-Db_sanitize=address,undefined -Db_lundef=false -Dc_args=-fsanitize=fuzzer-no-link
	@ninja -C build-fuzz $(NINJA_FLAGS)

fuzz: fuzz-build
	@$(SANE) $(STEADY) scripts/fuzz build-fuzz seconds $(SECONDS_EACH)

fuzz-long: fuzz-build
	@$(SANE) $(STEADY) scripts/fuzz build-fuzz executions $(EXECUTIONS)

format: deps-full
	@clang-format -i $$(find src include tests fuzz bench tools -name '*.[ch]')

clean:
	rm -rf build build-asan build-tsan build-fuzz build-arm

.PHONY: help deps deps-full build demo test bench bench-peers web web-test conformance clients soak asan tsan \
	check-arm fuzz-build fuzz fuzz-long format clean
