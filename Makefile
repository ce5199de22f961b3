BUNDLE = lua-out/mod_minimix.lua

all: build

build: $(BUNDLE)

# Compiles into another folder, because a failed build leaves a broken file.
$(BUNDLE): node_modules/.package-lock.json package.json tsconfig.json tstl.json $(wildcard tools/lua/*.cjs) $(shell find src -name '*.ts')
	node_modules/.bin/tstl -p tstl.json --outDir .build/lua-out
	cp .build/lua-out/mod_minimix.lua .build/lua-out/mod_minimix.lua.map lua-out/

node_modules/.package-lock.json: package.json package-lock.json
	npm ci --no-audit --no-fund

# All checks and tests. The last line has the totals.
test:
	@command -v node >/dev/null || tools/setup
	@node tools/test.mjs

lint spec:
	@node tools/test.mjs $@

# make e2e FILES="e2e/smoke.test.ts" runs only these files. MINIMIX_READY_TEXT=0 serialises each stanza for each session,
# instead of once for all. The results must be the same.
e2e:
	@node tools/test.mjs $@ $(FILES)

# Installs the bundle of the repository. A server needs no Node.js.
install:
	@test -n "$(PLUGIN_DIR)" || { echo 'usage: make install PLUGIN_DIR=<a folder in plugin_paths of Prosody>' >&2; exit 2; }
	install -D -m 644 $(BUNDLE) "$(PLUGIN_DIR)/mod_minimix.lua"

# A package of the bundle for prosodyctl install.
rock:
	@tools/rock

# Random events, a million or MINIMIX_EVENTS. `make spec` runs some seconds of it. MINIMIX_SEED sets the first seed. The
# default is a new seed each time, which is printed. The same applies to soak, missed and scenarios. With MINIMIX_LIES=1
# most events are those of lying rooms.
fuzz:
	@MINIMIX_EVENTS=$${MINIMIX_EVENTS:-1000000} busted --output=plainTerminal spec/fuzz_spec.lua

# An hour of joins, leaves and failures in virtual time, or MINIMIX_SOAK seconds. Takes some minutes. `make spec` runs a
# part of it.
soak:
	@MINIMIX_SOAK=$${MINIMIX_SOAK:-3600} busted --output=plainTerminal spec/soak_spec.lua

# Random stories of joins, leaves and failures, to test the archive on each storage: 300 or MINIMIX_STORIES. `make spec`
# runs two on each storage.
missed:
	@MINIMIX_STORIES=$${MINIMIX_STORIES:-300} busted --output=plainTerminal spec/missed_spec.lua

# Real outages of the storage, of several lengths, on each version and storage; `make e2e` has some of them.
# MINIMIX_FAULT="newest on SQLite", or another part of a test's name, plays only these.
faults:
	@MINIMIX_LONG=1 node --import tsx --test --test-force-exit --test-reporter=spec e2e/faults.test.ts

# SIGKILL of real servers: at each write of a story, and at random times, on each version and storage. `make e2e` has some.
kills:
	@MINIMIX_LONG=1 node --import tsx --test --test-force-exit --test-reporter=spec e2e/outlive-writes.test.ts \
		e2e/outlive-kill.test.ts e2e/archive-kill.test.ts

# Generated scenarios, 5,000 steps of each kind or MINIMIX_STEPS. `make e2e` runs a few steps. MINIMIX_SEED sets the first
# seed, PROSODY=0.12 the only version.
scenarios:
	@MINIMIX_STEPS=$${MINIMIX_STEPS:-5000} node --import tsx --test --test-force-exit --test-reporter=spec e2e/scenarios.test.ts

# One story on each version, alone and with common modules, on each storage, over c2s, websocket and BOSH. Then Prosody's
# own test scripts, with and without the module. MINIMIX_MATRIX="13.0, mod_minimix alone, SQLite", or a part of such a name,
# selects combinations.
matrix:
	@MINIMIX_LONG=1 node --import tsx --test --test-force-exit --test-reporter=spec e2e/matrix.test.ts $(if $(MINIMIX_MATRIX),,e2e/scansion.test.ts)

# The same steps with and without the module, in common configurations and with single community modules, on each version.
# `make e2e` runs a short form. MINIMIX_SETUP="newest, minimal", or a part of such a name, selects configurations.
setups:
	@MINIMIX_LONG=1 node --import tsx --test --test-force-exit --test-reporter=spec e2e/setups.test.ts

# The demo in a terminal. ONCE=1 does not wait for a key.
demo:
	@tools/setup
	@ONCE=$(ONCE) node --import tsx demo/main.ts

# The demo on a page in the browser, until Ctrl-C. ONCE=1 ends when the page is ready.
demo-web:
	@tools/setup
	@ONCE=$(ONCE) node --import tsx demo/web.ts

# The module's cost, compared with plain MUC. BENCH="fork,join" PROSODY=0.12 MINIMIX_LONG=1 MINIMIX_ROUNDS=1:
# see bench/main.ts.
bench: node_modules/.package-lock.json
	@node --import tsx bench/main.ts

clean:
	rm -rf .build

.PHONY: all build test lint spec fuzz soak missed faults kills e2e scenarios matrix setups install rock demo demo-web bench clean
