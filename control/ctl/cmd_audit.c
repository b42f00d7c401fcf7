/* cmd_audit.c - who changed what; is the record intact? */
#include "control/ctl/client.h"
#include "control/ctl/cmd.h"
#include "proxy/base/mem.h"

#define PAGE 1000

static void print_record(struct ctl *c, const json_t *r)
{
    const char *why = ctl_text(r, "why");

    if (c->json) {
        json_dumpf(r, c->out, JSON_COMPACT);
        fputc('\n', c->out);
        return;
    }
    fprintf(c->out, "%6.0f  %s  %-16s %s%s%s\n", ctl_number(r, "seq"), ctl_text(r, "ts"),
            ctl_text(r, "who"), ctl_text(r, "what"), why[0] ? ": " : "", why);
}

int cmd_audit_list(struct ctl *c)
{
    uint64_t since = 0;
    size_t n = PAGE;

    while (n == PAGE) {
        char *path =
            xasprintf("/v1/audit?since=%llu&limit=%d", (unsigned long long)since, PAGE);
        json_t *doc;
        const json_t *list, *r;
        size_t i;
        int code = client_json(c, "GET", path, NULL, &doc);

        xfree(path);
        if (code != CTL_OK)
            return code;
        list = json_object_get(doc, "audit");
        n = json_array_size(list);
        json_array_foreach(list, i, r) print_record(c, r);
        since = (uint64_t)ctl_number(doc, "next");
        json_decref(doc);
    }
    return CTL_OK;
}

int cmd_audit_verify(struct ctl *c)
{
    json_t *doc;
    int code = client_json(c, "GET", "/v1/audit/verify", NULL, &doc);

    if (code != CTL_OK)
        return code;
    bool intact = json_is_true(json_object_get(doc, "intact"));
    if (c->json)
        ctl_print_json(c, doc);
    else if (intact)
        fputs("the audit is as it was written\n", c->out);
    else
        fprintf(c->out, "record %.0f is not as it was written\n", ctl_number(doc, "first_bad"));
    json_decref(doc);
    return intact ? CTL_OK : CTL_FAILED;
}
