/*
 * flagset.h - the flag-set snapshot and the compiled form of its flags.
 *
 *   {"format":1,"sequence":7,"env":"prod","source":"redis|bootstrap|disk|api",
 *    "epoch":"…","version":12,
 *    "flags":{…flagd flags by key…},"evaluators":{…},"metadata":{…},
 *    "overrides":{"key":{"variant":"off","until":1764000000,"by":"ann","why":"INC-12"}},
 *    "cells":{"key":{"on":3,"off":4}}}
 *
 * Written by the controller, relayed to every worker, stored in state_dir/flags-<env>.json.
 * flagset_compile turns the document into flat programs (config/ has jansson), flag_eval
 * (proxy/route/flag_eval.h) runs them on the request path without allocating. A flag whose
 * definition is bad is quarantined: it stays in the set with its reason and never matches.
 */
#pragma once
#include "proxy/base/check.h"
#include "proxy/base/str.h"

struct flagset; /* immutable after compile, reference-counted by its users */

/* Compile DOC. NULL and a malloc'd reason (xfree) only if DOC is not a flag-set snapshot;
 * single bad flags are quarantined. */
struct flagset *flagset_compile(struct str doc, char **why) MUST_CHECK;
void flagset_free(struct flagset *f);
