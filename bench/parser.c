/*
 * parser.c - how fast heads are parsed: a browser's usual request, again and again.
 *
 *   parser [SECONDS]
 */
#include "proxy/base/check.h"
#include "proxy/http/h1_parse.h"
#include "proxy/http/head_write.h"

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

static size_t parse(char *room, bool rewrite)
{
    static struct head h;
    struct h1_parser p;
    struct out o;

    h1_parser_request(&p);
    if (h1_parse(&p, &h, request.p, request.n) != H1_DONE)
        abort();
    if (!rewrite)
        return h.size;
    o = out_init(room, 4096);
    head_write_request(&o, &h);
    head_write_end_to_end(&o, &h, NULL);
    head_write_end(&o);
    return o.n;
}

static void measure(const char *what, bool rewrite, double seconds)
{
    static char room[4096];
    uint64_t start = cpu_us(), now = start, rounds = 0;
    volatile size_t sink = 0;

    while (now - start < (uint64_t)(seconds * 1e6)) {
        for (int i = 0; i < 1000; i++)
            sink += parse(room, rewrite);
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

    measure("parse", false, seconds);
    measure("parse and rewrite", true, seconds);
    return 0;
}
