/* test_addresses.c - answers to names become endpoints; of priorities the first that serves. */
#include "config/endpoint.h"
#include "control/engine/addresses.h"
#include "tests/unit/unit.h"

#include <check.h>

#define MOST 8

static struct arena arena;
static struct conf_endpoint room[MOST];
static struct conf_version version;

static void setup(void)
{
    arena_init(&arena, NULL, 0);
    memset(room, 0, sizeof(room));
    version = (struct conf_version){.name = STR("v1"), .endpoints = room};
}

static void teardown(void)
{
    arena_release(&arena);
}

static void add(const char *name, uint32_t weight)
{
    struct conf_endpoint *e = &room[version.nendpoints++];

    ck_assert_uint_le(version.nendpoints, MOST);
    *e = (struct conf_endpoint){.name = str_of(name), .weight = weight, .up = true};
    ck_assert(endpoint_read(&arena, e));
}

/* TEXT with ' for ". The names that were met are WANT, joined with spaces. */
static void expand(const char *text, const char *want)
{
    char buf[1024], met[256] = "";
    json_t *answers, *sources = json_object(), *value;
    const char *key;

    str_copy(buf, sizeof(buf), str_of(text));
    for (char *p = buf; *p; p++)
        *p = *p == '\'' ? '"' : *p;
    answers = json_loads(buf, 0, NULL);
    ck_assert_ptr_nonnull(answers);
    addresses_expand(&arena, &version, answers, sources);
    json_object_foreach(sources, key, value)
    {
        strncat(met, met[0] ? " " : "", sizeof(met) - strlen(met) - 1);
        strncat(met, key, sizeof(met) - strlen(met) - 1);
    }
    ck_assert_str_eq(met, want);
    json_decref(sources);
    json_decref(answers);
}

static void check_row(size_t i, const char *name, const char *from, uint32_t weight)
{
    const struct conf_endpoint *e = &version.endpoints[i];

    ck_assert_uint_lt(i, version.nendpoints);
    ck_assert_msg(str_eq(e->name, str_of(name)), "%zu: %.*s", i, STR_ARG(e->name));
    ck_assert_msg(str_eq(e->from, str_of(from)), "%zu: from %.*s", i, STR_ARG(e->from));
    ck_assert_uint_eq(e->weight, weight);
}

START_TEST(a_name_becomes_its_addresses)
{
    add("10.0.0.9:80", 3);
    add("shop.test:80", 2);
    expand("{'shop.test:80': [{'address': '10.0.0.1:80', 'priority': 0, 'weight': 9},"
           " {'address': '[2001:db8::1]:80', 'priority': 0, 'weight': 9}]}",
           "shop.test:80");
    ck_assert_uint_eq(version.nendpoints, 3);
    check_row(0, "10.0.0.9:80", "", 3);
    check_row(1, "10.0.0.1:80", "shop.test:80", 2); /* the file's weight */
    check_row(2, "[2001:db8::1]:80", "shop.test:80", 2);
    ck_assert(str_eq(version.endpoints[2].host, STR("2001:db8::1")));
    ck_assert_uint_eq(version.endpoints[2].port, 80);
}
END_TEST

START_TEST(records_have_weights_of_their_own)
{
    add("srv:_http._tcp.shop.test", 2);
    expand("{'srv:_http._tcp.shop.test': ["
           "{'address': '10.0.0.1:81', 'priority': 1, 'weight': 0},"
           "{'address': '10.0.0.2:82', 'priority': 1, 'weight': 7},"
           "{'address': '10.0.0.3:83', 'priority': 2, 'weight': 65535}]}",
           "srv:_http._tcp.shop.test");
    ck_assert_uint_eq(version.nendpoints, 3);
    check_row(0, "10.0.0.1:81", "srv:_http._tcp.shop.test", 1);
    check_row(1, "10.0.0.2:82", "srv:_http._tcp.shop.test", 7);
    check_row(2, "10.0.0.3:83", "srv:_http._tcp.shop.test", CONF_ENDPOINT_WEIGHT);
    ck_assert_uint_eq(version.endpoints[2].priority, 2);
}
END_TEST

START_TEST(without_an_answer_the_name_stays)
{
    add("shop.test:80", 1);
    expand("{}", "shop.test:80");
    ck_assert_uint_eq(version.nendpoints, 1);
    check_row(0, "shop.test:80", "", 1);
    ck_assert_uint_eq(version.endpoints[0].host.n, 0);
    expand("{'shop.test:80': []}", "shop.test:80");
    ck_assert_uint_eq(version.nendpoints, 1);
}
END_TEST

START_TEST(an_address_is_taken_once)
{
    add("10.0.0.1:80", 1);
    add("shop.test:80", 1);
    add("store.test:80", 1);
    expand("{'shop.test:80': [{'address': '10.0.0.1:80'}, {'address': '10.0.0.2:80'}],"
           " 'store.test:80': [{'address': '10.0.0.2:80'}, {'address': 'no address'},"
           " {'address': 'other.test:80'}, {}, {'address': '10.0.0.3:80'}]}",
           "shop.test:80 store.test:80");
    ck_assert_uint_eq(version.nendpoints, 3);
    check_row(0, "10.0.0.1:80", "", 1);
    check_row(1, "10.0.0.2:80", "shop.test:80", 1);
    check_row(2, "10.0.0.3:80", "store.test:80", 1);
}
END_TEST

static void add_found(const char *name, const char *from, uint16_t priority)
{
    add(name, 1);
    room[version.nendpoints - 1].from = str_of(from);
    room[version.nendpoints - 1].priority = priority;
}

START_TEST(the_first_priority_that_serves)
{
    add_found("10.0.0.1:80", "srv:_a.test", 1);
    add_found("10.0.0.2:80", "srv:_a.test", 2);
    add_found("10.0.0.3:80", "srv:_a.test", 3);
    add_found("10.0.1.1:80", "srv:_b.test", 5);
    add("10.0.2.1:80", 1);
    room[0].up = false;
    addresses_prefer(&version);
    ck_assert(!room[0].drain && !room[1].drain && room[2].drain && !room[3].drain);
    ck_assert(!room[4].drain);
    room[2].drain = false;
    room[1].drain = true; /* an operator's word */
    addresses_prefer(&version);
    ck_assert(room[1].drain && !room[2].drain);
    room[1].up = room[2].up = false; /* nobody serves: nobody is drained for it */
    room[1].drain = false;
    addresses_prefer(&version);
    ck_assert(!room[0].drain && !room[1].drain && !room[2].drain);
}
END_TEST

START_TEST(a_snapshot_tells_its_answers)
{
    struct conf_service service = {.versions = &version, .nversions = 1};
    struct conf last = {.services = &service, .nservices = 1};
    json_t *answers, *list;

    add_found("10.0.0.1:80", "srv:_a.test", 1);
    add_found("10.0.0.2:80", "srv:_a.test", 2);
    add_found("10.0.0.2:80", "srv:_a.test", 2); /* as in a second version */
    add("10.0.2.1:80", 1);
    answers = addresses_of(&last);
    ck_assert_uint_eq(json_object_size(answers), 1);
    list = json_object_get(answers, "srv:_a.test");
    ck_assert_uint_eq(json_array_size(list), 2);
    ck_assert_str_eq(json_string_value(json_object_get(json_array_get(list, 1), "address")),
                     "10.0.0.2:80");
    ck_assert_int_eq(json_integer_value(json_object_get(json_array_get(list, 1), "priority")),
                     2);
    json_decref(answers);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("addresses");
    TCase *t = tcase_create("addresses");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, a_name_becomes_its_addresses);
    tcase_add_test(t, records_have_weights_of_their_own);
    tcase_add_test(t, without_an_answer_the_name_stays);
    tcase_add_test(t, an_address_is_taken_once);
    tcase_add_test(t, the_first_priority_that_serves);
    tcase_add_test(t, a_snapshot_tells_its_answers);
    suite_add_tcase(s, t);
    return unit_run(s);
}
