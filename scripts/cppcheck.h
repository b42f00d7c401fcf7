/* cppcheck.h - macros of system headers that cppcheck has to know; it does not read those. */
#define LIST_HEAD(name, type)                                                                   \
    struct name {                                                                               \
        struct type *lh_first;                                                                  \
    }
#define TAILQ_HEAD(name, type)                                                                  \
    struct name {                                                                               \
        struct type *tqh_first;                                                                 \
    }
#define STAILQ_HEAD(name, type)                                                                 \
    struct name {                                                                               \
        struct type *stqh_first;                                                                \
    }
#define LIST_ENTRY(type)                                                                        \
    struct {                                                                                    \
        struct type *le_next;                                                                   \
    }
#define TAILQ_ENTRY(type)  LIST_ENTRY(type)
#define STAILQ_ENTRY(type) LIST_ENTRY(type)
#define LIST_FOREACH(v, head, link)   for (v = (head)->lh_first; v; v = v->link.le_next)
#define TAILQ_FOREACH(v, head, link)  for (v = (head)->tqh_first; v; v = v->link.le_next)
#define STAILQ_FOREACH(v, head, link) for (v = (head)->stqh_first; v; v = v->link.le_next)
#define json_array_foreach(a, i, v)                                                             \
    for (i = 0; i < json_array_size(a) && (v = json_array_get(a, i)); i++)
#define json_object_foreach(o, k, v)                                                            \
    for (k = json_key(o); k && (v = json_object_get(o, k)); k = json_next(o, k))
#define json_object_foreach_safe(o, n, k, v) json_object_foreach(o, k, v)
#define START_TEST(name) static void name(int _i)
#define END_TEST
