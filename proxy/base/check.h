/*
 * check.h - assertions that stay on in release builds.
 *
 * ASSERT is for broken invariants of our own code and for nothing else: never for input,
 * peers, allocation or the file system. A failed one prints where and a backtrace and aborts;
 * the supervisor restarts that one process.
 */
#pragma once
#include <stdint.h>

_Noreturn void check_failed(const char *file, int line, const char *func, const char *expr);

#define ASSERT(x)                                                                              \
    do {                                                                                       \
        if (__builtin_expect(!(x), 0))                                                         \
            check_failed(__FILE__, __LINE__, __func__, #x);                                    \
    } while (0)

#ifdef SLUICE_DEBUG
#define DASSERT(x) ASSERT(x) /* too costly for release: whole-structure walks */
#else
#define DASSERT(x) ((void)0)
#endif

/*
 * Long-lived types begin with `uint32_t magic` and define TYPE_MAGIC; a `void *arg` is
 * recovered with CAST(stream, arg), which checks it.
 */
#define MAGIC_SET(obj, tag) ((obj)->magic = (tag))
#define CAST(type, tag, arg)                                                                   \
    (__extension__({                                                                           \
        struct type *cast_ = (arg);                                                            \
        ASSERT(cast_ && cast_->magic == (tag));                                                \
        cast_;                                                                                 \
    }))

#define CONTAINER_OF(ptr, type, member)                                                        \
    ((type *)(void *)((char *)(ptr) - __builtin_offsetof(type, member)))
#define ARRAY_LEN(a)      (sizeof(a) / sizeof((a)[0]))
#define MUST_CHECK        __attribute__((warn_unused_result))
#define PRINTF_LIKE(f, a) __attribute__((format(printf, f, a)))
