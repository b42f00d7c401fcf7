/* dump.h - a model as the JSON of an effective config. */
#pragma once
#include "config/conf.h"
#include "config/writer.h"

/* The config as one JSON object under KEY. */
void dump_config(struct writer *w, struct str key, const struct conf *c, bool redact);
