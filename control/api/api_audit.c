/* api_audit.c - who changed what, and whether that record is still as it was written. */
#include "control/api/routes.h"
#include "control/engine/engine.h"
#include "control/store/store.h"
#include "proxy/base/clock.h"

#define PAGE     100 /* records of a page that does not say */
#define PAGE_MAX 1000

static json_t *text_json(struct str s)
{
    return s.n ? json_stringn(s.p, s.n) : json_null();
}

/* What was stored as JSON text is shown as JSON. */
static json_t *value_json(struct str s)
{
    json_t *v = s.n ? json_loadb(s.p, s.n, JSON_DECODE_ANY, NULL) : json_null();

    return v ? v : text_json(s);
}

static int add_record(void *arg, const struct store_audit *rec)
{
    char stamp[CLOCK_STAMP];

    json_array_append_new(
        arg, json_pack("{s:I,s:s,s:o,s:o,s:o,s:o,s:o,s:o}", "seq", (json_int_t)rec->seq, "ts",
                       clock_stamp(stamp, rec->ts_ms), "who", text_json(rec->who), "what",
                       text_json(rec->what), "why", text_json(rec->why), "before",
                       value_json(rec->before), "after", value_json(rec->after), "hash",
                       text_json(rec->hash)));
    return 0;
}

void api_audit_list(struct api_request *req)
{
    uint64_t since = 0, limit = PAGE;
    json_t *list;
    size_t n;

    if (!api_query_u64(req, "since", INT64_MAX, &since) ||
        !api_query_u64(req, "limit", PAGE_MAX, &limit))
        return;
    list = json_array();
    if (store_audit_list(api_engine(req)->store, since, (unsigned)limit, add_record, list) !=
        0) {
        json_decref(list);
        api_problem(req, 500, "store_failed", NULL, "the audit cannot be read");
        return;
    }
    n = json_array_size(list);
    json_t *last = n ? json_object_get(json_array_get(list, n - 1), "seq") : NULL;
    json_t *next = last ? json_incref(last) : json_integer((json_int_t)since);
    api_reply(req, 200, json_pack("{s:o,s:o}", "audit", list, "next", next));
}

void api_audit_verify(struct api_request *req)
{
    uint64_t bad = 0;
    int rc = store_audit_verify(api_engine(req)->store, &bad);

    if (rc < 0)
        api_problem(req, 500, "store_failed", NULL, "the audit cannot be read");
    else
        api_reply(req, 200,
                  json_pack("{s:b,s:o}", "intact", rc == 0, "first_bad",
                            rc == 0 ? json_null() : json_integer((json_int_t)bad)));
}
