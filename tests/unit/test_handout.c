/* test_handout.c - what workers start with: saved state, the config, and never anything older.
 */
#include "config/snapshot.h"
#include "proxy/base/mem.h"
#include "proxy/base/shm.h"
#include "proxy/base/sys.h"
#include "proxy/proc/handout.h"
#include "tests/unit/unit.h"

#include <check.h>
#include <stdlib.h>
#include <unistd.h>

static struct {
    char dir[64];
    struct conf *conf;
    struct handout handout;
} t;

static struct conf *config(uint32_t v1)
{
    char *doc = xasprintf("{\"version\":1,\"workers\":1,\"state_dir\":\"%s\","
                          "\"listeners\":{\"web\":{\"address\":\"127.0.0.1:1\"}},"
                          "\"services\":{\"shop\":{\"versions\":{"
                          "\"v1\":{\"endpoints\":[\"127.0.0.1:2\"]},"
                          "\"v2\":{\"endpoints\":[\"127.0.0.1:3\"]}},"
                          "\"weights\":{\"v1\":%u,\"v2\":%u}}},"
                          "\"flags\":{\"env\":\"test\",\"redis\":\"redis://127.0.0.1:1/0\"},"
                          "\"routes\":[{\"path\":\"/\",\"service\":\"shop\"}]}",
                          t.dir, v1, 100 - v1);
    struct conf_diags d;
    struct conf *c;

    conf_diags_init(&d);
    c = conf_parse(str_of(doc), "test", &d);
    ck_assert_msg(c != NULL, "%s", c ? "" : conf_diags_text(&d.arena, &d).p);
    conf_diags_release(&d);
    xfree(doc);
    return c;
}

static void setup(void)
{
    str_copy(t.dir, sizeof(t.dir), STR("/tmp/test_handout.XXXXXX"));
    ck_assert_ptr_nonnull(mkdtemp(t.dir));
    t.conf = config(90);
    handout_init(&t.handout);
}

static void teardown(void)
{
    char *path = xasprintf("%s/snapshot.json", t.dir);

    unlink(path);
    xfree(path);
    path = xasprintf("%s/flags-test.json", t.dir);
    unlink(path);
    xfree(path);
    rmdir(t.dir);
    conf_free(t.conf);
    handout_release(&t.handout);
}

static void save(const char *name, const char *doc)
{
    char *path = xasprintf("%s/%s", t.dir, name);

    ck_assert_int_eq(sys_write_file(path, str_of(doc), 0600), 0);
    xfree(path);
}

/* The weight of v1 in the snapshot that a worker would get. */
static uint32_t weight(void)
{
    struct snapshot s;
    struct str doc;
    char *why;
    uint32_t w;

    ck_assert_int_eq(shm_map(t.handout.fd[HANDOUT_SNAPSHOT], &doc), 0);
    ck_assert_int_eq(snapshot_parse(doc, &s, &why), 0);
    ck_assert_uint_eq(s.generation, t.handout.number[HANDOUT_SNAPSHOT]);
    ck_assert_uint_ne(s.conf->services[0].versions[0].cell, 0);
    w = s.conf->services[0].versions[0].weight;
    conf_free(s.conf);
    shm_unmap(doc);
    return w;
}

START_TEST(test_first_start)
{
    ck_assert_int_eq(handout_boot(&t.handout, t.conf), 0);
    ck_assert_uint_eq(t.handout.number[HANDOUT_SNAPSHOT], 1);
    ck_assert_uint_eq(t.handout.number[HANDOUT_FLAGS], 0);
    ck_assert_uint_eq(t.handout.saved, 0);
    ck_assert_uint_eq(weight(), 9000);
}
END_TEST

START_TEST(test_saved_state_wins)
{
    struct conf *other = config(25);
    char *doc;

    snapshot_number(other);
    doc = snapshot_write(other, 41);
    save("snapshot.json", doc);
    save("flags-test.json", "{\"format\":1,\"sequence\":7,\"env\":\"test\",\"source\":\"disk\","
                            "\"epoch\":\"e\",\"version\":1,\"flags\":{},\"evaluators\":{},"
                            "\"metadata\":{},\"overrides\":{},\"cells\":{}}");
    ck_assert_int_eq(handout_boot(&t.handout, t.conf), 0);
    ck_assert_uint_eq(t.handout.number[HANDOUT_SNAPSHOT], 41);
    ck_assert_uint_eq(t.handout.saved, 41);
    ck_assert_uint_eq(t.handout.number[HANDOUT_FLAGS], 7);
    ck_assert_uint_eq(weight(), 2500);

    /* When the workers refuse it: the config, and still forwards. */
    ck_assert_int_eq(handout_rebuild(&t.handout, t.conf), 0);
    ck_assert_uint_eq(t.handout.number[HANDOUT_SNAPSHOT], 42);
    ck_assert_uint_eq(weight(), 9000);
    conf_free(other);
    xfree(doc);
}
END_TEST

START_TEST(test_broken_state_is_left_aside)
{
    save("snapshot.json", "{\"format\":1,\"generation\":");
    save("flags-test.json", "[]");
    ck_assert_int_eq(handout_boot(&t.handout, t.conf), 0);
    ck_assert_uint_eq(t.handout.number[HANDOUT_SNAPSHOT], 1);
    ck_assert_uint_eq(t.handout.number[HANDOUT_FLAGS], 0);
    ck_assert_uint_eq(weight(), 9000);
}
END_TEST

START_TEST(test_never_backwards)
{
    struct handout *h = &t.handout;
    char name[] = "/tmp/test_handout_file.XXXXXX";
    int plain;

    ck_assert(handout_offer(h, HANDOUT_SNAPSHOT, 5, shm_seal("t", STR("five"))));
    ck_assert(!handout_offer(h, HANDOUT_SNAPSHOT, 5, shm_seal("t", STR("again"))));
    ck_assert(!handout_offer(h, HANDOUT_SNAPSHOT, 4, shm_seal("t", STR("four"))));
    ck_assert(handout_offer(h, HANDOUT_FLAGS, 1, shm_seal("t", STR("flags"))));
    plain = mkstemp(name); /* could change under the workers */
    unlink(name);
    ck_assert(!handout_offer(h, HANDOUT_SNAPSHOT, 6, plain));
    ck_assert(!handout_offer(h, HANDOUT_SNAPSHOT, 6, -1));
    ck_assert_uint_eq(h->number[HANDOUT_SNAPSHOT], 5);
    ck_assert(handout_offer(h, HANDOUT_SNAPSHOT, 6, shm_seal("t", STR("six"))));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("handout");
    TCase *c = tcase_create("handout");

    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, test_first_start);
    tcase_add_test(c, test_saved_state_wins);
    tcase_add_test(c, test_broken_state_is_left_aside);
    tcase_add_test(c, test_never_backwards);
    suite_add_tcase(s, c);
    return unit_run(s);
}
