/* dump.h - a model as the JSON of an effective config. */
#pragma once
#include "config/conf.h"
#include "config/writer.h"

enum dump_secrets {
    DUMP_ALL,         /* as they are */
    DUMP_FOR_WORKERS, /* "user:password" of URLs is "***"; without defaults and endpoints */
    DUMP_REDACTED     /* what came from FILE or CRED is "***" as well */
};

/* The config as one JSON object under KEY. */
void dump_config(struct writer *w, struct str key, const struct conf *c,
                 enum dump_secrets secrets);
