BUNDLE = lua-out/mod_minimix.lua

all: build

build: $(BUNDLE)

$(BUNDLE): node_modules/.package-lock.json tsconfig.json tstl.json tools/header.cjs $(shell find src -name '*.ts')
	node_modules/.bin/tstl -p tstl.json
	@touch $@

node_modules/.package-lock.json: package.json package-lock.json
	npm ci --no-audit --no-fund

# Everything there is; ends with one line that sums up.
test:
	@command -v node >/dev/null || tools/setup
	@node tools/test.mjs

lint spec:
	@node tools/test.mjs $@

# make e2e FILES="e2e/smoke.test.ts" runs only these.
e2e:
	@node tools/test.mjs $@ $(FILES)

# Takes the bundle that comes with the repository: whoever runs a server needs no Node.js.
install:
	@test -n "$(PLUGIN_DIR)" || { echo 'usage: make install PLUGIN_DIR=<a folder in plugin_paths of Prosody>' >&2; exit 2; }
	install -D -m 644 $(BUNDLE) "$(PLUGIN_DIR)/mod_minimix.lua"

# ONCE=1 goes through it without waiting for a key.
demo:
	@tools/setup
	@ONCE=$(ONCE) node --import tsx demo/main.ts

clean:
	rm -rf .build

.PHONY: all build test lint spec e2e install demo clean
