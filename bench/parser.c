/*
 * parser.c - how fast heads are parsed: a browser's usual request, again and again.
 *
 *   parser [SECONDS]
 *
 * Beside it, where they are installed: llhttp (compiled in with HAVE_LLHTTP, see run.sh) and
 * picohttpparser (as libh2o has it, a shared library). Both only find the fields: they judge
 * neither host, lengths, look-alikes nor what Connection names, and hash no names.
 */
#include "proxy/base/check.h"
#include "proxy/http/h1_parse.h"
#include "proxy/http/head_write.h"

#ifdef HAVE_LLHTTP
#include <llhttp.h>
#endif

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static const struct str request = STR_INIT(
    "GET /wp-content/uploads/2010/03/hello-kitty-darth-vader-pink.jpg HTTP/1.1\r\n"
    "Host: www.shop.example\r\n"
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:109.0) Gecko/20100101 Firefox/115.0\r\n"
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8\r\n"
    "Accept-Language: en-GB,en;q=0.7,de;q=0.3\r\n"
    "Accept-Encoding: gzip, deflate, br\r\n"
    "Connection: keep-alive\r\n"
    "Referer: https://www.shop.example/catalogue/pink\r\n"
    "Cookie: session=6f1c7f0e5b2a4d1c9a83; theme=dark; consent=essential; "
    "_ga=GA1.2.3456.789\r\n"
    "Upgrade-Insecure-Requests: 1\r\n"
    "Sec-Fetch-Dest: document\r\n"
    "Sec-Fetch-Mode: navigate\r\n"
    "Sec-Fetch-Site: same-origin\r\n"
    "\r\n");

/* CPU time of this process: other work on the machine does not count. */
static uint64_t cpu_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static size_t parse_into(struct head *h)
{
    struct h1_parser p;

    h1_parser_request(&p);
    if (h1_parse(&p, h, request.p, request.n) != H1_DONE)
        abort();
    return h->size;
}

static size_t parse(void)
{
    static struct head h;

    return parse_into(&h);
}

static size_t parse_and_rewrite(void)
{
    static char room[4096];
    static struct head h;
    struct out o = out_init(room, sizeof(room));

    parse_into(&h);
    head_write_request(&o, &h);
    head_write_end_to_end(&o, &h, NULL);
    head_write_end(&o);
    return o.n;
}

#ifdef HAVE_LLHTTP
static struct str spans[HEAD_MAX_FIELDS * 2 + 2];
static size_t nspans;

static int on_span(llhttp_t *p, const char *at, size_t n)
{
    (void)p;
    spans[nspans++] = (struct str){at, n};
    return 0;
}

static size_t parse_llhttp(void)
{
    static const llhttp_settings_t settings = {
        .on_url = on_span, .on_header_field = on_span, .on_header_value = on_span};
    llhttp_t p;

    nspans = 0;
    llhttp_init(&p, HTTP_REQUEST, &settings);
    if (llhttp_execute(&p, request.p, request.n) != HPE_OK)
        abort();
    return nspans;
}
#endif

struct phr_header { /* as picohttpparser has it */
    const char *name;
    size_t name_n;
    const char *value;
    size_t value_n;
};
typedef int phr_parse_request(const char *buf, size_t n, const char **method, size_t *method_n,
                              const char **path, size_t *path_n, int *minor,
                              struct phr_header *fields, size_t *nfields, size_t last_n);
static phr_parse_request *phr;

static size_t parse_pico(void)
{
    static struct phr_header fields[HEAD_MAX_FIELDS];
    const char *method, *path;
    size_t method_n, path_n, nfields = HEAD_MAX_FIELDS;
    int minor;

    if (phr(request.p, request.n, &method, &method_n, &path, &path_n, &minor, fields, &nfields,
            0) != (int)request.n)
        abort();
    return nfields;
}

static void measure(const char *what, size_t (*run)(void), double seconds)
{
    uint64_t start = cpu_us(), now = start, rounds = 0;
    volatile size_t sink = 0;

    while (now - start < (uint64_t)(seconds * 1e6)) {
        for (int i = 0; i < 1000; i++)
            sink += run();
        rounds += 1000;
        now = cpu_us();
    }
    printf("%-20s %7.1f ns a head of %zu bytes, %5.2f GB/s\n", what,
           (double)(now - start) * 1e3 / (double)rounds, request.n,
           (double)rounds * (double)request.n / (double)(now - start) / 1e3);
}

int main(int argc, char **argv)
{
    double seconds = argc > 1 ? atof(argv[1]) : 1;
    void *h2o = dlopen("libh2o-evloop.so.0.13", RTLD_NOW);

    measure("parse", parse, seconds);
    measure("parse and rewrite", parse_and_rewrite, seconds);
#ifdef HAVE_LLHTTP
    measure("llhttp", parse_llhttp, seconds);
#endif
    if (h2o && (phr = (phr_parse_request *)dlsym(h2o, "phr_parse_request")))
        measure("picohttpparser", parse_pico, seconds);
    return 0;
}
