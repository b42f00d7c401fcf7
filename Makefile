# Sluice: a reverse proxy that moves traffic between versions of a service.
#
#   make            build the three programs into build/release
#   make check      install what is missing, build, run every test
#   make demo       install what is missing, build, watch the whole main job (90 s)
#   make deps       list the packages that are needed and missing (apt)
#   make install    into DESTDIR= PREFIX=/usr/local
#   make lint       formatting, floors, banned calls, manuals, static checks
#   make asan       the same programs under ASan and UBSan; make asan T=check-unit tests them
#   make fuzz       fuzz targets, FUZZ_SECONDS=60 each; make fuzz T=h1_head for one
#   make bench      CPU, latency and memory beside haproxy and nginx, into bench/results, and how
#                   fast a bad version is without traffic (12 minutes; BENCH_QUICK=1: 5)
#   make bench-judge    what the judge costs and misses beside other rules, in simulation
#                   (minutes; BENCH_JUDGE="--runs 200 --clean 2000" for fewer rollouts)
#   make check-unit check-scenario    one half of the tests; S=name for those with that name
#   make conformance    hostile requests and answers of outside corpora (CONFORMANCE_DIR=../shared)
#   make testssl    testssl.sh against a listener (minutes): nothing above LOW
#   make clean      remove build/
#
# Knobs: DEV=1 (warnings are errors), MODE=release|asan|debug, CC, CFLAGS, LDFLAGS, V=1.

MODE ?= release
B := build/$(MODE)
PREFIX ?= /usr/local
CC ?= cc
VERSION := $(shell sed -n '/^\#\# \[\{0,1\}[0-9]/{s/^\#\# \[\{0,1\}\([0-9][0-9.]*\).*/\1/p;q}' CHANGELOG.md 2>/dev/null)
ifeq ($(VERSION),)
VERSION := 0.0.0
endif

PKGS := libevent openssl jansson hiredis libcurl libcares sqlite3 libpcre2-8 libnghttp2
HAVE_PKGS := $(shell pkg-config --exists $(PKGS) 2>/dev/null && echo yes)
PKG_CFLAGS := $(if $(HAVE_PKGS),$(shell pkg-config --cflags $(PKGS)))
# Built in when it is there; at run time the kernel has its say.
HAVE_URING := $(shell pkg-config --exists 'liburing >= 2.3' 2>/dev/null && echo yes)
ifeq ($(HAVE_URING),yes)
PKG_CFLAGS += -DHAVE_LIBURING
URING_LIBS := -luring
endif

WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith \
        -Wwrite-strings -Wvla -Wformat=2 -Wundef -fno-common
HARD := -fstack-protector-strong -fstack-clash-protection -fPIE -fno-strict-aliasing
ifeq ($(shell uname -m),x86_64)
HARD += -fcf-protection
endif
AUTOINIT.release := -ftrivial-auto-var-init=zero
HAS_AUTOINIT := $(shell echo | $(CC) -ftrivial-auto-var-init=zero -x c -c -o /dev/null - 2>/dev/null && echo yes)
HARD += $(if $(HAS_AUTOINIT),$(AUTOINIT.$(MODE)))
OPT.release := -O2 -g -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3
OPT.debug := -O0 -g3 -DSLUICE_DEBUG
OPT.asan := -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined \
            -fno-sanitize-recover=all -DSLUICE_DEBUG
OPT.fuzz := -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined,fuzzer-no-link \
            -fno-sanitize-recover=all -DSLUICE_DEBUG
LINK.release := -Wl,-z,relro,-z,now,-z,noexecstack
LINK.asan := -fsanitize=address,undefined
LINK.fuzz := -fsanitize=address,undefined
ifeq ($(MODE),fuzz)
CC := clang
# For fuzz_h1_diff: the C sources in Debian's node-llhttp.
LLHTTP := $(if $(wildcard /usr/share/llhttp/llhttp.c),llhttp api http)
PKG_CFLAGS += $(if $(LLHTTP),-DLLHTTP_STRICT_MODE=1 -I/usr/share/include/llhttp)
endif

ALLC := -std=gnu11 -D_GNU_SOURCE -DSLUICE_VERSION='"$(VERSION)"' $(WARN) $(if $(DEV),-Werror) \
        $(HARD) $(OPT.$(MODE)) -ffile-prefix-map=$(CURDIR)=. -I. -MMD -MP $(PKG_CFLAGS) $(CFLAGS)
ALLL := -pie -rdynamic $(LINK.$(MODE)) -Wl,--as-needed $(LDFLAGS)

MAINS := proxy/proc/main.c control/main.c control/ctl/main.c
SRC := $(filter-out $(MAINS),$(sort $(shell find proxy config control -name '*.c')))
LIB := $(B)/libsluice.a
BINS := $(B)/sluice $(B)/sluice-control $(B)/sluicectl
UNITS := $(patsubst tests/unit/%.c,$(B)/tests/%,$(sort $(wildcard tests/unit/test_*.c)))

BASE_LIBS := -lnghttp2 -levent_core -levent_extra -lcrypto -lpcre2-8 $(URING_LIBS) -lm
LIBS.sluice := -ljansson -lssl $(BASE_LIBS)
LIBS.sluice-control := -ljansson -lsqlite3 -lcurl -lcares -lhiredis -lssl $(BASE_LIBS)
LIBS.sluicectl := -ljansson -lcurl $(BASE_LIBS)
LIBS.test := -ljansson -lsqlite3 -lcurl -lcares -lhiredis -lssl $(BASE_LIBS)

Q := $(if $(V),,@)

all: $(BINS)

$(BINS): | need-pkgs
need-pkgs:
	@scripts/deps.sh --build --check

$(B)/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(if $(V),,@echo "  CC $<")
	$(Q)$(CC) $(ALLC) -c -o $@ $<

# The archive is made anew when a file comes or goes, not only when one changes.
$(B)/sources: FORCE
	@mkdir -p $(@D)
	@echo '$(SRC)' | cmp -s - $@ || echo '$(SRC)' >$@
FORCE:

$(LIB): $(SRC:%.c=$(B)/%.o) $(B)/sources
	@rm -f $@
	$(Q)ar rcs $@ $(filter %.o,$^)

$(B)/sluice: $(B)/proxy/proc/main.o $(LIB)
	$(if $(V),,@echo "  LD $@")
	$(Q)$(CC) $(ALLL) -o $@ $^ $(LIBS.sluice)
$(B)/sluice-control: $(B)/control/main.o $(LIB)
	$(if $(V),,@echo "  LD $@")
	$(Q)$(CC) $(ALLL) -o $@ $^ $(LIBS.sluice-control)
$(B)/sluicectl: $(B)/control/ctl/main.o $(LIB)
	$(if $(V),,@echo "  LD $@")
	$(Q)$(CC) $(ALLL) -o $@ $^ $(LIBS.sluicectl)

$(B)/tests/%: $(B)/tests/unit/%.o $(LIB)
	@mkdir -p $(@D)
	$(if $(V),,@echo "  LD $@")
	$(Q)$(CC) $(ALLL) -o $@ $^ $(shell pkg-config --libs check 2>/dev/null) $(LIBS.test)

.SECONDARY:
# The fuzz targets are compiled with them, so that they keep up with what they call.
FUZZ_OBJS := $(patsubst %.c,$(B)/%.o,$(filter-out %/fuzz_h1_diff.c,$(wildcard tests/fuzz/fuzz_*.c)))
units: $(UNITS) $(FUZZ_OBJS)

# What the README names installs first and then builds with what it found.
SUB := $(MAKE) --no-print-directory
JOBS := -j$(shell nproc 2>/dev/null || echo 2)
check: deps-install
	@$(SUB) $(JOBS) all units
	@$(SUB) check-unit
	@$(SUB) check-scenario
check-unit: all units
	@scripts/check-unit.sh $(B) $(S)
check-scenario: all
	@MODE=$(MODE) scripts/check-scenario.sh $(B) $(S)

demo: deps-install
	@$(SUB) $(JOBS) all
	@python3 scripts/demo.py --build $(B)

bench: deps-install
	@$(SUB) $(JOBS) all
	@bench/run.sh $(B)

# Its output is the report; exit 1 when a figure is missed.
JUDGE_OBJS := $(patsubst %.c,$(B)/%.o,$(sort $(wildcard bench/judge/*.c)))
$(B)/bench-judge: $(JUDGE_OBJS) $(LIB)
	$(if $(V),,@echo "  LD $@")
	$(Q)$(CC) $(ALLL) -o $@ $^ $(BASE_LIBS)
bench-judge: $(B)/bench-judge
	@nice -n 19 $< $(BENCH_JUDGE)

conformance: all
	@scripts/conformance.sh $(B)

testssl: all
	@scripts/testssl.py --build $(B) || test $$? = 77

asan debug:
	@$(SUB) MODE=$@ $(or $(T),all)

fuzz:
	@scripts/fuzz.sh $(T)

$(B)/llhttp/%.o: /usr/share/llhttp/%.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALLC) -w -fno-sanitize=undefined -c -o $@ $<
$(B)/fuzz_h1_diff: $(LLHTTP:%=$(B)/llhttp/%.o)

# One fuzz target: make MODE=fuzz build/fuzz/fuzz_NAME
$(B)/fuzz_%: $(B)/tests/fuzz/fuzz_%.o $(LIB)
	$(if $(V),,@echo "  LD $@")
	$(Q)$(CC) $(ALLL) -fsanitize=fuzzer -o $@ $^ $(LIBS.test)

lint:
	@scripts/lint.sh

format:
	@clang-format -i $(shell find proxy config control tests bench -name '*.[ch]')

deps:
	@scripts/deps.sh
deps-install:
	@scripts/deps.sh --install

install: all
	@scripts/install.sh "$(B)" "$(DESTDIR)" "$(PREFIX)"

clean:
	rm -rf build

help:
	@sed -n '1,/^[^#]/{s/^# \{0,1\}//p}' Makefile

.PHONY: FORCE all need-pkgs units check conformance testssl check-unit check-scenario demo bench bench-judge asan debug fuzz lint \
        format deps deps-install install clean help
-include $(shell find $(B) -name '*.d' 2>/dev/null)
