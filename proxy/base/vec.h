/*
 * vec.h - a growing array of values.
 *
 *   VEC(struct route) routes = {0};
 *   *vec_add(&routes) = r;
 *   for (size_t i = 0; i < routes.n; i++) use(&routes.v[i]);
 *   vec_release(&routes);
 *
 * Elements move when it grows: keep indices, not pointers, across vec_add.
 */
#pragma once
#include "proxy/base/mem.h"

#define VEC(T)                                                                                 \
    struct {                                                                                   \
        T *v;                                                                                  \
        size_t n, cap;                                                                         \
    }

#define vec_reserve(vec, want)                                                                 \
    do {                                                                                       \
        if ((vec)->cap < (size_t)(want)) {                                                     \
            (vec)->cap = (vec)->cap * 2 > (size_t)(want) ? (vec)->cap * 2 : (size_t)(want);    \
            if ((vec)->cap < 8)                                                                \
                (vec)->cap = 8;                                                                \
            (vec)->v = xrealloc((vec)->v, (vec)->cap * sizeof(*(vec)->v));                     \
        }                                                                                      \
    } while (0)

/* Room for one more; the pointer is valid until the next vec_add. Not zeroed. */
#define vec_add(vec)                                                                           \
    (__extension__({                                                                           \
        vec_reserve(vec, (vec)->n + 1);                                                        \
        &(vec)->v[(vec)->n++];                                                                 \
    }))

#define vec_release(vec)                                                                       \
    do {                                                                                       \
        xfree((vec)->v);                                                                       \
        (vec)->v = NULL;                                                                       \
        (vec)->n = (vec)->cap = 0;                                                             \
    } while (0)
