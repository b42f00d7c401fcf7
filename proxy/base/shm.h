/*
 * shm.h - documents in sealed memory: config flows down.
 *
 * A document is written once into a memfd, sealed against every change and handed to other
 * processes as a descriptor; whoever maps it can trust that it stays as it is.
 */
#pragma once
#include "proxy/base/check.h"
#include "proxy/base/str.h"

/* A sealed memfd that holds DOC; NAME is for /proc only. Owned by the caller; -1: errno. */
MUST_CHECK int shm_seal(const char *name, struct str doc);
/*
 * Map a sealed document read-only. Refuses (-1, errno EPERM) a descriptor without the seals
 * WRITE, GROW, SHRINK and SEAL. Release with shm_unmap. An empty document maps to STR_NONE.
 */
MUST_CHECK int shm_map(int fd, struct str *doc);
void shm_unmap(struct str doc);
