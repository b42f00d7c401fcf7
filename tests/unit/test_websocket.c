/* test_websocket.c - keys and what answers them. */
#include "proxy/http/websocket.h"
#include "tests/unit/unit.h"

#include <check.h>

START_TEST(test_accepted)
{
    struct str key = STR("dGhlIHNhbXBsZSBub25jZQ=="); /* RFC 6455 1.3 */

    ck_assert(websocket_accepted(key, STR("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")));
    ck_assert(!websocket_accepted(key, STR("s3pPLMBiTxaQ9kYGzzhZRbK+xOO=")));
    ck_assert(!websocket_accepted(key, STR("s3pPLMBiTxaQ9kYGzzhZRbK+xOo")));
    ck_assert(!websocket_accepted(key, STR_NONE));
    ck_assert(!websocket_accepted(STR("short"), STR("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")));
}
END_TEST

START_TEST(test_key)
{
    const uint64_t random[2] = {0x0706050403020100, 0x0f0e0d0c0b0a0908};
    char key[WEBSOCKET_KEY];

    websocket_key(key, random);
    ck_assert(str_eq((struct str){key, sizeof(key)}, STR("AAECAwQFBgcICQoLDA0ODw==")));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("websocket");
    TCase *t = tcase_create("websocket");

    suite_add_tcase(s, t);
    tcase_add_test(t, test_accepted);
    tcase_add_test(t, test_key);
    return unit_run(s);
}
