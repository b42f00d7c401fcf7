/* test_conf.c - documents into models and back: defaults, every field, secrets, round trips. */
#include "config/conf.h"
#include "proxy/base/sys.h"
#include "tests/unit/unit.h"

#include <check.h>
#include <glob.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define WEB "\"version\": 1, \"listeners\": { \"web\": { \"address\": \"127.0.0.1:0\" } }, "
#define SHOP                                                                                   \
    "\"services\": { \"shop\": { \"versions\": { \"v1\": { \"endpoints\": "                    \
    "[\"127.0.0.1:9001\"] } } } }, "
#define ROUTE "\"routes\": [{ \"service\": \"shop\" }]"
#define SMALL WEB SHOP ROUTE

static struct conf_diags diags;
static struct arena arena;
static char folder[] = "/tmp/sluice-conf-XXXXXX";

static void setup(void)
{
    conf_diags_init(&diags);
    arena_init(&arena, NULL, 0);
}

static void teardown(void)
{
    conf_diags_release(&diags);
    arena_release(&arena);
}

static struct conf *good(struct conf *c)
{
    ck_assert_msg(c != NULL, "%s", conf_diags_text(&arena, &diags).p);
    ck_assert_uint_eq(diags.list.n, 0);
    return c;
}

static struct conf *parse(const char *text)
{
    return conf_parse(str_of(text), "", &diags);
}

static void remove_folder(void)
{
    glob_t found;
    struct str pattern = arena_printf(&arena, "%s/*", folder);

    if (glob(pattern.p, 0, NULL, &found) == 0) {
        for (size_t i = 0; i < found.gl_pathc; i++)
            (void)remove(found.gl_pathv[i]);
        globfree(&found);
    }
    (void)rmdir(folder);
}

/* Write TEXT into the test's folder; returns the path. */
static const char *file(const char *name, const char *text)
{
    struct str path = arena_printf(&arena, "%s/%s", folder, name);

    ck_assert_int_eq(sys_write_file(path.p, str_of(text), 0600), 0);
    return path.p;
}

START_TEST(defaults)
{
    struct conf *c = good(parse("{ " SMALL " }"));
    const struct conf_service *s = &c->services[0];

    ck_assert_uint_ge(c->workers, 1);
    ck_assert_uint_le(c->workers, 64);
    ck_assert_str_eq(c->state_dir.p, "/var/lib/sluice");
    ck_assert_str_eq(c->control.socket.p, "/run/sluice/control.sock");
    ck_assert_uint_eq(c->control.mode, 0660);
    ck_assert_uint_eq(c->control.listen.n, 0);
    ck_assert_uint_eq(c->user.n, 0);
    ck_assert_str_eq(c->listeners[0].host.p, "127.0.0.1");
    ck_assert_int_eq(s->sticky.by, CONF_STICKY_NONE);
    ck_assert_int_eq(s->balance, CONF_BALANCE_P2C);
    ck_assert(!s->health.enabled);
    ck_assert_uint_eq(s->timeouts.connect_ms, 1000);
    ck_assert_uint_eq(s->timeouts.first_byte_ms, 30000);
    ck_assert_uint_eq(s->timeouts.idle_ms, 60000);
    ck_assert_uint_eq(s->retry.attempts, 2);
    ck_assert_uint_eq(s->retry.on, CONF_RETRY_CONNECT | CONF_RETRY_RESET);
    ck_assert_uint_eq(s->versions[0].weight, CONF_WEIGHT_FULL);
    ck_assert(s->versions[0].endpoints[0].up);
    ck_assert_str_eq(c->routes[0].path.p, "/");
    ck_assert_uint_eq(c->routes[0].host.n, 0);
    ck_assert(!c->flags.enabled);
    ck_assert_str_eq(c->access_log.path.p, "-");
    ck_assert_int_eq(c->access_log.format, CONF_LOG_JSON);
    conf_free(c);
}
END_TEST

START_TEST(every_field_of_the_full_example)
{
    struct conf *c = good(conf_load("config/examples/full.jsonc", &diags));
    const struct conf_service *s = conf_service_find(c, STR("shop"));

    ck_assert_ptr_nonnull(s);
    ck_assert_uint_eq(c->workers, 2);
    ck_assert_str_eq(c->user.p, "sluice");
    ck_assert_str_eq(c->control.telemetry.p, "127.0.0.1:9901");
    ck_assert_uint_eq(c->nlisteners, 5);
    ck_assert_uint_eq(c->listeners[0].ntrusted_proxies, 2);
    ck_assert_uint_eq(c->listeners[0].trusted_proxies[0].bits, 96 + 8);
    ck_assert(c->listeners[0].forwarded && !c->listeners[1].forwarded);
    ck_assert_uint_eq(c->listeners[1].proxy_protocol.nfrom, 1);
    ck_assert_str_eq(c->listeners[2].host.p, "::1");
    ck_assert_uint_eq(c->listeners[2].port, 8080);
    ck_assert(c->listeners[3].tls.enabled && !c->listeners[0].tls.enabled);
    ck_assert_uint_eq(c->listeners[3].tls.ncertificates, 2);
    ck_assert_int_eq(c->listeners[3].tls.min_version, 2);
    ck_assert_int_eq(c->listeners[3].tls.client_auth, CONF_AUTH_REQUEST);
    ck_assert_int_eq(c->listeners[3].tls.certificates[0].client_auth, CONF_AUTH_INHERIT);
    ck_assert_int_eq(c->listeners[3].tls.certificates[1].client_auth, CONF_AUTH_REQUIRE);
    ck_assert(c->listeners[3].tls.certificates[0].cert.p[0] == '/'); /* made absolute */
    ck_assert(!s->tls.enabled && c->services[1].tls.enabled);
    ck_assert_str_eq(c->services[1].tls.server_name.p, "checkout.internal");
    ck_assert_uint_eq(s->versions[0].weight, 9950);
    ck_assert_uint_eq(s->versions[1].weight, 50);
    ck_assert_uint_eq(s->versions[1].age, 1);
    ck_assert_str_eq(s->versions[1].endpoints[0].name.p, "localhost:9003");
    ck_assert_str_eq(s->versions[1].endpoints[0].host.p, "127.0.0.1");
    ck_assert_int_eq(s->sticky.by, CONF_STICKY_COOKIE);
    ck_assert_uint_eq(s->sticky.ttl_ms, 86400000);
    ck_assert(s->health.enabled);
    ck_assert_str_eq(s->health.path.p, "/up");
    ck_assert_uint_eq(s->noverrides, 2);
    ck_assert_uint_eq(s->overrides[1].nmatches, 2);
    ck_assert_int_eq(s->overrides[1].matches[1].kind, CONF_MATCH_COOKIE);
    ck_assert_uint_eq(s->overrides[1].version, 1);
    ck_assert_str_eq(c->routes[1].flag_key.p, "new-checkout");
    ck_assert_str_eq(c->services[c->routes[1].service].name.p, "checkout-next");
    ck_assert(c->flags.enabled);
    ck_assert_uint_eq(c->flags.nkeys, 3);
    ck_assert_int_eq(c->flags.keys[0].source, CONF_KEY_COOKIE);
    ck_assert_str_eq(c->flags.keys[1].name.p, "x-user-id");
    ck_assert(str_ends(c->flags.bootstrap, STR("/config/examples/flags.json")));
    ck_assert_int_eq(c->flags.bootstrap.p[0], '/');
    conf_free(c);
}
END_TEST

static const char *const examples[] = {"config/examples/minimal.jsonc",
                                       "config/examples/full.jsonc"};

/* Dump, parse, dump: nothing may be lost or gained. */
static void check_round_trip(struct conf *c)
{
    char *first = conf_dump(c, false);
    struct conf *again = good(conf_parse(str_of(first), "", &diags));
    char *second = conf_dump(again, false);

    ck_assert_str_eq(first, second);
    xfree(first);
    xfree(second);
    conf_free(again);
    conf_free(c);
}

START_TEST(examples_round_trip)
{
    check_round_trip(good(conf_load(examples[_i], &diags)));
}
END_TEST

START_TEST(odd_text_round_trips)
{
    setenv("SLUICE_TEST", "$${x} ${ENV:HOME} \"\\ \xc3\xbc", 1);
    check_round_trip(good(parse("{ " SMALL ", \"state_dir\": \"/${ENV:SLUICE_TEST}$\" }")));
}
END_TEST

START_TEST(header_names_are_lower_case)
{
    struct conf *c = good(parse(
        "{ " WEB "\"services\": { \"shop\": { \"versions\": { \"v1\": { \"endpoints\": "
        "[\"127.0.0.1:9001\"] } }, \"sticky\": { \"by\": \"header\", \"name\": \"X-User\" }, "
        "\"overrides\": [{ \"name\": \"a\", \"to\": \"v1\", \"match\": { \"header\": { "
        "\"X-Canary\": \"Yes\" }, \"cookie\": { \"Mixed\": \"Yes\" } } }] } }, "
        "\"routes\": [{ \"host\": \"Shop.Example\", \"service\": \"shop\" }] }"));
    const struct conf_override *o = &c->services[0].overrides[0];

    ck_assert_str_eq(c->services[0].sticky.name.p, "x-user");
    ck_assert_str_eq(o->matches[0].name.p, "x-canary");
    ck_assert_str_eq(o->matches[0].value.p, "Yes");
    ck_assert_str_eq(o->matches[1].name.p, "Mixed");
    ck_assert_str_eq(c->routes[0].host.p, "shop.example");
    conf_free(c);
}
END_TEST

START_TEST(secrets_are_not_shown)
{
    struct conf *c;
    char *open, *redacted;

    file("password", "hunter2\r\n");
    setenv("CREDENTIALS_DIRECTORY", folder, 1);
    c = good(conf_load(file("secret.jsonc", "{ " SMALL ", \"flags\": { \"redis\": "
                                            "\"redis://:${FILE:password}@127.0.0.1:6379/0\", "
                                            "\"env\": \"${CRED:password}\" } }"),
                       &diags));
    ck_assert_str_eq(c->flags.redis.p, "redis://:hunter2@127.0.0.1:6379/0");
    open = conf_dump(c, false);
    redacted = conf_dump(c, true);
    ck_assert_ptr_nonnull(strstr(open, "hunter2"));
    ck_assert_ptr_null(strstr(redacted, "hunter2"));
    ck_assert_ptr_nonnull(strstr(redacted, "\"redis://***@127.0.0.1:6379/0\""));
    ck_assert_ptr_nonnull(strstr(redacted, "\"env\": \"***\""));
    xfree(open);
    xfree(redacted);
    conf_free(c);
}
END_TEST

START_TEST(files_are_bounded)
{
    char *big = xmalloc(65538);

    memset(big, 'a', 65537);
    big[65537] = '\0';
    file("big", big);
    ck_assert_ptr_null(
        conf_load(file("big.jsonc", "{ " SMALL ", \"user\": \"${FILE:big}\" }"), &diags));
    ck_assert_ptr_nonnull(strstr(diags.list.v[0].message.p, "larger than 64 KiB"));
    xfree(big);
}
END_TEST

START_TEST(includes_merge)
{
    struct conf *c;

    file("20.jsonc", "{ \"routes\": [{ \"path\": \"/c\", \"service\": \"b\" }], "
                     "\"flags\": { \"bootstrap\": \"f.json\" } }");
    file("10.jsonc", "{ \"version\": 1, \"services\": { \"b\": { \"versions\": { \"v1\": "
                     "{ \"endpoints\": [\"127.0.0.1:1\"] } } } }, "
                     "\"routes\": [{ \"path\": \"/b\", \"service\": \"shop\" }] }");
    c = good(conf_load(file("main.jsonc", "{ \"include\": [\"[0-9]*.jsonc\"], " SMALL " }"),
                       &diags));
    ck_assert_uint_eq(c->nservices, 2);
    ck_assert_uint_eq(c->nroutes, 3);
    ck_assert_str_eq(c->routes[0].path.p, "/");
    ck_assert_str_eq(c->routes[1].path.p, "/b");
    ck_assert_str_eq(c->routes[2].path.p, "/c");
    ck_assert(str_ends(c->flags.bootstrap, STR("/f.json"))); /* of its own file */
    ck_assert(str_ends(c->source, STR("/main.jsonc")));
    conf_free(c);
}
END_TEST

START_TEST(a_document_in_memory_includes_nothing)
{
    ck_assert_ptr_null(parse("{ \"include\": [\"/etc/passwd\"], " SMALL " }"));
    ck_assert_uint_eq(diags.list.n, 1);
    ck_assert_str_eq(diags.list.v[0].pointer.p, "/include");
}
END_TEST

START_TEST(a_missing_file_is_a_mistake)
{
    ck_assert_ptr_null(conf_load("/nonexistent/sluice.jsonc", &diags));
    ck_assert_uint_eq(diags.list.n, 1);
    ck_assert_uint_eq(diags.list.v[0].line, 0);
    ck_assert_str_eq(conf_diags_text(&arena, &diags).p,
                     "/nonexistent/sluice.jsonc: cannot read: No such file or directory\n");
}
END_TEST

START_TEST(mistakes_are_counted_up_to_a_hundred)
{
    struct str text = STR("{");

    for (int i = 0; i < 2000; i++)
        text = arena_printf(&arena, "%.*s\n\"k%d\": %d,", STR_ARG(text), i, i);
    text = arena_printf(&arena, "%.*s %s }", STR_ARG(text), SMALL);
    ck_assert_ptr_null(conf_parse(text, "x", &diags));
    ck_assert_uint_eq(diags.list.n, 100);
    for (unsigned i = 0; i < 100; i++)
        ck_assert_uint_eq(diags.list.v[i].line, i + 2);
}
END_TEST

START_TEST(diagnostics_as_json)
{
    json_error_t error;
    json_t *list, *first;

    ck_assert_ptr_null(conf_parse(STR("{ " SMALL ",\n \"us\\\"er\": 1 }"), "a.jsonc", &diags));
    list = json_loads(conf_diags_json(&arena, &diags).p, 0, &error);
    ck_assert_ptr_nonnull(list);
    ck_assert_uint_eq(json_array_size(list), 1);
    first = json_array_get(list, 0);
    ck_assert_str_eq(json_string_value(json_object_get(first, "file")), "a.jsonc");
    ck_assert_int_eq(json_integer_value(json_object_get(first, "line")), 2);
    ck_assert_int_eq(json_integer_value(json_object_get(first, "column")), 2);
    ck_assert_str_eq(json_string_value(json_object_get(first, "pointer")), "/us\"er");
    ck_assert_str_eq(json_string_value(json_object_get(first, "hint")),
                     "did you mean \"user\"?");
    json_decref(list);
}
END_TEST

START_TEST(lookups)
{
    struct conf *c = good(conf_load(examples[1], &diags));
    const struct conf_service *s = conf_service_find(c, STR("shop"));

    ck_assert_int_eq(conf_version_find(s, STR("v2")), 1);
    ck_assert_int_eq(conf_version_find(s, STR("v3")), -1);
    ck_assert_ptr_null(conf_service_find(c, STR("sho")));
    conf_free(c);
    conf_free(NULL);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("conf");
    TCase *tc = tcase_create("conf");

    if (!mkdtemp(folder))
        return EXIT_FAILURE;
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, defaults);
    tcase_add_test(tc, every_field_of_the_full_example);
    tcase_add_loop_test(tc, examples_round_trip, 0, (int)ARRAY_LEN(examples));
    tcase_add_test(tc, odd_text_round_trips);
    tcase_add_test(tc, header_names_are_lower_case);
    tcase_add_test(tc, secrets_are_not_shown);
    tcase_add_test(tc, files_are_bounded);
    tcase_add_test(tc, includes_merge);
    tcase_add_test(tc, a_document_in_memory_includes_nothing);
    tcase_add_test(tc, a_missing_file_is_a_mistake);
    tcase_add_test(tc, mistakes_are_counted_up_to_a_hundred);
    tcase_add_test(tc, diagnostics_as_json);
    tcase_add_test(tc, lookups);
    suite_add_tcase(s, tc);

    int code = unit_run(s);

    arena_init(&arena, NULL, 0);
    remove_folder();
    arena_release(&arena);
    return code;
}
