/* test_desired.c - overlays over a config file: versions, weights, ages, drains, cells. */
#include "config/conf.h"
#include "control/engine/cells.h"
#include "control/engine/desired.h"
#include "control/engine/overlay.h"
#include "tests/unit/unit.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define FILE_TWO                                                                               \
    "{\"version\":1,\"listeners\":{\"web\":{\"address\":\"127.0.0.1:8080\"}},"                 \
    "\"services\":{\"shop\":{\"versions\":{"                                                   \
    "\"v1\":{\"endpoints\":[\"127.0.0.1:1\",\"127.0.0.1:2\"]},"                                \
    "\"v2\":{\"endpoints\":[\"127.0.0.1:3\"]}},\"weights\":{\"v1\":100,\"v2\":0},"             \
    "\"health\":{\"path\":\"/up\"},"                                                           \
    "\"overrides\":[{\"name\":\"qa\",\"match\":{\"header\":{\"x-canary\":\"1\"}},"             \
    "\"to\":\"v2\"}]}},"                                                                       \
    "\"routes\":[{\"path\":\"/\",\"service\":\"shop\"}]}"
#define FILE_V2_ONLY                                                                           \
    "{\"version\":1,\"listeners\":{\"web\":{\"address\":\"127.0.0.1:8080\"}},"                 \
    "\"services\":{\"shop\":{\"versions\":{\"v2\":{\"endpoints\":[\"127.0.0.1:9\"]}}}},"       \
    "\"routes\":[{\"path\":\"/\",\"service\":\"shop\"}]}"

static struct conf *parse(const char *doc)
{
    struct conf_diags d;

    conf_diags_init(&d);
    struct conf *c = conf_parse(str_of(doc), "test", &d);
    if (!c) {
        struct arena a;
        arena_init(&a, NULL, 0);
        ck_abort_msg("%s", conf_diags_text(&a, &d).p);
    }
    conf_diags_release(&d);
    return c;
}

static const struct conf_version *version(const struct desired *d, const char *name)
{
    const struct conf_service *s = desired_service(d, "shop");
    long at = conf_version_find(s, str_of(name));

    return at < 0 ? NULL : &s->versions[at];
}

/* Commit {"v1":w1,"v2":w2}. */
static void set_weights(struct desired *d, int w1, int w2, const char *origin)
{
    json_t *doc = desired_edit(d, "shop"), *w = json_pack("{s:i,s:i}", "v1", w1, "v2", w2);

    overlay_set_weights(doc, w, origin);
    desired_commit(d, "shop", doc);
    json_decref(w);
}

static void put_version(struct desired *d, const char *name, const char *endpoint)
{
    json_t *doc = desired_edit(d, "shop"), *list = json_pack("[s]", endpoint);

    overlay_put_version(doc, name, list, NULL);
    desired_commit(d, "shop", doc);
    json_decref(list);
}

START_TEST(test_file_alone)
{
    struct desired *d = desired_new(parse(FILE_TWO), NULL, NULL);

    ck_assert_uint_eq(version(d, "v1")->weight, 10000);
    ck_assert_uint_eq(version(d, "v2")->weight, 0);
    ck_assert_str_eq(desired_origin(d, "shop"), "config");
    ck_assert_uint_eq(version(d, "v1")->age, 0);
    ck_assert_uint_eq(version(d, "v2")->age, 1);
    /* numbered as the very first snapshot is: in order, from 1 */
    ck_assert_uint_eq(version(d, "v1")->cell, 1);
    ck_assert_uint_eq(version(d, "v2")->cell, 2);
    ck_assert_uint_eq(version(d, "v1")->endpoints[1].cell, 2);
    ck_assert_uint_eq(version(d, "v2")->endpoints[0].cell, 3);
    ck_assert(version(d, "v1")->endpoints[0].up);
    desired_free(d);
}
END_TEST

START_TEST(test_weights_survive_reload)
{
    struct desired *d = desired_new(parse(FILE_TWO), NULL, NULL);
    json_t *kept = json_array();

    set_weights(d, 9000, 1000, "api");
    desired_reload(d, parse(FILE_TWO), kept);
    ck_assert_uint_eq(version(d, "v1")->weight, 9000);
    ck_assert_uint_eq(version(d, "v2")->weight, 1000);
    ck_assert_str_eq(desired_origin(d, "shop"), "api");
    ck_assert_uint_eq(json_array_size(kept), 0);
    json_decref(kept);
    desired_free(d);
}
END_TEST

START_TEST(test_version_in_use_outlives_the_file)
{
    struct desired *d = desired_new(parse(FILE_TWO), NULL, NULL);
    json_t *kept = json_array();

    set_weights(d, 9000, 1000, "rollout r-1");
    desired_reload(d, parse(FILE_V2_ONLY), kept);
    ck_assert_uint_eq(json_array_size(kept), 1);
    ck_assert_str_eq(json_string_value(json_array_get(kept, 0)), "shop/v1");
    ck_assert_uint_eq(version(d, "v1")->weight, 9000);
    ck_assert_uint_eq(version(d, "v1")->nendpoints, 2);
    ck_assert_str_eq(desired_origin(d, "shop"), "rollout r-1");
    /* v2 is the file's: its endpoints are the new ones */
    ck_assert_str_eq(version(d, "v2")->endpoints[0].name.p, "127.0.0.1:9");
    /* older first, whatever the order they are listed in */
    ck_assert_uint_lt(version(d, "v1")->age, version(d, "v2")->age);
    json_decref(kept);
    desired_free(d);
}
END_TEST

START_TEST(test_version_without_weight_goes_with_the_file)
{
    struct desired *d = desired_new(parse(FILE_TWO), NULL, NULL);
    json_t *kept = json_array();

    set_weights(d, 0, 10000, "api");
    desired_reload(d, parse(FILE_V2_ONLY), kept);
    ck_assert_uint_eq(json_array_size(kept), 0);
    ck_assert_ptr_null(version(d, "v1"));
    ck_assert_uint_eq(version(d, "v2")->weight, 10000);
    json_decref(kept);
    desired_free(d);
}
END_TEST

START_TEST(test_registered_version)
{
    struct desired *d = desired_new(parse(FILE_TWO), NULL, NULL);

    put_version(d, "v3", "127.0.0.1:4");
    ck_assert_uint_eq(version(d, "v3")->weight, 0);
    ck_assert_uint_eq(version(d, "v3")->age, 2);
    ck_assert_uint_eq(version(d, "v3")->endpoints[0].port, 4);
    ck_assert_uint_eq(version(d, "v3")->cell, 3);
    ck_assert_uint_eq(version(d, "v1")->weight, 10000);

    json_t *doc = desired_edit(d, "shop");
    overlay_remove_version(doc, "v2"); /* one of the file's, and the target of an override */
    desired_commit(d, "shop", doc);
    ck_assert_ptr_null(version(d, "v2"));
    ck_assert_uint_eq(desired_service(d, "shop")->noverrides, 0);
    ck_assert_uint_eq(version(d, "v3")->age, 2);

    put_version(d, "v2", "127.0.0.1:5"); /* and it is back, as the youngest */
    ck_assert_uint_eq(version(d, "v2")->age, 3);
    ck_assert_uint_eq(version(d, "v2")->cell, 2); /* with the counters it had */
    ck_assert_uint_eq(desired_service(d, "shop")->noverrides, 0 + 1);
    desired_free(d);
}
END_TEST

START_TEST(test_endpoints_of_the_file)
{
    struct desired *d = desired_new(parse(FILE_TWO), NULL, NULL);
    json_t *doc = desired_edit(d, "shop");

    overlay_put_endpoint(doc, "v1", "127.0.0.1:7");
    overlay_put_endpoint(doc, "v1", "127.0.0.1:1"); /* is there already */
    overlay_remove_endpoint(doc, "v1", "127.0.0.1:2");
    overlay_set_drain(doc, "v1", "127.0.0.1:1", "operator");
    desired_commit(d, "shop", doc);
    const struct conf_version *v1 = version(d, "v1");
    ck_assert_uint_eq(v1->nendpoints, 2);
    ck_assert_str_eq(v1->endpoints[0].name.p, "127.0.0.1:1");
    ck_assert(v1->endpoints[0].drain);
    ck_assert_str_eq(v1->endpoints[1].name.p, "127.0.0.1:7");
    ck_assert(!v1->endpoints[1].drain);
    desired_free(d);
}
END_TEST

START_TEST(test_drains_are_lifted_by_whom)
{
    json_t *doc = overlay_new();

    overlay_set_drain(doc, "v1", "a:1", "operator");
    overlay_set_drain(doc, "v1", "a:2", "rollout");
    overlay_lift_drain(doc, "v1");
    ck_assert_str_eq(overlay_drained_by(doc, "v1", "a:1"), "operator");
    ck_assert_ptr_null(overlay_drained_by(doc, "v1", "a:2"));
    ck_assert_ptr_null(overlay_drained_by(NULL, "v1", "a:1"));
    overlay_lift_drain(doc, "v9");
    json_decref(doc);
}
END_TEST

START_TEST(test_weights_always_sum_up)
{
    struct desired *d = desired_new(parse(FILE_TWO), NULL, NULL);
    json_t *doc = desired_edit(d, "shop");

    json_t *w = json_pack("{s:i,s:i,s:i}", "v1", 3333, "v2", 3333, "gone", 3334);
    overlay_set_weights(doc, w, "api");
    desired_commit(d, "shop", doc);
    ck_assert_uint_eq(version(d, "v1")->weight + version(d, "v2")->weight, 10000);
    ck_assert_uint_ge(version(d, "v2")->weight, 5000 - 1);
    json_decref(w);

    set_weights(d, 0, 0, "api"); /* nothing that had weight is left: somebody must serve */
    ck_assert_uint_eq(version(d, "v1")->weight, 10000);
    desired_free(d);
}
END_TEST

START_TEST(test_preview_changes_nothing)
{
    struct desired *d = desired_new(parse(FILE_TWO), NULL, NULL);
    json_t *doc = desired_edit(d, "shop"), *w = json_pack("{s:i,s:i}", "v1", 1, "v2", 9999);

    overlay_set_weights(doc, w, "api");
    json_t *seen = desired_preview(d, "shop", doc);
    ck_assert(json_equal(seen, w));
    ck_assert_uint_eq(version(d, "v1")->weight, 10000);
    ck_assert_ptr_null(desired_overlay(d, "shop"));
    json_decref(seen);
    json_decref(w);
    json_decref(doc);
    desired_free(d);
}
END_TEST

START_TEST(test_health_bits)
{
    struct desired *d = desired_new(parse(FILE_TWO), NULL, NULL);
    struct desired *next = desired_new(parse(FILE_TWO), NULL, NULL);

    ck_assert(desired_set_up(d, "shop", "v1", "127.0.0.1:2", false));
    ck_assert(!desired_set_up(d, "shop", "v1", "127.0.0.1:2", false)); /* no news */
    ck_assert(version(d, "v1")->endpoints[0].up);
    ck_assert(!version(d, "v1")->endpoints[1].up);
    desired_adopt_health(next, desired_conf(d));
    ck_assert(!version(next, "v1")->endpoints[1].up);
    ck_assert(desired_set_up(d, "shop", "v1", "127.0.0.1:2", true));
    ck_assert(version(d, "v1")->endpoints[1].up);
    desired_free(d);
    desired_free(next);
}
END_TEST

START_TEST(test_state_survives_a_restart)
{
    struct desired *d = desired_new(parse(FILE_TWO), NULL, NULL);

    put_version(d, "v3", "127.0.0.1:4");
    set_weights(d, 5000, 5000, "api");
    ck_assert(desired_cells_changed(d));
    ck_assert(!desired_cells_changed(d));
    json_t *cells = desired_cells(d);
    json_t *overlays = json_pack("{s:O}", "shop", desired_overlay(d, "shop"));
    /* the file has changed meanwhile: cells stay with the names */
    struct desired *next = desired_new(parse(FILE_V2_ONLY), overlays, cells);
    ck_assert_uint_eq(version(next, "v3")->cell, version(d, "v3")->cell);
    ck_assert_uint_eq(version(next, "v2")->cell, version(d, "v2")->cell);
    ck_assert_uint_eq(version(next, "v2")->weight, 10000); /* v1 is gone: scaled */
    json_decref(cells);
    json_decref(overlays);
    desired_free(d);
    desired_free(next);
}
END_TEST

START_TEST(test_cells_are_reused_last)
{
    struct cells *c = cells_new(NULL, 4, 8); /* room for three versions */
    struct conf *two = parse(FILE_TWO), *one = parse(FILE_V2_ONLY);
    struct conf_service *s = &one->services[0];

    ck_assert(cells_assign(c, two)); /* v1 1, v2 2 */
    ck_assert(!cells_assign(c, two));
    cells_assign(c, one);
    ck_assert_uint_eq(s->versions[0].cell, 2);
    s->versions[0].name = STR("v3");
    cells_assign(c, one);
    ck_assert_uint_eq(s->versions[0].cell, 3); /* fresh before used */
    s->versions[0].name = STR("v4");
    ck_assert(cells_assign(c, one));
    ck_assert_uint_eq(s->versions[0].cell, 1); /* the oldest that nothing carries: v1's */
    cells_free(c);
    conf_free(two);
    conf_free(one);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("desired");
    TCase *t = tcase_create("merge");

    tcase_add_test(t, test_file_alone);
    tcase_add_test(t, test_weights_survive_reload);
    tcase_add_test(t, test_version_in_use_outlives_the_file);
    tcase_add_test(t, test_version_without_weight_goes_with_the_file);
    tcase_add_test(t, test_registered_version);
    tcase_add_test(t, test_endpoints_of_the_file);
    tcase_add_test(t, test_drains_are_lifted_by_whom);
    tcase_add_test(t, test_weights_always_sum_up);
    tcase_add_test(t, test_preview_changes_nothing);
    tcase_add_test(t, test_health_bits);
    tcase_add_test(t, test_state_survives_a_restart);
    tcase_add_test(t, test_cells_are_reused_last);
    suite_add_tcase(s, t);
    return unit_run(s);
}
