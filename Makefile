# SPDX-License-Identifier: MIT
# vai: goroutines on all cores for stock Lua 5.4. `make help` lists the targets.
#
# VARIANT: release (default, into build/), debug, asan, ubsan, tsan, hard, ucontext (the portable
# stack switch), arm64 (for AArch64, run by qemu-user), fuzz, valgrind, cover, rock (into build/VARIANT/). Further settings:
#   CC CFLAGS LDFLAGS LUA LUA_INCDIR UV_INCDIR UV_LIBDIR  tools and where things are
#   PREFIX DESTDIR   for install             WERROR=0  warnings are only warnings
#   DEPS=0           install no packages     PROCS=n   what demo calls all processors
#   V=1              show the commands
#   TESTS="word .."  only test files whose path contains a word      T=seconds  limit of each
#   TIME=seconds SEED=n   for fuzz and stress: how long, and the random numbers of a run before

VARIANT ?= release
ifeq ($(origin CC),default)
CC = gcc
endif
AR ?= ar
OBJCOPY ?= objcopy
CFLAGS ?= -O3 -g
LUA ?= lua5.4
PREFIX ?= /usr/local
WERROR ?= 1
DEPS ?= 1
PROCS ?= $(shell nproc 2>/dev/null || echo 2)

B := $(if $(filter release,$(VARIANT)),build,build/$(VARIANT))

# ---- what each variant adds ----

V_release :=
V_rock    :=
V_debug   := -Og -DVAI_DEBUG_LOCKS
V_hard    := -DVAI_HARD -DVAI_DEBUG_LOCKS
V_asan    := -O1 -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer -DVAI_DEBUG_LOCKS
V_ubsan   := -O1 -fsanitize=undefined -fno-sanitize-recover=undefined -DVAI_DEBUG_LOCKS
# __NO_INLINE__: stdio's inline functions stay in libc, whose own lock TSan does not see.
V_tsan    := -O1 -fsanitize=thread -fno-omit-frame-pointer -DVAI_DEBUG_LOCKS $(if $(findstring clang,$(CC)),,-Wno-tsan) -D__NO_INLINE__
# Each allocation is one of libc's, and what Lua asks for in goroutines can be made to fail.
V_oom     := -DVAI_OOM -DVAI_DEBUG_LOCKS
V_ucontext := -DVAI_UCONTEXT -DVAI_DEBUG_LOCKS
V_fuzz    := -O1 -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined -DVAI_DEBUG_LOCKS
V_valgrind := -O1 -DVAI_VALGRIND -DVAI_DEBUG_LOCKS
V_arm64   := -DVAI_DEBUG_LOCKS
V_cover   := -O0 --coverage -DVAI_DEBUG_LOCKS
L_asan    := -fsanitize=address,undefined
L_ubsan   := -fsanitize=undefined
L_tsan    := -fsanitize=thread
L_fuzz    := -fsanitize=address,undefined
L_cover   := --coverage
ifeq ($(filter $(VARIANT),release rock debug hard asan ubsan tsan ucontext oom arm64 fuzz valgrind cover),)
$(error unknown VARIANT '$(VARIANT)')
endif

# The fuzzer is clang's.
ifeq ($(VARIANT)$(origin CC),fuzzfile)
CC = clang
endif

# Another processor's libraries and headers: Debian's, unpacked below the build (see mk/sysroot).
ifeq ($(VARIANT),arm64)
SYSROOT := $(CURDIR)/$(B)/sysroot
SYSLIB := $(SYSROOT)/usr/lib/aarch64-linux-gnu
ifeq ($(origin CC),file)
CC = aarch64-linux-gnu-gcc
endif
AR = aarch64-linux-gnu-ar
OBJCOPY = aarch64-linux-gnu-objcopy
LUA_INCDIR ?= $(SYSROOT)/usr/include/lua5.4
LUA_LIBS = -llua5.4
UV_INCDIR ?= $(SYSROOT)/usr/include
UV_LIBDIR ?= $(SYSLIB)
V_arm64 += -isystem $(SYSROOT)/usr/include -isystem $(SYSROOT)/usr/include/aarch64-linux-gnu
L_arm64 := -L$(SYSLIB) -Wl,-rpath-link,$(SYSLIB) -Wl,-rpath-link,$(SYSROOT)/lib/aarch64-linux-gnu
endif

WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wconversion $(if $(filter 1,$(WERROR)),-Werror)

# pkg-config is asked when it is first needed, after the step that may install it.
once = $(eval $(1) := $(2))$($(1))
LUA_CFLAGS = $(call once,LUA_CFLAGS,$(if $(LUA_INCDIR),-I$(LUA_INCDIR),$(shell pkg-config --cflags lua5.4 2>/dev/null || echo -I/usr/include/lua5.4)))
UV_CFLAGS = $(call once,UV_CFLAGS,$(if $(UV_INCDIR),-I$(UV_INCDIR),$(shell pkg-config --cflags libuv 2>/dev/null)))
UV_LIBS = $(call once,UV_LIBS,$(if $(UV_LIBDIR),-L$(UV_LIBDIR) -luv,$(shell pkg-config --libs libuv 2>/dev/null || echo -luv)))
LUA_LIBS ?= $(call once,LUA_LIBS,$(shell pkg-config --libs lua5.4 2>/dev/null || echo -llua5.4))

ALL_CFLAGS = -std=gnu11 $(CFLAGS) -fPIC -fno-plt -fvisibility=hidden -pthread -Isrc $(WARN) $(V_$(VARIANT))
ALL_LIBS = $(UV_LIBS) -pthread -ldl -lrt -lm

# ---- files ----

# Each file of mach/ looks itself whether it is for this processor and this build.
SRC := $(sort $(wildcard src/*.c src/*/*.c src/*/*/*.c src/mach/ctx_*.S))
OBJ := $(patsubst src/%,$(B)/obj/%.o,$(SRC))
LUA_FILES := $(sort $(shell find lua -name '*.lua' 2>/dev/null))

CTEST := $(sort $(wildcard spec/c/*_test.c spec/c/*/*_test.c))
CTEST_BIN := $(patsubst spec/c/%.c,$(B)/test/%,$(CTEST))
CHELP := $(sort $(filter-out $(CTEST),$(wildcard spec/c/*.c spec/c/*/*.c)))
CHELP_OBJ := $(patsubst spec/c/%.c,$(B)/test/%.o,$(CHELP))

# ---- build ----

Q = $(if $(V),,@)
say = $(if $(V),,@echo '  $(1)  $@')

.DEFAULT_GOAL := build
.DELETE_ON_ERROR:
.SECONDARY:

# With -j goals are made at the same time. These are not for that: they run all tests, start a make of their own, or change
# what others read. Named beside other goals, all go one after the other, in the order in which they are named; what a
# goal starts is parallel all the same.
ALONE := test test-% crash asan ubsan tsan hard ucontext arm64 valgrind clone0 uv oom cover debian fuzz model sim stress \
	stress-build bench bench-% demo rock rock-% env install uninstall format docs clean
ifneq ($(word 2,$(MAKECMDGOALS)),)
ifneq ($(filter $(ALONE),$(filter-out test-programs,$(MAKECMDGOALS))),)
.NOTPARALLEL:
endif
endif

.PHONY: build all
build all: $(B)/vai.so ext

# The flags and the list of objects are written down; when they change, what hangs on them is rebuilt.
.PHONY: FORCE
FORCE:
$(B)/flags: FORCE | deps-build
	@mkdir -p $(@D)
	@new=$@.$$$$; \
	echo '$(CC) $(ALL_CFLAGS) $(LDFLAGS) $(LUA_CFLAGS) -include src/lua_weak.h $(UV_CFLAGS) $(ALL_LIBS) $(OBJ)' >$$new; \
	if cmp -s $$new $@; then rm -f $$new; else mv -f $$new $@; fi

# now: no symbol is looked up on a goroutine's small stack. nodelete: lua_close unloads modules, but
# threads of the runtime may be in this one then.
SO_LDFLAGS := -shared -Wl,-z,now -Wl,-z,nodelete
$(B)/vai.so: $(OBJ) src/module.map $(B)/flags
	$(call say,LINK)
	$(Q)$(CC) $(SO_LDFLAGS) -Wl,--version-script=src/module.map $(CFLAGS) $(L_$(VARIANT)) $(LDFLAGS) -o $@.new $(OBJ) $(ALL_LIBS)
	@mv -f $@.new $@

# The library for C hosts (vai.h). What of Lua's it needs the host brings; one without Lua needs none of it.
$(B)/libvai.so: $(OBJ) src/libvai.map $(B)/flags
	$(call say,LINK)
	$(Q)$(CC) $(SO_LDFLAGS) -Wl,-soname,libvai.so.0 -Wl,--version-script=src/libvai.map $(CFLAGS) $(L_$(VARIANT)) \
		$(LDFLAGS) -o $@.new $(OBJ) $(ALL_LIBS)
	@mv -f $@.new $@

# Its code has a section of its own, by which it tells its functions from those of the program that it becomes a part
# of (stdlib/catalog.c).
$(B)/libvai.a: $(OBJ) $(B)/flags
	@rm -f $@
	$(call say,AR)
	$(Q)$(AR) rcs $@ $(OBJ)
	$(Q)$(OBJCOPY) --rename-section .text=vai_text --rename-section .text.unlikely=vai_text $@

# Includes of a foreign library only where a layer may use it: see spec/lint/includes.lua.
$(patsubst %,$(B)/obj/%/%.o,state stdlib code transfer require runtime bind): INC = $(LUA_CFLAGS) -include src/lua_weak.h
$(B)/obj/net/%.o: INC = $(UV_CFLAGS)

$(B)/obj/%.c.o: src/%.c $(B)/flags
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(ALL_CFLAGS) $(INC) -MMD -MP -c $< -o $@

$(B)/obj/%.S.o: src/%.S $(B)/flags
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(ALL_CFLAGS) -MMD -MP -c $< -o $@

$(B)/test/%.o: spec/c/%.c $(B)/flags | deps-test
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(filter-out -fvisibility=hidden,$(ALL_CFLAGS)) -Ispec/c $(LUA_CFLAGS) -MMD -MP -c $< -o $@

# What stands beside the tests without being one is there for all of them.
$(B)/test/libhelp.a: $(CHELP_OBJ) $(B)/flags
	@mkdir -p $(@D)
	@rm -f $@
	$(Q)$(AR) rcs $@ $(CHELP_OBJ)

$(B)/test/%_test: $(B)/test/%_test.o $(B)/test/libhelp.a $(B)/libvai.a
	$(call say,LINK)
	$(Q)$(CC) $(CFLAGS) $(L_$(VARIANT)) $(LDFLAGS) -o $@ $(filter %.o,$^) $(filter %.a,$^) -lcmocka $(LUA_LIBS) $(ALL_LIBS)

# Stands in for base/mem.c there.
$(B)/test/transfer/codec_failure_test: $(B)/test/memory.o
$(B)/test/memory.o: spec/fuzz/memory.c $(B)/flags | deps-test
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(filter-out -fvisibility=hidden,$(ALL_CFLAGS)) -MMD -MP -c $< -o $@

# ---- modules beside it ----

# Shared objects of their own, with libraries of their own: build/vai/NAME/core.so of ext/NAME/. Those whose library is
# not here are left out, and `require` of one says what to install. ext-all installs the packages first. Which are here is
# known only then, so a make of its own links them: one at a time, for `make -j2 build test-programs` asks for both, and
# none while packages are installed (deps-ext).
EXT_OBJ = $(patsubst ext/%.c,$(B)/ext/%.o,$(sort $(wildcard ext/$(1)/*.c)))
EXT_CFLAGS_http = $(call once,EXT_CFLAGS_http,$(shell CC='$(CC)' sh mk/ext cflags http))
EXT_CFLAGS_nats = $(call once,EXT_CFLAGS_nats,$(shell CC='$(CC)' sh mk/ext cflags nats))
EXT_CFLAGS_tls = $(call once,EXT_CFLAGS_tls,$(shell CC='$(CC)' sh mk/ext cflags tls))
.PHONY: ext ext-all ext-found
ext: | deps-build
ext-all: | deps-ext
one_at_a_time = mkdir -p build && $(if $(shell command -v flock 2>/dev/null),flock build/ext.lock)
ext ext-all:
	@$(if $(filter arm64 fuzz,$(VARIANT)),true,$(one_at_a_time) $(MAKE) --no-print-directory ext-found)
ext-found: $(if $(filter ext-found,$(MAKECMDGOALS)),$(patsubst %,$(B)/vai/%/core.so,$(shell CC='$(CC)' sh mk/ext found)))

$(B)/ext/%.o: ext/%.c $(B)/flags
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(ALL_CFLAGS) $(LUA_CFLAGS) -include src/lua_weak.h $(EXT_CFLAGS_$(notdir $(@D))) -MMD -MP -c $< -o $@

.SECONDEXPANSION:
$(B)/vai/%/core.so: $$(call EXT_OBJ,$$*) $(B)/flags
	@mkdir -p $(@D)
	$(call say,LINK)
	$(Q)$(CC) $(SO_LDFLAGS) $(CFLAGS) $(L_$(VARIANT)) $(LDFLAGS) -o $@.new $(filter %.o,$^) \
		$$(CC='$(CC)' sh mk/ext libs $*) -pthread
	@mv -f $@.new $@

# Fuzz targets: spec/fuzz/NAME.c for each of these becomes build/fuzz/NAME; the rest stands beside them.
FUZZ := codec bytecode template chan
FUZZ_BIN := $(FUZZ:%=build/fuzz/%)
FUZZ_HELP := $(patsubst spec/fuzz/%.c,build/fuzz/own/%.o,$(filter-out $(FUZZ:%=spec/fuzz/%.c),$(wildcard spec/fuzz/*.c)))
ifeq ($(VARIANT),fuzz)
build/fuzz/own/%.o: spec/fuzz/%.c $(B)/flags | deps-fuzz deps-test
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(filter-out -fvisibility=hidden,$(ALL_CFLAGS)) -Ispec/c $(LUA_CFLAGS) -MMD -MP -c $< -o $@
build/fuzz/own/libown.a: $(FUZZ_HELP)
	@rm -f $@
	$(Q)$(AR) rcs $@ $(FUZZ_HELP)
$(FUZZ_BIN): build/fuzz/%: build/fuzz/own/%.o build/fuzz/own/options.o build/fuzz/own/libown.a $(B)/test/libhelp.a $(B)/libvai.a
	$(call say,LINK)
	$(Q)$(CC) $(CFLAGS) -fsanitize=fuzzer $(L_fuzz) $(LDFLAGS) -o $@ $^ -lcmocka $(LUA_LIBS) $(ALL_LIBS)
.PHONY: fuzz-programs
fuzz-programs: $(FUZZ_BIN)
endif

# Lua code that is part of the module.
$(B)/obj/bind/lib/supervisorlib.c.o: src/bind/lib/supervisor.lua
$(B)/obj/bind/lib/processlib.c.o: src/bind/lib/process.lua
$(B)/obj/bind/lib/socketlib.c.o: src/bind/lib/socket.lua
$(B)/obj/bind/lib/testlib.c.o: src/bind/lib/test.lua

-include $(shell find $(B)/obj $(B)/test $(B)/own $(B)/ext -name '*.d' 2>/dev/null)

# ---- packages ----

DEPS_GROUPS := build ext test check rock cover arm64 fuzz valgrind modules model
.PHONY: deps $(DEPS_GROUPS:%=deps-%)
deps: deps-build deps-ext deps-test deps-check
deps-ext deps-test deps-check deps-cover: deps-build
$(DEPS_GROUPS:%=deps-%):
	@$(if $(filter deps-ext,$@),$(one_at_a_time) )env DEPS=$(DEPS) sh mk/deps $(@:deps-%=%)
ifeq ($(VARIANT),arm64)
.PHONY: sysroot
sysroot: deps-arm64
	@sh mk/sysroot $(SYSROOT)
$(B)/flags: | sysroot
endif
ifeq ($(VARIANT),valgrind)
$(B)/flags: | deps-valgrind
endif

# ---- tests ----

.PHONY: test-programs test test-lua test-c test-examples test-docs crash asan ubsan tsan hard ucontext arm64 valgrind clone0 uv oom cover
RUN = VAI_VARIANT=$(VARIANT) VAI_BUILD='$(CURDIR)/$(B)' LUA=$(LUA) CC=$(CC) LUA_CFLAGS='$(LUA_CFLAGS)' TESTS='$(TESTS)' T='$(T)' bash spec/run

test-programs: $(B)/vai.so ext-all $(CTEST_BIN)
test: deps-test test-programs
	@$(RUN) c lua examples docs crash
test-lua: deps-test $(B)/vai.so ext-all
	@$(RUN) lua
test-c: test-programs
	@$(RUN) c
test-examples: $(B)/vai.so ext-all
	@$(RUN) examples
test-docs: $(B)/vai.so ext-all
	@$(RUN) docs
crash: $(B)/vai.so
	@$(RUN) crash

asan ubsan tsan hard ucontext arm64 valgrind:
	@$(MAKE) --no-print-directory VARIANT=$@ test
# Other releases of Debian, and so of Lua: as root.
.PHONY: debian
debian:
	@SUITES='$(SUITES)' bash mk/debian $(STEPS)
# Every call for memory, mappings and threads made to fail: spec/oom/oom.c.
build/oom/host: spec/oom/oom.c | deps-test
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) -std=gnu11 -O1 -g -pthread $(WARN) $(LUA_CFLAGS) -o $@ $< $(LUA_LIBS) -ldl -Wl,--export-dynamic
oom: $(B)/vai.so build/oom/host
	@$(MAKE) --no-print-directory VARIANT=oom build
	@ALL='$(ALL)' bash spec/oom/run $(PROGRAMS)
uv:
	@VAI_POLL=uv $(MAKE) --no-print-directory test-lua TESTS='$(or $(TESTS),net_spec fs_spec process_spec waits_spec serve_spec _io_spec socket_spec http tls_spec nats_spec)'
clone0:
	@VAI_CLONE=0 $(MAKE) --no-print-directory test
cover: deps-cover
	@find build/cover -name '*.gcda' -exec rm -f {} + 2>/dev/null; true
	-@$(MAKE) --no-print-directory VARIANT=cover test
	@sh mk/cover build/cover

.PHONY: fuzz
fuzz:
	@$(MAKE) --no-print-directory VARIANT=fuzz fuzz-programs
	@LUA=$(LUA) TIME='$(TIME)' SEED='$(SEED)' bash spec/fuzz/run $(or $(filter $(TESTS),$(FUZZ)),$(FUZZ))

# ---- proofs ----

# What they take from the environment (MODELS, BUG, TEST, SEED, PLAN, ...) is in the head of each runner.
.PHONY: model sim
PROOF = VAI_BUILD='$(CURDIR)/build' CC=$(CC) BUG='$(BUG)'
model: deps-model
	@$(PROOF) bash spec/model/run $(MODELS)
sim: deps-build
	@$(PROOF) TEST='$(TEST)' SEED='$(SEED)' PLAN='$(PLAN)' bash spec/sim/run

# Random schedules, on several builds one after the other.
.PHONY: stress stress-build
BUILDS ?= release hard tsan
stress:
	@failed=0; for v in $(BUILDS); do echo "---- $$v"; \
		$(MAKE) --no-print-directory VARIANT=$$v stress-build || failed=1; done; exit $$failed
stress-build: deps-modules $(B)/vai.so ext-all
	@TIME='$(TIME)' SEED='$(SEED)' $(RUN) stress

# ---- checks ----

with_tree = env -u LUA_PATH_5_4 -u LUA_CPATH_5_4 LUA_PATH='$(CURDIR)/lua/?.lua;;' LUA_CPATH='$(CURDIR)/$(B)/?.so;;' $(1)

.PHONY: check check-format check-tidy check-cppcheck check-lua check-includes check-size check-twins check-words check-symbols check-circles check-docs check-rock format
CFILES = $(sort $(shell find src ext spec bench examples -name '*.[ch]'))

check: deps-check deps-build check-format check-includes check-size check-twins check-words check-symbols \
	check-circles check-docs check-lua check-rock check-cppcheck check-tidy
	@echo 'check: clean'
check-format: deps-check
	@clang-format --dry-run -Werror $(CFILES)
format: deps-check
	@clang-format -i $(CFILES)
check-tidy: deps-check
	@sh mk/tidy $(filter %.c,$(SRC)) -- -std=gnu11 -Isrc -pthread $(LUA_CFLAGS) $(UV_CFLAGS)
	@for m in $$(CC='$(CC)' sh mk/ext found); do \
		sh mk/tidy ext/$$m/*.c -- -std=gnu11 -Isrc -pthread $(LUA_CFLAGS) $$(CC='$(CC)' sh mk/ext cflags $$m) || exit 1; \
	done
check-cppcheck: deps-check
	cppcheck --quiet --std=c11 --language=c --enable=warning,performance,portability --inline-suppr \
		--suppressions-list=.cppcheck --error-exitcode=1 -DLUA_VERSION_NUM=504 -D__x86_64__ -D__GNUC__=12 -Isrc $(filter %.c,$(SRC))
	cppcheck --quiet --std=c11 --language=c --enable=warning,performance,portability --inline-suppr \
		--suppressions-list=.cppcheck --error-exitcode=1 -DLUA_VERSION_NUM=504 -D__x86_64__ -D__GNUC__=12 -Isrc $(wildcard ext/*/*.c)
# By rooms: luacheck looks into what it is to leave out, too, and build/ may have whole systems, with /proc.
check-lua: deps-check
	luacheck --quiet bench examples lua mk rockspec spec src
check-includes check-size check-twins check-words: deps-build
	@$(LUA) spec/lint/$(@:check-%=%).lua
check-docs: $(B)/vai.so ext-all
	@$(call with_tree,$(LUA) mk/apidoc.lua --check)
	@$(LUA) spec/lint/docs.lua
check-symbols: $(B)/vai.so
	@$(LUA) spec/lint/symbols.lua $(B)/vai.so $(OBJ)
check-circles: $(OBJ)
	@$(LUA) spec/lint/circles.lua $(OBJ)
check-rock: deps-check
	@for r in rockspec/*.rockspec; do echo "luarocks lint $$r"; luarocks --lua-version 5.4 lint "$$r" || exit 1; done

# ---- use ----

.PHONY: demo env install uninstall rock rock-install rock-http rock-tls rock-nats rock-http-install rock-tls-install rock-nats-install rock-test bench bench-peers bench-frames bench-wait docs clean help
demo: $(B)/vai.so
	@VAI_BUILD='$(CURDIR)/$(B)' $(LUA) mk/demo.lua $(PROCS) $(DEMO)

# For eval: builds if need be (all messages to stderr), then prints the exports. Quoted for any path.
env:
	@$(MAKE) --no-print-directory -s build >&2
	@sh mk/env '$(subst ','\'',$(CURDIR))' '$(B)'

install: $(B)/vai.so ext $(B)/libvai.so $(B)/libvai.a
	@sh mk/install-c '$(B)' '$(PREFIX)' '$(DESTDIR)'
	@sh mk/install $(B)/vai.so '$(PREFIX)/lib/lua/5.4' '$(PREFIX)/share/lua/5.4' '$(DESTDIR)'
	@for m in $$(CC='$(CC)' sh mk/ext found); do \
		sh mk/install -m $$m $(B) '$(PREFIX)/lib/lua/5.4' '$(DESTDIR)' || exit 1; done

uninstall:
	@sh mk/install -u '$(PREFIX)/lib/lua/5.4' '$(PREFIX)/share/lua/5.4' '$(DESTDIR)'
	@sh mk/install-c -u '$(PREFIX)' '$(DESTDIR)'

# luarocks calls these two: its compiler flags, its folders, no packages installed.
rock:
	$(MAKE) VARIANT=rock DEPS=0 WERROR=0 build/rock/vai.so
rock-install:
	sh mk/install build/rock/vai.so '$(INST_LIBDIR)' '$(INST_LUADIR)'

# Those of the modules beside it; mk/ext says what is missing.
rock-http rock-tls rock-nats: rock-%:
	sh mk/ext libs $* >/dev/null
	$(MAKE) VARIANT=rock DEPS=0 WERROR=0 build/rock/vai/$*/core.so
rock-http-install rock-tls-install rock-nats-install: rock-%-install:
	sh mk/install -m $* build/rock '$(INST_LIBDIR)'

rock-test: deps-build deps-ext deps-rock
	@LUA=$(LUA) sh mk/rock-test

bench: $(B)/vai.so $(B)/libvai.a
	@VAI_BUILD='$(CURDIR)/$(B)' LUA=$(LUA) GO='$(GO)' sh bench/run

# The peers are Debian's lua-luv and lua-cqueues; without them there is less to see.
bench-peers: $(B)/vai.so
	@LUA_PATH='$(CURDIR)/lua/?.lua;$(CURDIR)/lua/?/init.lua;;' LUA_CPATH='$(CURDIR)/$(B)/?.so;;' $(LUA) bench/peers/run.lua

bench-frames: $(B)/libvai.a
	@mkdir -p $(B)/bench
	$(Q)$(CC) -std=gnu11 $(CFLAGS) -Isrc $(LUA_CFLAGS) -pthread -o $(B)/bench/frames bench/host/frames.c $(B)/libvai.a $(LUA_LIBS) $(ALL_LIBS)
	@$(B)/bench/frames $(or $(SECONDS),60) $(or $(BUDGET),5) 1000 $(or $(NICE),0)

bench-wait: $(B)/vai.so
	@mkdir -p $(B)/bench
	$(Q)$(CC) -std=gnu11 $(CFLAGS) $(LUA_CFLAGS) -pthread -o $(B)/bench/main_wait bench/host/main_wait.c $(LUA_LIBS)
	@LUA_CPATH='$(CURDIR)/$(B)/?.so;;' $(B)/bench/main_wait

docs:
	@$(LUA) mk/apidoc.lua

clean:
	rm -rf build

help:
	@sh mk/help
