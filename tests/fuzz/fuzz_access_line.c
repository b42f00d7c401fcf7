/*
 * fuzz_access_line.c - whatever stands in an exchange, its line in the access log is one line.
 *
 * The first byte chooses the format and where the bytes go; json lines are read back.
 */
#include "proxy/stream/access_line.h"

#include "proxy/base/check.h"

#include <jansson.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* The rest of the input, shared out among the texts at every 0xff. */
static void fill(struct access_entry *e, struct str rest)
{
    struct str *const texts[] = {&e->path,       &e->host,    &e->method,     &e->referer,
                                 &e->user_agent, &e->client,  &e->request_id, &e->trace_id,
                                 &e->service,    &e->version, &e->endpoint,   &e->rollout,
                                 &e->protocol,   &e->tls,     &e->end};

    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        *texts[i] = str_cut(&rest, (char)0xff);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const enum conf_log_format formats[] = {CONF_LOG_JSON, CONF_LOG_COMMON,
                                                   CONF_LOG_COMBINED};
    struct access_entry e = {.wall_ms = 1700000000000, .duration_us = 1234, .attempts = 1};
    enum conf_log_format format;
    char *out, *text;
    size_t size;

    if (n < 2)
        return 0;
    format = formats[data[0] % ARRAY_LEN(formats)];
    e.status = data[1] * 4;
    e.grpc_status = data[1] % 18 - 1;
    text = malloc(n - 1);
    memcpy(text, data + 2, n - 2);
    fill(&e, (struct str){text, n - 2});
    out = malloc(ACCESS_LINE);
    size = access_line_write(out, format, &e);
    ASSERT(size > 0 && size <= ACCESS_LINE && out[size - 1] == '\n');
    for (size_t i = 0; i + 1 < size; i++)
        ASSERT(out[i] >= 0x20 && out[i] < 0x7f);
    if (format == CONF_LOG_JSON) {
        json_t *json = json_loadb(out, size, JSON_ALLOW_NUL, NULL);

        ASSERT(json_is_object(json));
        json_decref(json);
    }
    free(out);
    free(text);
    return 0;
}
