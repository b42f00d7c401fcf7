/*
 * names.h - a set of names, each with something to find by it.
 *
 * Names are borrowed and must outlive the set. Sized once, for at most the number of names
 * given to names_init.
 */
#pragma once
#include "proxy/base/str.h"

struct names {
    struct name_slot {
        struct str name;
        void *value; /* NULL: free slot */
    } * slots;
    size_t mask;
    uint64_t seed;
};

void names_init(struct names *s, size_t most);
void names_release(struct names *s);
/* The value that NAME already has, or NULL: VALUE (not NULL) is now its value. */
void *names_add(struct names *s, struct str name, void *value);
void *names_find(const struct names *s, struct str name);
