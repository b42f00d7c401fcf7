/* override.h - requests that name their version by a header or cookie, whatever the weights. */
#pragma once
#include "config/model.h"
#include "proxy/http/head.h"

/* The first override of S all of whose matches hold for H, or NULL. */
const struct conf_override *override_match(const struct conf_service *s, const struct head *h);
