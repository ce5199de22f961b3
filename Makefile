BUNDLE = lua-out/mod_minimix.lua

all: build

build: $(BUNDLE)

# By way of another folder, as a failed build leaves a broken file behind.
$(BUNDLE): node_modules/.package-lock.json package.json tsconfig.json tstl.json $(wildcard tools/lua/*.cjs) $(shell find src -name '*.ts')
	node_modules/.bin/tstl -p tstl.json --outDir .build/lua-out
	cp .build/lua-out/mod_minimix.lua .build/lua-out/mod_minimix.lua.map lua-out/

node_modules/.package-lock.json: package.json package-lock.json
	npm ci --no-audit --no-fund

# Everything there is; ends with one line that sums up.
test:
	@command -v node >/dev/null || tools/setup
	@node tools/test.mjs

lint spec:
	@node tools/test.mjs $@

# make e2e FILES="e2e/smoke.test.ts" runs only these. MINIMIX_READY_TEXT=0 switches off the way by which stanzas are
# written once for all sessions: all has to be the same without it.
e2e:
	@node tools/test.mjs $@ $(FILES)

# Takes the bundle that comes with the repository: whoever runs a server needs no Node.js.
install:
	@test -n "$(PLUGIN_DIR)" || { echo 'usage: make install PLUGIN_DIR=<a folder in plugin_paths of Prosody>' >&2; exit 2; }
	install -D -m 644 $(BUNDLE) "$(PLUGIN_DIR)/mod_minimix.lua"

# The same as a package for prosodyctl install.
rock:
	@tools/rock

# Random events, a million of them or MINIMIX_EVENTS; `make spec` has some seconds of it. MINIMIX_SEED says where to start;
# without it, that is somewhere else each time, and is printed. The same holds for soak, missed and scenarios.
fuzz:
	@MINIMIX_EVENTS=$${MINIMIX_EVENTS:-1000000} busted --output=plainTerminal spec/fuzz_spec.lua

# An hour of coming and going, which takes some minutes, or MINIMIX_SOAK seconds of it; `make spec` has a part of it.
soak:
	@MINIMIX_SOAK=$${MINIMIX_SOAK:-3600} busted --output=plainTerminal spec/soak_spec.lua

# Random comings and goings on each storage, 300 stories or MINIMIX_STORIES of them; `make spec` has two of each.
missed:
	@MINIMIX_STORIES=$${MINIMIX_STORIES:-300} busted --output=plainTerminal spec/missed_spec.lua

# Real outages of the storage, of several lengths, on each version and storage; `make e2e` has some of them.
# MINIMIX_FAULT="newest on SQLite", or another part of a test's name, plays only these.
faults:
	@MINIMIX_LONG=1 node --import tsx --test --test-force-exit --test-reporter=spec e2e/faults.test.ts

# Generated scenarios, 5,000 steps of each kind or MINIMIX_STEPS; `make e2e` has a few of them. MINIMIX_SEED says where to
# start.
scenarios:
	@MINIMIX_STEPS=$${MINIMIX_STEPS:-5000} node --import tsx --test --test-force-exit --test-reporter=spec e2e/scenarios.test.ts

# One story on each version, alone and with the usual modules, on each storage, over c2s, websocket and BOSH.
# MINIMIX_MATRIX="13.0, mod_minimix alone, SQLite", or a part of such a name, plays only these. Then Prosody's own test
# scripts, with and without the module.
matrix:
	@MINIMIX_LONG=1 node --import tsx --test --test-force-exit --test-reporter=spec e2e/matrix.test.ts $(if $(MINIMIX_MATRIX),,e2e/scansion.test.ts)

# The same steps with and without the module, in configurations as people run them and with single community modules, on
# each version; `make e2e` has a short form. MINIMIX_SETUP="newest, minimal", or a part of such a name, plays only these.
setups:
	@MINIMIX_LONG=1 node --import tsx --test --test-force-exit --test-reporter=spec e2e/setups.test.ts

# ONCE=1 goes through it without waiting for a key.
demo:
	@tools/setup
	@ONCE=$(ONCE) node --import tsx demo/main.ts

# The same on a page in the browser, until Ctrl-C; ONCE=1 ends when the page is there.
demo-web:
	@tools/setup
	@ONCE=$(ONCE) node --import tsx demo/web.ts

# What the module costs and saves, next to plain MUC. BENCH="fork,join" PROSODY=0.12 MINIMIX_LONG=1 MINIMIX_ROUNDS=1:
# see bench/main.ts.
bench: node_modules/.package-lock.json
	@node --import tsx bench/main.ts

clean:
	rm -rf .build

.PHONY: all build test lint spec fuzz soak missed faults e2e scenarios matrix setups install rock demo demo-web bench clean
