/*
 * capacity.h - weights as far as the endpoints that are ready can carry them: pure.
 *
 * A weight is what somebody asked for; what a version gets is bounded by how much of it is
 * ready. Only the newer versions of a service are cut, to the ready part of their endpoints
 * (by weight, drained ones left out), and what they do not get goes to the oldest version that
 * has weight and something ready: losing endpoints never gives a new version more traffic,
 * unless nothing older is left to answer at all. When nothing is ready anywhere weights stay as
 * they are. The health bits are part of the snapshot, so all workers cut alike.
 */
#pragma once
#include "config/model.h"

#define CAPACITY_NOBODY SIZE_MAX

/* The version that takes what others cannot: oldest with weight and something ready. */
size_t capacity_base(const struct conf_service *s);
/* What version V, which is not BASE, may have of its weight, in hundredths of a per cent. */
uint32_t capacity_cut(const struct conf_service *s, size_t base, size_t v);
