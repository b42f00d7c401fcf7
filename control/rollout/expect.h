/*
 * expect.h - what an HTTP answer has to be like for a check to pass. Pure.
 *
 *   {"status": 200, "header": {"content-type": "^text/html"}, "body": "Welcome",
 *    "json": {"$.ok": true, "$.items[0].id": 7}, "within": "800ms"}
 *
 * status is a number, a class such as "2xx", or a list of them (default "2xx"); header and body
 * are regular expressions that match somewhere; json compares the value at a path ("$", then
 * ".name" and "[index]"); within is the longest time to the end of the answer.
 */
#pragma once
#include "proxy/base/check.h"
#include "proxy/base/str.h"

struct json_t;

#define EXPECT_WHY 160

struct expect_answer {
    int status;
    struct str headers; /* lines "Name: value", as they came */
    struct str body;
    bool truncated; /* the body was longer than what is here */
    uint64_t took_ms;
};

/* Is DOC such a document? 0, or -1: FIELD names the member ("" is DOC itself), WHY says what is
 * wrong. */
MUST_CHECK int expect_check(const struct json_t *doc, char field[64], char why[EXPECT_WHY]);
/* Does A hold what DOC asks for? DOC passed expect_check or is NULL (2xx). False: WHY says what
 * is different. */
bool expect_met(const struct json_t *doc, const struct expect_answer *a, char why[EXPECT_WHY]);
